#pragma once
// A large result that is written in pieces, in any order, over more than one run if need be.

#include <clout/host/io/file.hpp>
#include <cstdint>
#include <filesystem>
#include <span>

namespace clout::io {

/// A file of known size under a temporary name, until publish() gives it its own. Unlike an AtomicFile it stays when it
/// is given up, unless discard() is called: what pieces of it are written is for a Journal to know.
class ResumableFile {
 public:
  /// `.NAME.part` beside `path`: where `resume` is not set, made (anew), `bytes` long, its room taken on the disk at
  /// once. Throws InvalidInput where there is no such room (nothing is left then), where it cannot be made, where
  /// `path` is there but is no regular file, and, with `resume`, where it is not there or of another size.
  ResumableFile(const std::filesystem::path& path, std::uint64_t bytes, bool resume);

  /// Throws InvalidInput where the bytes cannot be written.
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// What is written to the disk. Throws as write() does.
  void sync();
  /// The rename, after sync(). Throws as write() does.
  void publish();
  /// Deletes what is not published.
  void discard() noexcept;

  const std::filesystem::path& path() const { return target_; }
  /// Where what is not published lies.
  static std::filesystem::path unfinished(const std::filesystem::path& path);

 private:
  void take_room(std::uint64_t bytes);

  std::string label_;
  std::filesystem::path target_, temporary_;
  Descriptor descriptor_;
  std::uint64_t size_;
};

}  // namespace clout::io
