// Results whole or not at all, under a full disk, a size limit, missing rights and odd targets.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/npy.hpp>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::message_of;
using testing::read_bytes;
using testing::succeeds_in_child;
using testing::TemporaryFolder;
using testing::write_bytes;
namespace fs = std::filesystem;

TEST(AtomicFile, AppearsOnCommitOnly) {
  const TemporaryFolder folder;
  const fs::path path = folder / "result";
  {
    AtomicFile file(path);
    file.write("one ");
    file.write(std::string(200000, 'x'));
    file.write(" two");
    EXPECT_FALSE(fs::exists(path));
    file.commit();
    EXPECT_EQ(read_bytes(path), "one " + std::string(200000, 'x') + " two");
    EXPECT_THROW(file.write("more"), InternalError);
  }
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(AtomicFile, LeavesTheOldFileWithoutCommit) {
  const TemporaryFolder folder;
  const fs::path path = folder / "result";
  write_bytes(path, "old");
  {
    AtomicFile file(path);
    file.write(std::string(200000, 'x'));
  }
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(folder.entries(), 1u);
  write_file(path, "new");
  EXPECT_EQ(read_bytes(path), "new");
}

TEST(ResultFiles, AppearTogetherOrNotAtAll) {
  const TemporaryFolder folder;
  const fs::path first = folder / "first", second = folder / "second";
  write_bytes(first, "old");
  fs::create_directory(second);
  const auto write_both = [&] {
    ResultFiles results;
    results.add(first, "new");
    results.add(second, "new");
    EXPECT_EQ(read_bytes(first), "old");
    results.commit();
  };
  expect_refused(second, "is a directory", write_both);
  EXPECT_EQ(read_bytes(first), "old");
  EXPECT_EQ(folder.entries(), 2u);
  fs::remove(second);
  write_both();
  EXPECT_EQ(read_bytes(first) + read_bytes(second), "newnew");
  EXPECT_EQ(folder.entries(), 2u);
}

TEST(ResultFiles, LeaveNothingOfAnEarlierRunBesideThem) {
  const TemporaryFolder folder;
  for (const char* name : {"kept", "gone", ".gone.part", "other"}) write_bytes(folder / name, "old");
  fs::create_directory(folder / "folder");
  {
    ResultFiles results;
    for (const char* name : {"kept", "gone", "folder", "never"}) results.supersede(folder / name);
    results.add(folder / "kept", "new");
    EXPECT_EQ(folder.entries(), 6u);  // a temporary one beside them
  }
  EXPECT_EQ(folder.entries(), 5u);
  ResultFiles results;
  for (const char* name : {"kept", "gone", "folder", "never"}) results.supersede(folder / name);
  results.add(folder / "kept", "new");
  results.commit();
  EXPECT_EQ(read_bytes(folder / "kept") + read_bytes(folder / "other"), "newold");
  EXPECT_TRUE(fs::is_directory(folder / "folder"));
  EXPECT_TRUE(fs::exists(folder / ".gone.part"));  // unfinished work of another run is not this one's
  EXPECT_EQ(folder.entries(), 4u);
}

TEST(AtomicFile, DeletesWhatKilledProcessesLeftOfIt) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const std::string gone = std::to_string(child), here = std::to_string(::getpid());
  write_bytes(folder / (".result." + gone + "-0-0123abcd.tmp"), "x");
  const std::string others[] = {".result." + here + "-9-0123abcd.tmp", ".other." + gone + "-0-0123abcd.tmp",
                                ".result.tmp", ".result." + gone + ".tmp", ".result.mine-0-0.tmp"};
  for (const std::string& name : others) write_bytes(folder / name, "x");
  write_file(folder / "result", "x");
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(folder / name)) << name;
  EXPECT_EQ(folder.entries(), std::size(others) + 1);
}

TEST(AtomicFile, RefusesALinkToNothing) {
  const TemporaryFolder folder;
  fs::create_symlink("nowhere", folder / "link");
  expect_refused(folder / "link", "is a link to nowhere, which is not there",
                 [&] { write_file(folder / "link", "x"); });
  expect_refused(folder / "link", "is a link to nowhere, which is not there",
                 [&] { make_output_directory(folder / "link"); });
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(AtomicFile, HasTheRightsOfAnOrdinaryFile) {
  const TemporaryFolder folder;
  const mode_t old = ::umask(022);
  write_file(folder / "result", "x");
  ::umask(old);
  EXPECT_EQ(fs::status(folder / "result").permissions(), static_cast<fs::perms>(0644));
}

TEST(AtomicFile, WritesWhereALinkPoints) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "elsewhere");
  write_bytes(folder / "elsewhere/target", "old");
  fs::create_symlink("elsewhere/target", folder / "link");
  write_file(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_bytes(folder / "elsewhere/target"), "new");
}

TEST(AtomicFile, TakesNamesAsLongAsTheFileSystemDoes) {
  const TemporaryFolder folder;
  const fs::path path = folder / std::string(255, 'n');
  write_file(path, "x");
  EXPECT_EQ(read_bytes(path), "x");
  expect_refused(folder / std::string(256, 'n'), "File name too long",
                 [&] { write_file(folder / std::string(256, 'n'), "x"); });
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(AtomicFile, RefusesTargetsThatAreNoFiles) {
  const TemporaryFolder folder;
  expect_refused(folder.path(), "is a directory", [&] { write_file(folder.path(), "x"); });
  expect_refused(folder.path() / "", "is a directory", [&] { write_file(folder.path() / "", "x"); });
  const fs::path lost = folder / "no/such/result";
  expect_refused(lost, "No such file or directory", [&] { write_file(lost, "x"); });
  write_bytes(folder / "file", "x");
  const fs::path below = folder / "file/result";
  expect_refused(below, "Not a directory", [&] { write_file(below, "x"); });
  // A pipe stands for /dev/null, which root would replace by a file if this check were ever lost: not to be tried on
  // the machine's own.
  const fs::path pipe = folder / "pipe", link = folder / "link";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink("pipe", link);
  for (const fs::path& path : {pipe, link}) {
    expect_refused(path, "is there and is not a regular file", [&] { write_file(path, "x"); });
  }
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(AtomicFile, RefusesAnUnwritableFolder) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const fs::path path = folder / "x.npy";
  EXPECT_TRUE(succeeds_in_child([&] {
    testing::drop_privileges();
    const std::string message = message_of([&] { write_npy(path, {1}, std::vector<double>{1}); });
    return message.starts_with(path.string() + ": cannot be written (Permission denied)");
  }));
  fs::permissions(folder.path(), fs::perms::owner_all);
  EXPECT_EQ(folder.entries(), 0u);
}

// The limit falls at every kind of place: in the header, in the first flush, in large writes, one byte before the end.
TEST(AtomicFile, LeavesNothingWhereTheSizeLimitStrikes) {
  const std::vector<double> values(20000, 1.0);
  for (const std::uint64_t limit : {0, 1, 100, 128, 4096, 65536, 100000, 160127}) {
    for (const bool is_old_there : {false, true}) {
      const TemporaryFolder folder;
      const fs::path path = folder / "x.npy";
      if (is_old_there) write_bytes(path, "old");
      EXPECT_TRUE(succeeds_in_child([&] {
        testing::limit_file_size(limit);
        const std::string message = message_of([&] { write_npy(path, {20000}, values); });
        return message.starts_with(path.string() + ": cannot be written (File too large)");
      })) << limit;
      EXPECT_EQ(folder.entries(), is_old_there ? 1u : 0u);
      if (is_old_there) {
        EXPECT_EQ(read_bytes(path), "old");
      }
    }
  }
  const TemporaryFolder folder;
  EXPECT_TRUE(succeeds_in_child([&] {
    testing::limit_file_size(160128);
    write_npy(folder / "x.npy", {20000}, values);
    return true;
  }));
  EXPECT_EQ(read_npy(folder / "x.npy").size(), 20000u);
}

// A real full disk: a file system of 64 KiB in a mount namespace of the child's own.
TEST(AtomicFile, LeavesNothingOnAFullDisk) {
  const TemporaryFolder folder;
  const auto mount_small_disk = [&] {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") == 0;
  };
  if (!succeeds_in_child(mount_small_disk))
    GTEST_SKIP() << "not allowed to mount a tmpfs; the size limit test stands in";
  EXPECT_TRUE(succeeds_in_child([&] {
    if (!mount_small_disk()) return false;
    const std::vector<double> values(20000, 1.0);
    write_npy(folder / "small.npy", {10}, std::span(values).first(10));
    const std::string message = message_of([&] { write_npy(folder / "x.npy", {20000}, values); });
    std::fprintf(stderr, "%s\n", message.c_str());
    return message.find("No space left on device") != std::string::npos && folder.entries() == 1 &&
           read_npy(folder / "small.npy").size() == 10;
  }));
}

TEST(WriteAll, ReportsAFullDevice) {
  const Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.is_open());
  const std::byte byte{};
  EXPECT_EQ(write_all(full, {&byte, 1}), ENOSPC);
}

TEST(MakeOutputDirectory, CreatesParentsAndLeavesNoProbe) {
  const TemporaryFolder folder;
  make_output_directory(folder / "a/b/c");
  make_output_directory(folder / "a/b/c");
  EXPECT_TRUE(fs::is_empty(folder / "a/b/c"));
}

TEST(MakeOutputDirectory, SaysWhyNot) {
  const TemporaryFolder folder;
  const fs::path file = folder / "file";
  write_bytes(file, "x");
  expect_refused(file, "is a file", [&] { make_output_directory(file); });
  expect_refused(file / "below", "cannot be created (Not a directory)", [&] { make_output_directory(file / "below"); });
  expect_refused("/proc/clout", "cannot be created", [] { make_output_directory("/proc/clout"); });
  expect_refused("/proc/self", "cannot be written to", [] { make_output_directory("/proc/self"); });
  EXPECT_NE(message_of([] { make_output_directory(""); }).find("has no name"), std::string::npos);

  fs::permissions(folder.path(), static_cast<fs::perms>(0555));
  EXPECT_TRUE(succeeds_in_child([&] {
    testing::drop_privileges();
    const std::string existing = message_of([&] { make_output_directory(folder.path()); });
    const std::string missing = message_of([&] { make_output_directory(folder / "new"); });
    return existing.find("cannot be written to (Permission denied)") != std::string::npos &&
           missing.find("cannot be created (Permission denied)") != std::string::npos;
  }));
  fs::permissions(folder.path(), fs::perms::owner_all);
  EXPECT_EQ(folder.entries(), 1u);

  EXPECT_TRUE(succeeds_in_child([&] {
    testing::limit_file_size(0);
    return message_of([&] { make_output_directory(folder.path()); }).find("File too large") != std::string::npos;
  }));
  EXPECT_EQ(folder.entries(), 1u);
}

}  // namespace
}  // namespace clout::io
