// Large results written in pieces: their room, their end, and what is left of them.

#include <sys/stat.h>

#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/resumable_file.hpp>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::limit_file_size;
using testing::message_of;
using testing::read_bytes;
using testing::succeeds_in_child;
using testing::TemporaryFolder;
using testing::write_bytes;
namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(ResumableFile, IsWrittenOverMoreThanOneRun) {
  const TemporaryFolder folder;
  const fs::path path = folder / "result";
  write_bytes(path, "old");
  {
    ResumableFile file(path, 12, false);
    file.write(8, bytes_of("last"));
    file.write(0, bytes_of("frst"));
    file.sync();
  }  // a kill leaves what a destructor leaves
  EXPECT_EQ(read_bytes(path), "old");
  EXPECT_EQ(folder.entries(), 2u);
  ResumableFile file(path, 12, true);
  file.write(4, bytes_of("midl"));
  EXPECT_THROW(file.write(9, bytes_of("over")), InternalError);
  ResultFiles results;
  results.add(folder / "beside", "text");
  results.add(file);
  EXPECT_EQ(read_bytes(path), "old");
  results.commit();
  EXPECT_EQ(read_bytes(path), "frstmidllast");
  EXPECT_EQ(folder.entries(), 2u);
  EXPECT_THROW(file.write(0, bytes_of("more")), InternalError);
}

TEST(ResumableFile, DiscardedLeavesNothing) {
  const TemporaryFolder folder;
  ResumableFile file(folder / "result", 5, false);
  EXPECT_EQ(folder.entries(), 1u);
  file.discard();
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(ResumableFile, BeginsAnewWithoutResume) {
  const TemporaryFolder folder;
  ResumableFile(folder / "result", 4, false).write(0, bytes_of("left"));
  ResumableFile file(folder / "result", 3, false);
  file.sync();
  file.publish();
  EXPECT_EQ(read_bytes(folder / "result"), std::string(3, '\0'));
}

TEST(ResumableFile, TakesItsRoomAtOnce) {
  const TemporaryFolder folder;
  ResumableFile file(folder / "result", 1 << 20, false);
  struct stat found {};
  ASSERT_EQ(::stat((folder / ".result.part").c_str(), &found), 0);
  EXPECT_GE(found.st_blocks * 512, 1 << 20);
  EXPECT_TRUE(succeeds_in_child([&] {
    limit_file_size(1000);
    const std::string message = message_of([&] { ResumableFile(folder / "more", 1001, false); });
    return message.find("expected room for its 1001 bytes") != std::string::npos;
  }));
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(ResumableFile, RefusesWhatItCannotGoOnWith) {
  const TemporaryFolder folder;
  const fs::path path = folder / "result", part = folder / ".result.part";
  expect_refused(part, "delete the journal", [&] { ResumableFile(path, 3, true); });
  write_bytes(part, "four");
  expect_refused(part, "has 4 bytes; expected 3", [&] { ResumableFile(path, 3, true); });
  fs::remove(part);
  fs::create_directory(path);
  expect_refused(path, "not a regular file", [&] { ResumableFile(path, 3, false); });
  expect_refused(folder / "none" / ".result.part", "folder that exists",
                 [&] { ResumableFile(folder / "none" / "result", 3, false); });
  EXPECT_EQ(folder.entries(), 1u);
}

}  // namespace
}  // namespace clout::io
