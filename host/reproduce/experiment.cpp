#include <algorithm>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/kernels/philox.hpp>
#include <cmath>
#include <numeric>

namespace clout::reproduce {

TestScore margin_score(Objective<double>& tests, double at_zero) {
  const Index n = tests.examples();
  Buffer<double> losses(tests.device(), n);
  tests.losses(losses.view(n, 1));
  TestScore score{0, 0};
  for (const double loss : losses.to_host()) {
    score.loss += loss / static_cast<double>(n);
    score.accuracy += loss < at_zero ? 1.0 / static_cast<double>(n) : 0;
  }
  return score;
}

Dataset<double> all_images(Device& device, const io::LabelledImages& images) {
  return Dataset<double>::from_bytes(device, images.pixels,
                                     std::vector<std::int32_t>(images.labels.begin(), images.labels.end()),
                                     io::kMnistPixels, kMnistClasses);
}

namespace {

std::vector<std::uint8_t> pixels_at(const io::LabelledImages& images, std::span<const Index> rows) {
  std::vector<std::uint8_t> pixels;
  for (const Index row : rows) {
    const auto image = images.pixels.subspan(static_cast<std::size_t>(row * io::kMnistPixels), io::kMnistPixels);
    pixels.insert(pixels.end(), image.begin(), image.end());
  }
  return pixels;
}

std::vector<Index> rows_of_ones_and_sevens(const io::LabelledImages& images, std::optional<Index> most) {
  std::vector<Index> rows;
  for (Index i = 0; i < images.count && (!most || std::ssize(rows) < *most); ++i)
    if (const int digit = images.labels[static_cast<std::size_t>(i)]; digit == 1 || digit == 7) rows.push_back(i);
  return rows;
}

Dataset<double> ones_and_sevens(Device& device, const io::LabelledImages& images, std::span<const Index> rows) {
  std::vector<std::int32_t> labels;
  for (const Index row : rows) labels.push_back(images.labels[static_cast<std::size_t>(row)] == 1 ? 1 : 0);
  return Dataset<double>::from_bytes(device, pixels_at(images, rows), labels, io::kMnistPixels, 2);
}

}  // namespace

Dataset<double> images_at(Device& device, const io::LabelledImages& images, std::span<const Index> rows) {
  std::vector<std::int32_t> labels;
  for (const Index row : rows) labels.push_back(images.labels[static_cast<std::size_t>(row)]);
  return Dataset<double>::from_bytes(device, pixels_at(images, rows), labels, io::kMnistPixels, kMnistClasses);
}

OneSeven::OneSeven(Device& device, const io::MnistSplit& split, std::optional<Index> most_train,
                   std::optional<Index> most_test)
    : train_rows(rows_of_ones_and_sevens(split.train, most_train)),
      test_rows(rows_of_ones_and_sevens(split.test, most_test)),
      train(ones_and_sevens(device, split.train, train_rows)),
      test(ones_and_sevens(device, split.test, test_rows)) {}

Dataset<double> OneSeven::test_image(Index row) const {
  const std::vector<std::int32_t> label{test.host_labels()[static_cast<std::size_t>(row)]};
  return Dataset<double>::from_values(test.device(), test.host_features(row, 1), label, test.features(), 2);
}

std::vector<Index> test_rows(Index figure, Index images, Index count, std::uint64_t seed) {
  std::vector<Index> rows{figure};
  RandomSequence random(seed, RandomStream::test_examples);
  for (const Index row : random.sample(images - 1, count))
    rows.push_back(row < figure ? row : row + 1);  // the figure's own image is not drawn
  return rows;
}

std::vector<Index> removed_rows(std::span<const double> scores, Index count, Index random, std::uint64_t seed) {
  std::vector<Index> rows(scores.size());
  std::iota(rows.begin(), rows.end(), Index{0});
  std::stable_sort(rows.begin(), rows.end(), [&](Index a, Index b) {
    return std::abs(scores[static_cast<std::size_t>(a)]) > std::abs(scores[static_cast<std::size_t>(b)]);
  });
  rows.resize(static_cast<std::size_t>(count));
  RandomSequence sequence(seed, RandomStream::training_examples);
  const std::vector<Index> sampled = sequence.sample(static_cast<Index>(scores.size()), random);
  rows.insert(rows.end(), sampled.begin(), sampled.end());
  return rows;
}

}  // namespace clout::reproduce
