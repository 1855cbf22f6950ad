#include <fmt/format.h>
#include <zlib.h>

#include <charconv>
#include <clout/host/io/byte_stream.hpp>
#include <clout/host/io/packed_text.hpp>
#include <clout/kernels/error.hpp>

namespace clout::io {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr int kGzipWindow = 15 + 16, kBestMemory = 9;

}  // namespace

std::string read_packed_text(const std::filesystem::path& path, std::string_view expected) {
  const File file(path, expected);
  const auto stream = open_stream(file);
  std::string text;
  for (;;) {
    const std::size_t before = text.size();
    text.resize(before + kPiece);
    const std::size_t got = stream->read(std::as_writable_bytes(std::span(text).subspan(before)));
    text.resize(before + got);
    if (got < kPiece) return text;
  }
}

std::string gzip(std::string_view text) {
  z_stream z{};
  ensure(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, kBestMemory, Z_DEFAULT_STRATEGY) == Z_OK,
         "zlib could not be started");
  std::string packed(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);
  ensure(status == Z_STREAM_END, "zlib did not finish");
  return packed;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines = fields_of(text, '\n');
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string_view> fields_of(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t end = line.find(separator);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

std::int64_t parse_whole(std::string_view text, std::int64_t most, std::string_view label, std::string_view what) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most)
    fail(label, fmt::format("{} is {}; expected an integer from 0 to {}", what, printable(text), most));
  return value;
}

}  // namespace clout::io
