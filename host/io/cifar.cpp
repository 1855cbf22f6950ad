#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clout/host/io/byte_stream.hpp>
#include <clout/host/io/cifar.hpp>
#include <clout/host/io/data_folders.hpp>
#include <system_error>

namespace clout::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExpected = "records of 3,073 bytes as in CIFAR-10 (plain or gzip)";
constexpr std::size_t kRecord = static_cast<std::size_t>(kCifarPixels) + 1;
constexpr int kMostLabel = 9;

}  // namespace

CifarImages read_cifar(const fs::path& path) {
  const File file(path, kExpected);
  const auto stream = open_stream(file);
  CifarImages images;
  std::vector<std::uint8_t> record(kRecord);
  for (std::size_t got; (got = stream->read(std::as_writable_bytes(std::span(record)))) > 0;) {
    if (got < kRecord)
      fail(file.label(), fmt::format("record {} ends after {} bytes; expected {}", images.count, got, kExpected));
    if (record[0] > kMostLabel)
      fail(file.label(), fmt::format("record {} has label {}; expected 0 to {}", images.count, record[0], kMostLabel));
    images.labels.push_back(record[0]);
    images.pixels.insert(images.pixels.end(), record.begin() + 1, record.end());
    ++images.count;
  }
  if (images.count == 0) fail(file.label(), fmt::format("holds no record; expected {}", kExpected));
  return images;
}

fs::path find_cifar(const std::string& name, const std::string& part, const std::optional<fs::path>& data_dir) {
  std::vector<std::string> looked;
  for (const fs::path& folder : data_folders(data_dir))
    for (const char* ending : {".bin.gz", ".bin"}) {
      const fs::path place = folder / name / (part + ending);
      std::error_code ignored;
      if (fs::exists(place, ignored)) return place;
      looked.push_back(display(place));
    }
  fail(name, fmt::format("{}.bin.gz not found; looked for {}; expected one of these: name the folder above {} in the "
                         "environment variable CLOUT_DATA",
                         part, fmt::join(looked, ", "), name));
}

}  // namespace clout::io
