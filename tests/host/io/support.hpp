#pragma once
// What the tests of files share: a folder that goes away, raw bytes, and the message of an expected error.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <clout/kernels/error.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

namespace clout::io::testing {

namespace fs = std::filesystem;

/// A new empty folder, deleted at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "clout-io-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  /// Entries of the folder, hidden ones included.
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_;
};

inline void write_bytes(const fs::path& path, std::string_view bytes) {
  // ext4 flushes a file that was cut to nothing and written again: thousands of those would take minutes.
  fs::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

inline std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The message of the InvalidInput that `call` must throw; "" (and a failed test) where it does not.
inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const InvalidInput& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << "not one line: " << message;
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error than InvalidInput: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

/// The whole convention: the message begins with the path, says `what`, and says what was expected.
inline void expect_refused(const fs::path& path, std::string_view what, const std::function<void()>& call) {
  const std::string message = message_of(call);
  EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
  EXPECT_NE(message.find(what), std::string::npos) << "\"" << message << "\" lacks \"" << what << '"';
  EXPECT_NE(message.find("; expected "), std::string::npos) << message;
}

/// Runs `call` in a child process, whose limits and privileges may be changed at will: true where it returned true.
inline bool succeeds_in_child(const std::function<bool()>& call) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    bool ok = false;
    try {
      ok = call();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
    }
    std::fflush(nullptr);
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// For a child: no file may grow beyond `bytes`; writing on fails with EFBIG, as a full disk does with ENOSPC.
inline void limit_file_size(std::uint64_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit");
}

/// For a child: gives up root's right to write everywhere.
inline void drop_privileges() {
  constexpr uid_t kNobody = 65534;
  if (::geteuid() == 0 && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) throw std::runtime_error("setuid");
}

}  // namespace clout::io::testing
