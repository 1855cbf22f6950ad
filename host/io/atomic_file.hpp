#pragma once
// Results appear whole or not at all: written beside their place, then renamed into it.

#include <clout/host/io/file.hpp>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace clout::io {

/// A file being written. Until publish() returns, `path` is what it was before; without it nothing is left.
/// A process that wants to survive a file-size limit (RLIMIT_FSIZE) must ignore SIGXFSZ.
class AtomicFile {
 public:
  /// Opens a temporary file in the folder of `path` (of its target, where it is a symbolic link); those that killed
  /// runs left of the same file go. Throws InvalidInput where that folder does not exist or cannot be written to, where
  /// `path` is there but is no regular file, or a link to nothing, and where no file can have that name.
  explicit AtomicFile(const std::filesystem::path& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends. Throws InvalidInput where the bytes cannot be written (disk full, size limit); nothing is left then.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Everything to the disk, under the temporary name. Throws as write() does.
  void finish();
  /// The rename, after finish(). Throws as write() does.
  void publish();
  /// Both.
  void commit();

 private:
  [[noreturn]] void give_up(int error);
  void flush();
  void discard() noexcept;

  std::string label_;
  std::filesystem::path target_, temporary_;
  Descriptor descriptor_;
  std::vector<std::byte> pending_;
};

class ResumableFile;

/// The result files of one run: all are written under temporary names before the first takes its place, so that a write
/// that fails leaves no mixture of new and old. Without commit() nothing is left.
class ResultFiles {
 public:
  /// A file to be written to; finish() and publish() are commit()'s.
  AtomicFile& add(const std::filesystem::path& path);
  void add(const std::filesystem::path& path, std::string_view text) { add(path).write(text); }
  /// A file that is written to elsewhere; it takes its place after all others.
  void add(ResumableFile& file);
  /// An earlier run's result at `path` must not stand beside these: unless it is one of them it is deleted once all are written and before the first takes its place.
  void supersede(const std::filesystem::path& path) { earlier_.push_back(path); }

  /// Of all that was added.
  const std::vector<std::filesystem::path>& paths() const { return paths_; }

  /// In the order of add(). To be called once, last.
  void commit();

 private:
  std::vector<std::filesystem::path> paths_, earlier_;
  std::vector<std::unique_ptr<AtomicFile>> files_;
  std::vector<ResumableFile*> large_;
};

/// Writes a whole file of text.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Creates `path` and its parents where they are missing, and makes sure that files can be written there (by writing
/// one). Throws InvalidInput with the reason where not.
void make_output_directory(const std::filesystem::path& path);

}  // namespace clout::io
