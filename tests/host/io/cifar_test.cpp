// Records of CIFAR-10's binary format: what is read, and every planted fault.

#include <clout/host/io/cifar.hpp>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::write_bytes;

std::string record(char label, char first_pixel) {
  std::string bytes(static_cast<std::size_t>(kCifarPixels) + 1, '\x7f');
  bytes[0] = label;
  bytes[1] = first_pixel;
  return bytes;
}

TEST(Cifar, RecordsAreReadInOrder) {
  const testing::TemporaryFolder folder;
  write_bytes(folder / "part.bin", record(5, 1) + record(8, '\xff'));
  const CifarImages images = read_cifar(folder / "part.bin");
  EXPECT_EQ(images.count, 2);
  EXPECT_EQ(images.labels, (std::vector<std::uint8_t>{5, 8}));
  ASSERT_EQ(images.pixels.size(), 2u * static_cast<std::size_t>(kCifarPixels));
  EXPECT_EQ(images.pixels[0], 1);
  EXPECT_EQ(images.pixels[static_cast<std::size_t>(kCifarPixels)], 255);
  EXPECT_EQ(images.pixels.back(), 0x7f);
}

TEST(Cifar, BadFilesAreRefused) {
  const testing::TemporaryFolder folder;
  const auto path = folder / "part.bin";
  const auto expect_bad = [&](const std::string& bytes, const std::string& what) {
    write_bytes(path, bytes);
    expect_refused(path, what, [&] { read_cifar(path); });
  };
  expect_bad(record(5, 0) + "half", "record 1 ends after 4 bytes");
  expect_bad(record(5, 0) + record(10, 0), "record 1 has label 10");
  expect_bad("", "empty");
  expect_refused(folder / "missing.bin", "", [&] { read_cifar(folder / "missing.bin"); });
}

TEST(Cifar, TheDataSetIsFoundInTheNamedFolderAlone) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "photographs");
  write_bytes(folder / "photographs" / "train.bin", record(5, 0));
  EXPECT_EQ(find_cifar("photographs", "train", folder.path()), folder / "photographs" / "train.bin");
  EXPECT_NE(testing::message_of([&] { find_cifar("photographs", "test", folder.path()); }).find("test.bin"),
            std::string::npos);
}

}  // namespace
}  // namespace clout::io
