#pragma once
// Bytes in order, from a stretch of a file, compressed or not: what all readers share.

#include <clout/host/io/file.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace clout::io {

class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;

  /// Fills `out` from its front; returns the number of bytes, fewer than asked only at the end.
  virtual std::size_t read(std::span<std::byte> out) = 0;

  /// No more than this many bytes are still to come: a reader allocates nothing larger on a header's word.
  virtual std::uint64_t at_most() const = 0;
};

/// The bytes [begin, end) of `file`, which must outlive the stream.
class FileStream final : public ByteStream {
 public:
  FileStream(const File& file, std::uint64_t begin, std::uint64_t end) : file_(&file), at_(begin), end_(end) {}
  std::size_t read(std::span<std::byte> out) override;
  std::uint64_t at_most() const override { return end_ - at_; }

 private:
  const File* file_;
  std::uint64_t at_, end_;
};

/// The bytes that the compressed stretch [begin, end) of `file` stands for. Throws InvalidInput, beginning with the
/// file's label, where the data is corrupt (for gzip: checksum and length included), stops early, or goes on behind the
/// end. The checks behind the last byte are done by the read that returns fewer bytes than asked.
class InflateStream final : public ByteStream {
 public:
  enum class Format { gzip, raw_deflate };
  InflateStream(const File& file, std::uint64_t begin, std::uint64_t end, Format format);
  ~InflateStream() override;
  std::size_t read(std::span<std::byte> out) override;
  std::uint64_t at_most() const override;

 private:
  struct State;
  void refill();
  bool begin_next_member();

  const File* file_;
  FileStream source_;
  Format format_;
  std::unique_ptr<State> state_;
  bool finished_ = false;
};

/// All of `file`, which must outlive the stream: unpacked where it is gzip.
std::unique_ptr<ByteStream> open_stream(const File& file);

/// Passes `source` on and keeps the CRC-32 of what went by.
class ChecksummedStream final : public ByteStream {
 public:
  explicit ChecksummedStream(ByteStream& source) : source_(&source) {}
  std::size_t read(std::span<std::byte> out) override;
  std::uint64_t at_most() const override { return source_->at_most(); }
  std::uint32_t crc() const { return crc_; }

 private:
  ByteStream* source_;
  std::uint32_t crc_ = 0;
};

/// CRC-32 (zlib's) of `bytes`, going on from `crc`.
std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace clout::io
