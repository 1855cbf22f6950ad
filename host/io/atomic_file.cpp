#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/resumable_file.hpp>
#include <clout/kernels/error.hpp>
#include <random>
#include <system_error>

namespace clout::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kGatherBytes = std::size_t{1} << 16;
constexpr mode_t kOwnerGroupOthers = 0666;  // cut by the umask, as for any file a program makes
constexpr int kTries = 100;

constexpr std::string_view kTemporary = ".tmp";

/// What the names of a file's temporary ones begin with: hidden, and short whatever the target's name.
std::string temporary_stem(const fs::path& target) { return "." + target.filename().string().substr(0, 100) + "."; }

/// A name in the same folder: a rename between file systems would copy.
fs::path temporary_name(const fs::path& target) {
  static std::atomic<unsigned> counter{0};
  return target.parent_path() / fmt::format("{}{}-{}-{:08x}{}", temporary_stem(target), ::getpid(),
                                            counter.fetch_add(1), std::random_device{}(), kTemporary);
}

/// Whether temporary_name() made `name` for a file with this stem, in a process that is no longer there.
bool is_left_over(std::string_view name, std::string_view stem) {
  if (!name.starts_with(stem) || !name.ends_with(kTemporary)) return false;
  name.remove_prefix(stem.size());
  int process = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), process);
  const auto rest = static_cast<std::size_t>(end - name.data());
  return error == std::errc() && process > 0 && name[rest] == '-' && ::kill(process, 0) != 0 && errno == ESRCH;
}

/// Deletes the temporary files of `target` that killed runs left.
void remove_left_over(const fs::path& target) {
  const std::string stem = temporary_stem(target);
  std::error_code unreadable;
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable))
    if (is_left_over(entry.path().filename().string(), stem)) ::unlink(entry.path().c_str());
}

/// Deletes a file, or a link to one; what is no file is not a run's.
void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == EISDIR) return;
  fail(display(path), fmt::format("is of an earlier run and cannot be deleted ({}); expected a folder that can be "
                                  "written to",
                                  reason(errno)));
}

/// Where the bytes shall lie: the end of the links, so that a link in a results folder stays one.
fs::path follow_links(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return path;
  const fs::path target = fs::canonical(path, ignored);
  if (target.empty())
    fail(display(path), fmt::format("is a link to {}, which is not there; expected a file, or a name that is free",
                                    display(fs::read_symlink(path, ignored))));
  return target;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : label_(display(path)), target_(follow_links(path)) {
  constexpr std::string_view kExpected = "a folder that exists and can be written to";
  std::error_code error;
  const fs::file_status status = fs::status(target_, error);
  // A name that is too long would be refused by the rename alone: the temporary one is short.
  if (!fs::status_known(status))
    fail(label_, fmt::format("cannot be written ({}); expected {}", error.message(), kExpected));
  if (target_.filename().empty() || fs::is_directory(status)) {
    fail(label_, "is a directory; expected the name of a file to write");
  }
  // A rename onto /dev/null would replace the device.
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fail(label_, "is there and is not a regular file; expected the name of a file to write");
  }
  remove_left_over(target_);
  for (int tries = 0; !descriptor_.is_open(); ++tries) {
    temporary_ = temporary_name(target_);
    descriptor_ = Descriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerGroupOthers));
    if (descriptor_.is_open() || (errno == EEXIST && tries < kTries)) continue;
    const int failure = errno;
    temporary_.clear();
    fail(label_, fmt::format("cannot be written ({}); expected {}", reason(failure), kExpected));
  }
  pending_.reserve(kGatherBytes);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  ensure(descriptor_.is_open(), "AtomicFile written to after its end");
  if (pending_.size() + bytes.size() <= kGatherBytes) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    return;
  }
  flush();
  if (const int error = write_all(descriptor_, bytes); error != 0) give_up(error);
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::finish() {
  ensure(descriptor_.is_open(), "AtomicFile finished after its end");
  flush();
  // EINVAL: a file system that has nothing to sync.
  if (::fsync(descriptor_.get()) != 0 && errno != EINVAL) give_up(errno);
  if (const int error = descriptor_.close(); error != 0) give_up(error);
}

void AtomicFile::publish() {
  ensure(!descriptor_.is_open() && !temporary_.empty(), "AtomicFile published before its end");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) give_up(errno);
  temporary_.clear();
  sync_folder(target_.parent_path());
}

void AtomicFile::commit() {
  finish();
  publish();
}

void AtomicFile::flush() {
  if (const int error = write_all(descriptor_, pending_); error != 0) give_up(error);
  pending_.clear();
}

void AtomicFile::give_up(int error) {
  discard();
  fail(label_,
       fmt::format("cannot be written ({}); expected room for the whole file; no result was put in place", reason(error)));
}

void AtomicFile::discard() noexcept {
  descriptor_.close();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

AtomicFile& ResultFiles::add(const fs::path& path) {
  paths_.push_back(path);
  return *files_.emplace_back(std::make_unique<AtomicFile>(path));
}

void ResultFiles::add(ResumableFile& file) {
  paths_.push_back(file.path());
  large_.push_back(&file);
}

void ResultFiles::commit() {
  for (const auto& file : files_) file->finish();
  for (ResumableFile* file : large_) file->sync();
  for (const fs::path& path : earlier_) {
    if (std::find(paths_.begin(), paths_.end(), path) != paths_.end()) continue;
    remove_left_over(path);
    remove_file(path);
  }
  for (const auto& file : files_) file->publish();
  for (ResumableFile* file : large_) file->publish();
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void make_output_directory(const fs::path& path) {
  constexpr std::string_view kExpected = "a folder that results can be written to";
  const std::string label = display(path);
  if (path.empty()) fail("output folder", fmt::format("has no name; expected {}", kExpected));
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error)) {
    fail(label, fmt::format("is a file; expected {}", kExpected));
  }
  if (!fs::exists(path, error) && fs::is_symlink(path, error)) {
    fail(label, fmt::format("is a link to {}, which is not there; expected {}", display(fs::read_symlink(path, error)),
                            kExpected));
  }
  fs::create_directories(path, error);
  if (error) fail(label, fmt::format("cannot be created ({}); expected {}", error.message(), kExpected));
  remove_left_over(path / "probe");
  const fs::path probe = temporary_name(path / "probe");
  // One byte: a full disk often still takes an empty file.
  Descriptor descriptor(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerGroupOthers));
  const std::byte byte{};
  int failure = descriptor.is_open() ? write_all(descriptor, {&byte, 1}) : errno;
  if (const bool is_there = descriptor.is_open(); is_there) {
    const int on_close = descriptor.close();
    if (failure == 0) failure = on_close;
    ::unlink(probe.c_str());
  }
  if (failure != 0) fail(label, fmt::format("cannot be written to ({}); expected {}", reason(failure), kExpected));
}

}  // namespace clout::io
