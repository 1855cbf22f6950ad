#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clout/host/io/resumable_file.hpp>
#include <clout/kernels/error.hpp>

namespace clout::io {

namespace fs = std::filesystem;

fs::path ResumableFile::unfinished(const fs::path& path) {
  return path.parent_path() / ("." + path.filename().string() + ".part");
}

ResumableFile::ResumableFile(const fs::path& path, std::uint64_t bytes, bool resume)
    : label_(display(path)), target_(path), temporary_(unfinished(path)), size_(bytes) {
  std::error_code unknown;
  const fs::file_status status = fs::status(target_, unknown);
  if (fs::exists(status) && !fs::is_regular_file(status))
    fail(label_, "is there and is not a regular file; expected the name of a file to write");
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (resume ? 0 : O_CREAT | O_TRUNC);
  descriptor_ = Descriptor(::open(temporary_.c_str(), flags, 0666));
  if (!descriptor_.is_open())
    fail(display(temporary_), fmt::format("cannot be opened ({}); expected {}", reason(errno),
                                          resume ? "what an interrupted run has written of its result: delete the "
                                                   "journal beside it to start again"
                                                 : "a folder that exists and can be written to"));
  if (!resume) {
    take_room(bytes);
    return;
  }
  struct stat found {};
  if (::fstat(descriptor_.get(), &found) != 0 || static_cast<std::uint64_t>(found.st_size) != bytes)
    fail(display(temporary_),
         fmt::format("has {} bytes; expected {}: delete the journal beside it to start again", found.st_size, bytes));
}

void ResumableFile::take_room(std::uint64_t bytes) {
  // Now, not after hours: a file with holes would meet the end of the disk somewhere in the middle.
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(descriptor_.get(), 0, static_cast<off_t>(bytes));
  if (error == 0) return;
  discard();
  fail(label_, fmt::format("cannot be written ({}); expected room for its {} bytes, nothing was left behind",
                           reason(error), bytes));
}

void ResumableFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  ensure(descriptor_.is_open(), "ResumableFile written to after its end");
  ensure(offset + bytes.size() <= size_, "ResumableFile written to behind its end");
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail(label_, fmt::format("cannot be written ({}); expected room for the whole file", reason(errno)));
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
}

void ResumableFile::sync() {
  // EINVAL: a file system that has nothing to sync.
  if (::fdatasync(descriptor_.get()) != 0 && errno != EINVAL)
    fail(label_, fmt::format("cannot be written ({}); expected room for the whole file", reason(errno)));
}

void ResumableFile::publish() {
  ensure(descriptor_.is_open(), "ResumableFile published twice");
  if (const int error = descriptor_.close(); error != 0)
    fail(label_, fmt::format("cannot be written ({}); expected room for the whole file", reason(error)));
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    fail(label_,
         fmt::format("cannot be put in its place ({}); expected a folder that can be written to", reason(errno)));
  temporary_.clear();
  sync_folder(target_.parent_path());
}

void ResumableFile::discard() noexcept {
  descriptor_.close();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

}  // namespace clout::io
