#pragma once
// What the experiments on MNIST share.

#include <clout/host/io/mnist.hpp>
#include <clout/models/dataset.hpp>
#include <span>

namespace clout::reproduce {

inline constexpr Index kMnistClasses = 10;

/// All images of one part.
Dataset<double> all_images(Device& device, const io::LabelledImages& images);
/// The images at `rows`, in that order.
Dataset<double> images_at(Device& device, const io::LabelledImages& images, std::span<const Index> rows);

/// `figure`, then `count` other test images drawn at random.
std::vector<Index> test_rows(Index figure, Index images, Index count, std::uint64_t seed);

/// The rows with the `count` largest |scores|, ties by number, then `random` rows drawn at random (among all of them).
std::vector<Index> removed_rows(std::span<const double> scores, Index count, Index random, std::uint64_t seed);

}  // namespace clout::reproduce
