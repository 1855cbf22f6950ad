#include <algorithm>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/kernels/philox.hpp>
#include <cmath>
#include <numeric>

namespace clout::reproduce {

Dataset<double> all_images(Device& device, const io::LabelledImages& images) {
  return Dataset<double>::from_bytes(device, images.pixels,
                                     std::vector<std::int32_t>(images.labels.begin(), images.labels.end()),
                                     io::kMnistPixels, kMnistClasses);
}

Dataset<double> images_at(Device& device, const io::LabelledImages& images, std::span<const Index> rows) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (const Index row : rows) {
    const auto image = images.pixels.subspan(static_cast<std::size_t>(row * io::kMnistPixels), io::kMnistPixels);
    pixels.insert(pixels.end(), image.begin(), image.end());
    labels.push_back(images.labels[static_cast<std::size_t>(row)]);
  }
  return Dataset<double>::from_bytes(device, pixels, labels, io::kMnistPixels, kMnistClasses);
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
