#include <clout/host/cli/problem.hpp>
#include <clout/host/io/data_folders.hpp>
#include <clout/host/network_spec.hpp>
#include <clout/host/reproduce/photographs.hpp>

namespace clout::reproduce {
namespace {

constexpr int kDog = 5, kShip = 8;  // as CIFAR-10 numbers them

io::CifarImages read_part(const std::string& part, const std::optional<std::filesystem::path>& data_dir,
                          io::Manifest& manifest) {
  const std::filesystem::path path = io::find_cifar(kPhotographs, part, data_dir);
  manifest.add_input(path);
  return io::read_cifar(path);
}

/// [n][width] of an .npy file, for n images.
std::vector<double> read_features(const std::string& path, Index n, Index& width, io::Manifest& manifest) {
  std::vector<Index> shape;
  std::vector<double> values = cli::read_numbers(path, "features", shape);
  manifest.add_input(path);
  if (shape.size() != 2 || shape[0] != n || shape[1] == 0 || (width != 0 && shape[1] != width))
    throw InvalidInput(path + ": shape " + io::shape_text(shape) + "; expected [" + std::to_string(n) + "][" +
                       (width != 0 ? std::to_string(width) : "features") + "], a row for each photograph in the data's order");
  width = shape[1];
  return values;
}

}  // namespace

Photographs::Photographs(const std::optional<std::filesystem::path>& data_dir, io::Manifest& manifest)
    : train(read_part("train", data_dir, manifest)), test(read_part("test", data_dir, manifest)) {}

std::vector<std::int32_t> dogs_and_ships(const io::CifarImages& images) {
  std::vector<std::int32_t> classes;
  for (const int label : images.labels) {
    if (label != kDog && label != kShip)
      throw InvalidInput(std::string(kPhotographs) + ": image " + std::to_string(classes.size()) + " has label " +
                         std::to_string(label) + "; expected 5 (dog) or 8 (ship)");
    classes.push_back(label == kShip ? 1 : 0);
  }
  return classes;
}

Dataset<double> labelled_images(Device& device, const io::CifarImages& images) {
  return Dataset<double>::from_bytes(device, images.pixels, dogs_and_ships(images), io::kCifarPixels, 2);
}

FrozenNetwork feature_network(const std::optional<std::filesystem::path>& data_dir, io::Manifest& manifest) {
  const std::filesystem::path folder = io::find_model(kFeatureNetwork, data_dir);
  const std::string spec = folder / "spec.json", params = folder / "params.npy";
  const NetworkShape shape = read_network(spec);
  manifest.add_input(spec);
  std::vector<Index> size;
  const std::vector<double> theta = cli::read_numbers(params, "params", size);
  manifest.add_input(params);
  if (std::ssize(theta) != shape.parameters() || shape.input_size() != io::kCifarPixels)
    throw InvalidInput(params + ": shape " + io::shape_text(size) + "; expected [" + std::to_string(shape.parameters()) +
                       "], of a network for images of [3][32][32] as in " + spec);
  return {shape, theta};
}

Features photograph_features(const cli::Options& o, const Photographs& photographs, Device& device,
                             io::Manifest& manifest) {
  if (o.train_features.empty() != o.test_features.empty())
    throw InvalidInput("--train-features and --test-features: only one is given; expected both");
  Features features;
  if (!o.train_features.empty()) {
    features.train = read_features(o.train_features, photographs.train.count, features.width, manifest);
    features.test = read_features(o.test_features, photographs.test.count, features.width, manifest);
    features.source = "given";
    return features;
  }
  const FrozenNetwork network = feature_network(o.data.empty() ? std::nullopt : std::optional<std::filesystem::path>(o.data), manifest);
  features.width = network.features();
  features.train = network.features_of(labelled_images(device, photographs.train));
  features.test = network.features_of(labelled_images(device, photographs.test));
  features.source = std::string(kFeatureNetwork) + ", trained on eight other classes";
  return features;
}

}  // namespace clout::reproduce
