#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <clout/host/io/byte_stream.hpp>
#include <clout/kernels/error.hpp>

namespace clout::io {
namespace {

// Deflate turns one bit pair into at most 258 bytes: no stream grows by more than 1032, and what zlib holds back
// between calls (a match cut short, a few bits) is far below the second constant.
constexpr std::uint64_t kLargestExpansion = 1032;
constexpr std::uint64_t kHeldBack = 4096;
constexpr std::size_t kInputPiece = std::size_t{1} << 16;
constexpr int kRawWindow = -15, kGzipWindow = 15 + 16;

}  // namespace

std::size_t FileStream::read(std::span<std::byte> out) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end_ - at_));
  const std::size_t got = file_->read_at(at_, out.first(wanted));
  at_ += got;
  return got;
}

struct InflateStream::State {
  z_stream z{};
  std::array<std::byte, kInputPiece> input{};
};

InflateStream::InflateStream(const File& file, std::uint64_t begin, std::uint64_t end, Format format)
    : file_(&file), source_(file, begin, end), format_(format), state_(std::make_unique<State>()) {
  const int window = format == Format::gzip ? kGzipWindow : kRawWindow;
  ensure(inflateInit2(&state_->z, window) == Z_OK, "zlib could not be started");
}

InflateStream::~InflateStream() { inflateEnd(&state_->z); }

std::uint64_t InflateStream::at_most() const {
  if (finished_) return 0;
  return (source_.at_most() + state_->z.avail_in) * kLargestExpansion + kHeldBack;
}

void InflateStream::refill() {
  z_stream& z = state_->z;
  if (z.avail_in > 0) return;
  z.avail_in = static_cast<uInt>(source_.read(state_->input));
  z.next_in = reinterpret_cast<Bytef*>(state_->input.data());
}

std::unique_ptr<ByteStream> open_stream(const File& file) {
  std::array<std::byte, 2> begin{};
  const bool is_gzip = file.read_at(0, begin) == 2 && begin[0] == std::byte{0x1f} && begin[1] == std::byte{0x8b};
  if (is_gzip) return std::make_unique<InflateStream>(file, 0, file.size(), InflateStream::Format::gzip);
  return std::make_unique<FileStream>(file, 0, file.size());
}

// A gzip file may hold several members one after the other; anything else behind the first is refused.
bool InflateStream::begin_next_member() {
  refill();
  const z_stream& z = state_->z;
  if (z.avail_in == 0) return false;
  const bool is_member = format_ == Format::gzip && *z.next_in == 0x1f;
  if (!is_member) fail(file_->label(), "compressed data is followed by other bytes; expected nothing behind it");
  inflateReset(&state_->z);
  return true;
}

std::size_t InflateStream::read(std::span<std::byte> out) {
  z_stream& z = state_->z;
  std::size_t done = 0;
  while (done < out.size() && !finished_) {
    refill();
    const std::size_t piece = std::min<std::size_t>(out.size() - done, std::size_t{1} << 30);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    z.avail_out = static_cast<uInt>(piece);
    const bool input_is_over = z.avail_in == 0;
    const int status = inflate(&z, Z_NO_FLUSH);
    done += piece - z.avail_out;
    if (status == Z_STREAM_END) {
      finished_ = !begin_next_member();
    } else if (status == Z_BUF_ERROR && input_is_over) {
      fail(file_->label(), "compressed data stops early (truncated); expected a complete file");
    } else if (status == Z_MEM_ERROR) {
      throw OutOfMemory(fmt::format("{}: not enough memory to decompress", file_->label()));
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(file_->label(), fmt::format("compressed data is corrupt ({}); expected an undamaged file",
                                       z.msg != nullptr ? z.msg : "needs a dictionary"));
    }
  }
  return done;
}

std::size_t ChecksummedStream::read(std::span<std::byte> out) {
  const std::size_t got = source_->read(out);
  crc_ = crc32_of(out.first(got), crc_);
  return got;
}

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t crc) {
  if (bytes.empty()) return crc;  // zlib takes a null pointer for "begin anew"
  return static_cast<std::uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace clout::io
