#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clout/host/io/file.hpp>
#include <clout/kernels/error.hpp>
#include <system_error>

namespace clout::io {
namespace {

// Linux moves at most 2 GiB − 4 KiB per call; whole gibibytes keep the pieces aligned.
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;

}  // namespace

std::string display(const std::filesystem::path& path) {
  std::string out;
  for (const char c : path.string()) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7f) {
      out += fmt::format("\\x{:02x}", code);
    } else {
      out += c;
    }
  }
  return out;
}

std::string printable(std::string_view bytes, std::size_t limit) {
  std::string out;
  for (const char c : bytes.substr(0, limit)) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code >= 0x7f) {
      out += fmt::format("\\x{:02x}", code);
    } else {
      out += c;
    }
  }
  if (bytes.size() > limit) out += "...";
  return out;
}

void fail(std::string_view label, std::string_view what) { throw InvalidInput(fmt::format("{}: {}", label, what)); }

std::string reason(int error) { return std::generic_category().message(error); }

int Descriptor::close() noexcept {
  if (fd_ < 0) return 0;
  // Linux releases the descriptor even where close fails: never twice.
  return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno;
}

int write_all(const Descriptor& file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), std::min(bytes.size(), kLargestTransfer));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path place = folder.empty() ? std::filesystem::path(".") : folder;
  const Descriptor descriptor(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.is_open()) ::fsync(descriptor.get());
}

File::File(const std::filesystem::path& path, std::string_view expected) : label_(display(path)) {
  // Opening a pipe that nobody writes to would wait for ever: O_NONBLOCK, and the type is checked below.
  descriptor_ = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor_.is_open()) {
    const int error = errno;
    if (error == ENOENT) fail(label_, fmt::format("no such file; expected {}", expected));
    fail(label_, fmt::format("cannot be opened ({}); expected {}", reason(error), expected));
  }
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) {
    fail(label_, fmt::format("cannot be examined ({}); expected {}", reason(errno), expected));
  }
  if (S_ISDIR(status.st_mode)) fail(label_, fmt::format("is a directory; expected {}", expected));
  if (!S_ISREG(status.st_mode)) fail(label_, fmt::format("is not a regular file; expected {}", expected));
  if (status.st_size == 0) fail(label_, fmt::format("is empty; expected {}", expected));
  size_ = static_cast<std::uint64_t>(status.st_size);
}

std::size_t File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(descriptor_.get(), out.data() + done, std::min(out.size() - done, kLargestTransfer),
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(label_, fmt::format("reading failed ({}); expected a readable file", reason(errno)));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::string read_text(const std::filesystem::path& path, std::string_view expected) {
  const File file(path, expected);
  std::string text(file.size(), '\0');
  text.resize(file.read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace clout::io
