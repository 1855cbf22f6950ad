#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clout/host/io/data_folders.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/mnist.hpp>
#include <clout/host/io/sha256.hpp>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

namespace clout::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTrainImages = "train-images-idx3-ubyte", kTrainLabels = "train-labels-idx1-ubyte";
constexpr std::string_view kTestImages = "t10k-images-idx3-ubyte", kTestLabels = "t10k-labels-idx1-ubyte";
constexpr std::string_view kSmallSubset = "small_mnist_seed0_indices.txt";
constexpr std::int64_t kSide = 28;
constexpr std::uint8_t kLargestLabel = 9;

/// `name`.gz, or `name` where only that is there.
fs::path file_in(const fs::path& folder, std::string_view name) {
  std::error_code ignored;
  const fs::path plain = folder / name;
  fs::path packed = plain;
  packed += ".gz";
  return !fs::exists(packed, ignored) && fs::exists(plain, ignored) ? plain : packed;
}

IdxPair load_part(const fs::path& folder, std::string_view images, std::string_view labels, std::int64_t count) {
  const fs::path images_path = file_in(folder, images), labels_path = file_in(folder, labels);
  IdxPair pair = load_idx_pair(images_path, labels_path);
  const IdxImages& found = pair.images;
  if (found.count != count || found.rows != kSide || found.columns != kSide) {
    fail(display(images_path), fmt::format("holds {} images of {} x {}; expected MNIST's {} of {} x {}", found.count,
                                           found.rows, found.columns, count, kSide, kSide));
  }
  const auto bad =
      std::find_if(pair.labels.begin(), pair.labels.end(), [](auto label) { return label > kLargestLabel; });
  if (bad != pair.labels.end()) {
    fail(display(labels_path),
         fmt::format("label {} at [{}]; expected digits 0 to 9", *bad, bad - pair.labels.begin()));
  }
  return pair;
}

LabelledImages view(const IdxPair& pair, std::int64_t skipped) {
  const auto first = static_cast<std::size_t>(skipped);
  return {pair.images.count - skipped,
          std::span(pair.images.pixels).subspan(first * static_cast<std::size_t>(kMnistPixels)),
          std::span(pair.labels).subspan(first)};
}

}  // namespace

fs::path find_mnist(const std::optional<fs::path>& data_dir) {
  std::vector<std::string> looked;
  for (const fs::path& folder : data_folders(data_dir)) {
    for (const fs::path& place : {folder / "mnist", folder}) {
      std::error_code ignored;
      if (fs::exists(file_in(place, kTrainImages), ignored)) return place;
      looked.push_back(display(place));
    }
  }
  fail("MNIST", fmt::format("{}.gz not found; looked in {}; expected it in one of these: name the folder in the "
                            "environment variable CLOUT_DATA",
                            kTrainImages, fmt::join(looked, ", ")));
}

std::vector<fs::path> mnist_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto name : {kTrainImages, kTrainLabels, kTestImages, kTestLabels}) files.push_back(file_in(folder, name));
  return files;
}

Mnist load_mnist(const std::optional<fs::path>& data_dir) {
  const fs::path folder = find_mnist(data_dir);
  return {load_part(folder, kTrainImages, kTrainLabels, kMnistTrainCount),
          load_part(folder, kTestImages, kTestLabels, kMnistTestCount)};
}

MnistSplit paper_split(const Mnist& mnist) { return {view(mnist.train, kMnistHeldOutCount), view(mnist.test, 0)}; }

fs::path small_subset_file(const fs::path& folder) { return folder / kSmallSubset; }

std::vector<std::int64_t> read_small_subset(const fs::path& folder) {
  const fs::path path = small_subset_file(folder);
  std::ifstream lines(path);
  if (!lines) fail(display(path), "cannot be read; expected the training images of the paper's network, one a line");
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; lines >> row;) {
    if (row < 0 || row >= kMnistTrainCount - kMnistHeldOutCount)
      fail(display(path), fmt::format("line {} says {}; expected a row of the 55,000", rows.size() + 1, row));
    rows.push_back(row);
  }
  if (!lines.eof() || static_cast<std::int64_t>(rows.size()) != kMnistSmallCount)
    fail(display(path),
         fmt::format("{} whole numbers were read; expected {}, one a line", rows.size(), kMnistSmallCount));
  return rows;
}

void verify_mnist(const std::optional<fs::path>& data_dir) {
  const fs::path folder = find_mnist(data_dir);
  const fs::path sums = folder / "SHA256SUMS";
  std::ifstream lines(sums);
  if (!lines) fail(display(sums), "cannot be read; expected the list of the data set's hashes");
  for (std::string expected, name; lines >> expected >> name;) {
    const fs::path path = folder / name;
    const std::string found = sha256_file(path);
    if (found != expected) fail(display(path), fmt::format("has SHA-256 {}; expected {}", found, expected));
  }
}

}  // namespace clout::io
