#pragma once
// The MNIST digits (data/mnist/README.md says where they come from), and the part of them that the paper trains on.

#include <clout/host/io/idx.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

namespace clout::io {

inline constexpr std::int64_t kMnistPixels = 784;  // 28 × 28, row by row
inline constexpr std::int64_t kMnistTrainCount = 60000;
inline constexpr std::int64_t kMnistTestCount = 10000;
inline constexpr std::int64_t kMnistSmallCount = 5500;    // training images of the paper's network
inline constexpr std::int64_t kMnistHeldOutCount = 5000;  // first training images, which the paper's code never uses

struct Mnist {
  IdxPair train;  // images [60000][28][28], labels [60000]
  IdxPair test;   // images [10000][28][28], labels [10000]
};

/// Views into a Mnist that must outlive them.
struct LabelledImages {
  std::int64_t count = 0;
  std::span<const std::uint8_t> pixels;  // [count][784]
  std::span<const std::uint8_t> labels;  // [count], 0…9
};

struct MnistSplit {
  LabelledImages train;  // 55,000: index 0 is image 5000 of the file
  LabelledImages test;   // 10,000
};

/// The folder with MNIST's four files (gzip or plain), which may lie in one of data_folders(data_dir) or in its mnist/.
/// Throws InvalidInput with the folders that were looked at.
std::filesystem::path find_mnist(const std::optional<std::filesystem::path>& data_dir = std::nullopt);

/// The four files in such a folder, packed or plain as they are there.
std::vector<std::filesystem::path> mnist_files(const std::filesystem::path& folder);

/// Reads the data set from find_mnist(data_dir). Throws InvalidInput for damaged files (see idx.hpp), other counts or
/// sizes than MNIST's, and labels above 9.
Mnist load_mnist(const std::optional<std::filesystem::path>& data_dir = std::nullopt);

/// Koh & Liang (2017), published code: the first 5,000 training images set aside, 55,000 left; all test images.
MnistSplit paper_split(const Mnist& mnist);

/// small_mnist_seed0_indices.txt in the folder that find_mnist found.
std::filesystem::path small_subset_file(const std::filesystem::path& folder);

/// The 5,500 rows of the 55,000 that the paper's network is trained on, in its order (data/mnist/README.md says how
/// they were drawn). Throws InvalidInput for a damaged file.
std::vector<std::int64_t> read_small_subset(const std::filesystem::path& folder);

/// Compares each file listed in SHA256SUMS in the data set's folder; throws InvalidInput at the first that differs. Not
/// done by load_mnist, which would take twice as long.
void verify_mnist(const std::optional<std::filesystem::path>& data_dir = std::nullopt);

}  // namespace clout::io
