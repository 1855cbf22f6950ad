#pragma once
// What the experiments on MNIST share.

#include <clout/engine/objective.hpp>
#include <clout/host/io/mnist.hpp>
#include <clout/models/dataset.hpp>
#include <optional>
#include <span>

namespace clout::reproduce {

inline constexpr Index kMnistClasses = 10;

struct TestScore {
  double loss, accuracy;
};
/// Mean loss of a margin model without a regulariser, and the share of examples whose loss is below `at_zero`, that of a
/// margin of 0.
TestScore margin_score(Objective<double>& tests, double at_zero);

/// All images of one part.
Dataset<double> all_images(Device& device, const io::LabelledImages& images);
/// The images at `rows`, in that order.
Dataset<double> images_at(Device& device, const io::LabelledImages& images, std::span<const Index> rows);

/// 1 against 7, the paper's pair of digits: class 1 and class 0 of a margin model.
struct OneSeven {
  std::vector<Index> train_rows, test_rows;  // of the split's images, in their order
  Dataset<double> train, test;

  /// The first `train` and `test` of each, or all.
  OneSeven(Device& device, const io::MnistSplit& split, std::optional<Index> train = {}, std::optional<Index> test = {});
  /// One test image as a data set.
  Dataset<double> test_image(Index row) const;
};

/// `figure`, then `count` other test images drawn at random.
std::vector<Index> test_rows(Index figure, Index images, Index count, std::uint64_t seed);

/// The rows with the `count` largest |scores|, ties by number, then `random` rows drawn at random (among all of them).
std::vector<Index> removed_rows(std::span<const double> scores, Index count, Index random, std::uint64_t seed);

}  // namespace clout::reproduce
