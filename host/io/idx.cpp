#include <fmt/format.h>

#include <array>
#include <clout/host/io/byte_stream.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/idx.hpp>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace clout::io {
namespace {

constexpr std::uint32_t kImagesMagic = 2051, kLabelsMagic = 2049;
constexpr std::string_view kExpected = "an IDX file (plain or gzip)";

std::uint32_t read_number(ByteStream& stream, const File& file) {
  std::array<std::byte, 4> bytes{};
  if (stream.read(bytes) < bytes.size()) {
    fail(file.label(), fmt::format("ends within its header; expected {}", kExpected));
  }
  std::uint32_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint32_t>(byte);
  return value;
}

void check_magic(std::uint32_t found, std::uint32_t expected, const File& file) {
  if (found == expected) return;
  const auto kind = [](std::uint32_t magic) {
    return magic == kImagesMagic ? " (images)" : magic == kLabelsMagic ? " (labels)" : "";
  };
  fail(file.label(), fmt::format("magic number is {}{}; expected {}{}", found, kind(found), expected, kind(expected)));
}

/// Reads count·item_bytes bytes and makes sure that they are the last.
std::vector<std::uint8_t> read_items(ByteStream& stream, const File& file, std::uint64_t count,
                                     std::uint64_t item_bytes) {
  std::uint64_t needed = 0;
  if (__builtin_mul_overflow(count, item_bytes, &needed)) needed = std::numeric_limits<std::uint64_t>::max();
  const auto complain = [&](std::string_view found) {
    fail(file.label(), fmt::format("header promises {} items of {} bytes, but {}; expected {} bytes behind the header",
                                   count, item_bytes, found, needed));
  };
  if (needed > stream.at_most()) complain(fmt::format("the file cannot hold more than {} bytes", stream.at_most()));
  std::vector<std::uint8_t> items(needed);
  const std::size_t got = stream.read(std::as_writable_bytes(std::span(items)));
  if (got < needed) complain(fmt::format("the data ends after {} bytes", got));
  std::byte behind{};
  if (stream.read({&behind, 1}) > 0) complain("the data goes on behind them");
  return items;
}

}  // namespace

IdxImages read_idx_images(const std::filesystem::path& path) {
  const File file(path, kExpected);
  const auto stream = open_stream(file);
  check_magic(read_number(*stream, file), kImagesMagic, file);
  const std::uint64_t count = read_number(*stream, file);
  const std::uint64_t rows = read_number(*stream, file);
  const std::uint64_t columns = read_number(*stream, file);
  if (rows == 0 || columns == 0) {
    fail(file.label(), fmt::format("images are {} x {}; expected at least one pixel", rows, columns));
  }
  IdxImages images{
      static_cast<std::int64_t>(count), static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), {}};
  images.pixels = read_items(*stream, file, count, rows * columns);
  return images;
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path) {
  const File file(path, kExpected);
  const auto stream = open_stream(file);
  check_magic(read_number(*stream, file), kLabelsMagic, file);
  const std::uint64_t count = read_number(*stream, file);
  return read_items(*stream, file, count, 1);
}

IdxPair load_idx_pair(const std::filesystem::path& images, const std::filesystem::path& labels) {
  IdxPair pair{read_idx_images(images), read_idx_labels(labels)};
  if (static_cast<std::uint64_t>(pair.images.count) != pair.labels.size()) {
    fail(display(labels), fmt::format("holds {} labels, but {} holds {} images; expected one label per image",
                                      pair.labels.size(), display(images), pair.images.count));
  }
  return pair;
}

}  // namespace clout::io
