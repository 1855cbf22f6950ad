#pragma once
// Dogs and ships: the photographs of figures 4 and 5, and a network's features of them.

#include <clout/host/cli/options.hpp>
#include <clout/host/frozen_network.hpp>
#include <clout/host/io/cifar.hpp>
#include <clout/host/io/manifest.hpp>
#include <clout/models/dataset.hpp>

namespace clout::reproduce {

inline constexpr const char* kPhotographs = "cifar10-dog-ship";
inline constexpr const char* kFeatureNetwork = "convnet-eight";  // trained on CIFAR-10's eight other classes

/// Training and test images, alternately a dog (class 0) and a ship (class 1).
struct Photographs {
  io::CifarImages train, test;

  /// From data_folders(data_dir); adds the files to the manifest's inputs.
  Photographs(const std::optional<std::filesystem::path>& data_dir, io::Manifest& manifest);
};

/// Classes of CIFAR-10 as classes 0 (dog) and 1 (ship); InvalidInput names the first of another.
std::vector<std::int32_t> dogs_and_ships(const io::CifarImages& images);

/// Bytes as the models see them, with those classes.
Dataset<double> labelled_images(Device& device, const io::CifarImages& images);

/// The network that comes with the program. Throws InvalidInput where its files are not those of one for such images.
FrozenNetwork feature_network(const std::optional<std::filesystem::path>& data_dir, io::Manifest& manifest);

/// Features of training and test images: [n][width] each.
struct Features {
  Index width = 0;
  std::vector<double> train, test;
  std::string source;  ///< in words
};

/// Those of --train-features and --test-features, else the frozen network's that comes with the program.
Features photograph_features(const cli::Options& options, const Photographs& photographs, Device& device,
                             io::Manifest& manifest);

}  // namespace clout::reproduce
