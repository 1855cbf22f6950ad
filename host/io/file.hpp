#pragma once
// Files as every reader here opens them, and the wording that all errors about files share.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace clout::io {

/// A path as it stands in a one-line message: control characters (a newline may be part of a name) are escaped.
std::string display(const std::filesystem::path& path);

/// Bytes that came out of a file, as they may stand in a message: anything but printable ASCII is escaped, and the text
/// is cut after `limit` characters.
std::string printable(std::string_view bytes, std::size_t limit = 80);

/// Throws InvalidInput with the message "label: what". By convention `what` ends with "; expected …".
[[noreturn]] void fail(std::string_view label, std::string_view what);

/// What the operating system says about `error` (an errno value).
std::string reason(int error);

/// Owner of a POSIX file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const noexcept { return fd_; }
  bool is_open() const noexcept { return fd_ >= 0; }
  /// 0, or the errno of a failed close (some file systems report a full disk only then).
  int close() noexcept;

 private:
  int fd_ = -1;
};

/// Writes all of `bytes` at the descriptor's position; 0, or the errno that stopped it.
int write_all(const Descriptor& file, std::span<const std::byte> bytes);

/// Makes a rename or a creation in `folder` durable. Not every file system can, so nothing is said where it cannot.
void sync_folder(const std::filesystem::path& folder);

/// A regular file opened for reading.
class File {
 public:
  /// `expected` ends the error messages: "a NumPy .npy file". Throws InvalidInput where `path` does not exist, is a
  /// directory (or anything but a regular file), cannot be read, or is empty.
  File(const std::filesystem::path& path, std::string_view expected);

  std::uint64_t size() const noexcept { return size_; }
  /// The path, as messages begin with it.
  const std::string& label() const noexcept { return label_; }

  /// Fills `out` with the bytes from `offset`; returns how many there were, fewer than asked only at the end of the
  /// file.
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string label_;
  Descriptor descriptor_;
  std::uint64_t size_ = 0;
};

/// All of a file; errors as File's.
std::string read_text(const std::filesystem::path& path, std::string_view expected);

}  // namespace clout::io
