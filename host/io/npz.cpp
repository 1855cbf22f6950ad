#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clout/host/io/byte_stream.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/npz.hpp>
#include <optional>

namespace clout::io {
namespace {

constexpr std::string_view kExpected = "a NumPy .npz file";
constexpr std::uint64_t kNone16 = 0xffff, kNone32 = 0xffffffff;  // "look in the zip64 record"

// Names and offsets as in PKWARE's APPNOTE.TXT, 4.3.7 to 4.3.16.
constexpr std::uint64_t kEndSignature = 0x06054b50, kEndBytes = 22, kLongestComment = 0xffff;
constexpr std::uint64_t kEnd64LocatorSignature = 0x07064b50, kEnd64LocatorBytes = 20;
constexpr std::uint64_t kEnd64Signature = 0x06064b50, kEnd64Bytes = 56;
constexpr std::uint64_t kEntrySignature = 0x02014b50, kEntryBytes = 46;
constexpr std::uint64_t kLocalSignature = 0x04034b50, kLocalBytes = 30;
constexpr std::uint64_t kZip64Extra = 1, kEncrypted = 1;
constexpr std::uint64_t kStored = 0, kDeflated = 8;

struct Entry {
  std::string name;
  std::uint64_t flags = 0, method = 0, crc = 0;
  std::uint64_t packed_bytes = 0, bytes = 0;
  std::uint64_t local_offset = 0;
};

/// Little-endian numbers out of a stretch of bytes; every access is checked against the stretch.
class Fields {
 public:
  Fields(std::vector<std::byte> bytes, std::string_view label) : bytes_(std::move(bytes)), label_(label) {}

  std::uint64_t size() const { return bytes_.size(); }
  std::uint64_t number(std::uint64_t offset, std::uint64_t width) const {
    check(offset, width);
    std::uint64_t value = 0;
    for (std::uint64_t i = width; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes_[offset + i]);
    return value;
  }
  std::string text(std::uint64_t offset, std::uint64_t length) const {
    check(offset, length);
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, length};
  }

 private:
  void check(std::uint64_t offset, std::uint64_t width) const {
    if (width > bytes_.size() || offset > bytes_.size() - width) {
      fail(label_, fmt::format("zip directory is damaged; expected {}", kExpected));
    }
  }

  std::vector<std::byte> bytes_;
  std::string_view label_;
};

class Archive {
 public:
  explicit Archive(const std::filesystem::path& path) : file_(path, kExpected) { read_directory(); }

  const std::vector<Entry>& entries() const { return entries_; }
  const std::string& label() const { return file_.label(); }

  NpyArray read(const Entry& entry) const {
    const std::string label = fmt::format("{}: array '{}'", file_.label(), printable(entry.name));
    if ((entry.flags & kEncrypted) != 0) fail(label, "is encrypted; expected an archive of np.savez");
    if (entry.method != kStored && entry.method != kDeflated) {
      fail(label, fmt::format("compression method {} is not supported; expected stored or deflated", entry.method));
    }
    const Fields local = read_fields(entry.local_offset, kLocalBytes);
    if (local.number(0, 4) != kLocalSignature) damaged();
    const std::uint64_t begin = entry.local_offset + kLocalBytes + local.number(26, 2) + local.number(28, 2);
    if (begin > file_.size() || entry.packed_bytes > file_.size() - begin) damaged();
    const std::uint64_t end = begin + entry.packed_bytes;
    if (entry.method == kStored) {
      FileStream stream(file_, begin, end);
      return read_checked(stream, entry, label);
    }
    InflateStream stream(file_, begin, end, InflateStream::Format::raw_deflate);
    return read_checked(stream, entry, label);
  }

 private:
  static NpyArray read_checked(ByteStream& stream, const Entry& entry, const std::string& label) {
    ChecksummedStream checked(stream);
    NpyArray array = read_npy(checked, label);
    if (checked.crc() != entry.crc) fail(label, "checksum is wrong; expected an undamaged archive");
    return array;
  }

  [[noreturn]] void damaged() const {
    fail(file_.label(), fmt::format("zip directory is damaged; expected {}", kExpected));
  }

  Fields read_fields(std::uint64_t offset, std::uint64_t length) const {
    if (length > file_.size() || offset > file_.size() - length) damaged();
    std::vector<std::byte> bytes(length);
    if (file_.read_at(offset, bytes) < length) damaged();
    return {std::move(bytes), file_.label()};
  }

  void read_directory() {
    // The end record is the last thing in the file but for a comment.
    const std::uint64_t tail_bytes = std::min(file_.size(), kEndBytes + kLongestComment);
    const std::uint64_t tail_offset = file_.size() - tail_bytes;
    const Fields tail = read_fields(tail_offset, tail_bytes);
    std::optional<std::uint64_t> found;
    for (std::uint64_t at = tail_bytes < kEndBytes ? 0 : tail_bytes - kEndBytes + 1; at-- > 0 && !found;) {
      if (tail.number(at, 4) == kEndSignature) found = at;
    }
    if (!found) fail(file_.label(), fmt::format("is not a complete zip archive; expected {}", kExpected));

    std::uint64_t count = tail.number(*found + 10, 2);
    std::uint64_t bytes = tail.number(*found + 12, 4), offset = tail.number(*found + 16, 4);
    if (count == kNone16 || bytes == kNone32 || offset == kNone32) {
      const std::uint64_t end = tail_offset + *found;
      if (end < kEnd64LocatorBytes) damaged();
      const Fields locator = read_fields(end - kEnd64LocatorBytes, kEnd64LocatorBytes);
      if (locator.number(0, 4) != kEnd64LocatorSignature) damaged();
      const Fields end64 = read_fields(locator.number(8, 8), kEnd64Bytes);
      if (end64.number(0, 4) != kEnd64Signature) damaged();
      count = end64.number(32, 8);
      bytes = end64.number(40, 8);
      offset = end64.number(48, 8);
    }
    read_entries(read_fields(offset, bytes), count);
  }

  void read_entries(const Fields& directory, std::uint64_t count) {
    std::uint64_t at = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (directory.number(at, 4) != kEntrySignature) damaged();
      const std::uint64_t name_bytes = directory.number(at + 28, 2), extra_bytes = directory.number(at + 30, 2);
      Entry entry{.name = directory.text(at + kEntryBytes, name_bytes),
                  .flags = directory.number(at + 8, 2),
                  .method = directory.number(at + 10, 2),
                  .crc = directory.number(at + 16, 4),
                  .packed_bytes = directory.number(at + 20, 4),
                  .bytes = directory.number(at + 24, 4),
                  .local_offset = directory.number(at + 42, 4)};
      read_zip64(directory, at + kEntryBytes + name_bytes, extra_bytes, entry);
      if (entry.method == kStored && entry.bytes != entry.packed_bytes) damaged();
      if (entry.name.ends_with(".npy")) entry.name.resize(entry.name.size() - 4);
      entries_.push_back(std::move(entry));
      at += kEntryBytes + name_bytes + extra_bytes + directory.number(at + 32, 2);
    }
  }

  /// Replaces those sizes that did not fit in 32 bits by the 64-bit ones of the extra field [at, at + length).
  static void read_zip64(const Fields& directory, std::uint64_t at, std::uint64_t length, Entry& entry) {
    const std::uint64_t end = at + length;
    while (at + 4 <= end) {
      const std::uint64_t id = directory.number(at, 2);
      at += 4;
      const std::uint64_t next = at + directory.number(at - 2, 2);
      if (id == kZip64Extra) {
        for (std::uint64_t* field : {&entry.bytes, &entry.packed_bytes, &entry.local_offset}) {
          if (*field != kNone32) continue;
          *field = directory.number(at, 8);
          at += 8;
        }
      }
      at = next;
    }
  }

  File file_;
  std::vector<Entry> entries_;
};

}  // namespace

std::vector<std::string> npz_members(const std::filesystem::path& path) {
  const Archive archive(path);
  std::vector<std::string> names;
  for (const Entry& entry : archive.entries()) names.push_back(entry.name);
  return names;
}

NpyArray read_npz(const std::filesystem::path& path, std::string_view name) {
  const Archive archive(path);
  const std::string_view stem = name.ends_with(".npy") ? name.substr(0, name.size() - 4) : name;
  std::vector<std::string> names;
  for (const Entry& entry : archive.entries()) {
    if (entry.name == stem) return archive.read(entry);
    names.push_back(printable(entry.name));
  }
  fail(archive.label(),
       fmt::format("holds no array '{}'; expected one of: {}", printable(stem), fmt::join(names, ", ")));
}

}  // namespace clout::io
