#pragma once
// IDX files, as MNIST comes in: big-endian, uint8, plain or compressed with gzip (told by the first bytes, not by
// name).

#include <cstdint>
#include <filesystem>
#include <vector>

namespace clout::io {

struct IdxImages {
  std::int64_t count = 0, rows = 0, columns = 0;
  std::vector<std::uint8_t> pixels;  // [count][rows][columns]
};

struct IdxPair {
  IdxImages images;
  std::vector<std::uint8_t> labels;  // [images.count]
};

/// Reads images (magic number 2051). Throws InvalidInput for a missing or empty file, damaged or truncated gzip,
/// another magic number, a count larger than the file holds, and bytes behind the last image.
IdxImages read_idx_images(const std::filesystem::path& path);

/// Reads labels (magic number 2049), [count]; throws as read_idx_images does.
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

/// Reads both; throws InvalidInput, too, where the counts disagree.
IdxPair load_idx_pair(const std::filesystem::path& images, const std::filesystem::path& labels);

}  // namespace clout::io
