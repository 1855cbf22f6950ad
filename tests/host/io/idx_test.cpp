// IDX files, plain and gzip: round trips and every planted fault.

#include <zlib.h>

#include <clout/host/io/idx.hpp>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::write_bytes;
namespace fs = std::filesystem;

std::string gzip(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()), '\0');
  std::string in(text);
  z.next_in = reinterpret_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string big_endian(std::initializer_list<std::uint32_t> numbers) {
  std::string bytes;
  for (const std::uint32_t number : numbers) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xff);
  }
  return bytes;
}

std::string pixels(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 37 % 251);
  return bytes;
}

class Idx : public ::testing::Test {
 protected:
  void expect_bad_images(std::string_view bytes, std::string_view what) {
    write_bytes(images_, bytes);
    expect_refused(images_, what, [&] { read_idx_images(images_); });
  }
  void expect_bad_labels(std::string_view bytes, std::string_view what) {
    write_bytes(labels_, bytes);
    expect_refused(labels_, what, [&] { read_idx_labels(labels_); });
  }

  testing::TemporaryFolder folder_;
  fs::path images_ = folder_ / "images", labels_ = folder_ / "labels";
  std::string good_images_ = big_endian({2051, 5, 4, 3}) + pixels(60);
  std::string good_labels_ = big_endian({2049, 5}) + pixels(5);
};

TEST_F(Idx, ReadsPlainAndGzip) {
  for (const bool packed : {false, true}) {
    write_bytes(images_, packed ? gzip(good_images_) : good_images_);
    write_bytes(labels_, packed ? gzip(good_labels_) : good_labels_);
    const IdxPair pair = load_idx_pair(images_, labels_);
    EXPECT_EQ(pair.images.count, 5);
    EXPECT_EQ(pair.images.rows, 4);
    EXPECT_EQ(pair.images.columns, 3);
    EXPECT_EQ(std::string(pair.images.pixels.begin(), pair.images.pixels.end()), pixels(60));
    EXPECT_EQ(std::string(pair.labels.begin(), pair.labels.end()), pixels(5));
  }
}

TEST_F(Idx, ReadsGzipOfSeveralMembers) {
  write_bytes(images_, gzip(good_images_.substr(0, 30)) + gzip(good_images_.substr(30)));
  EXPECT_EQ(read_idx_images(images_).pixels.size(), 60u);
}

TEST_F(Idx, RefusesWhatIsNoFile) {
  expect_refused(images_, "no such file", [&] { read_idx_images(images_); });
  expect_refused(folder_.path(), "is a directory", [&] { read_idx_labels(folder_.path()); });
  expect_bad_images("", "is empty");
}

TEST_F(Idx, RefusesTruncatedGzipAtEveryLength) {
  const std::string packed = gzip(good_images_);
  for (std::size_t length = 2; length < packed.size(); ++length) {
    expect_bad_images(packed.substr(0, length), "truncated");
  }
}

TEST_F(Idx, RefusesCorruptGzip) {
  std::string packed = gzip(good_images_);
  packed[packed.size() - 8] ^= 1;
  expect_bad_images(packed, "corrupt (incorrect data check)");
  packed = gzip(good_images_);
  packed[packed.size() - 1] ^= 1;
  expect_bad_images(packed, "corrupt (incorrect length check)");
  packed = gzip(good_images_);
  packed[2] = 9;
  expect_bad_images(packed, "corrupt (unknown compression method)");
  // Any flipped bit of the data is noticed, or was one of those that fill the last byte up.
  std::size_t refused = 0;
  for (std::size_t byte = 10; byte < packed.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = gzip(good_images_);
      flipped[byte] = static_cast<char>(flipped[byte] ^ 1 << bit);
      write_bytes(images_, flipped);
      try {
        const auto found = read_idx_images(images_).pixels;
        EXPECT_EQ(std::string(found.begin(), found.end()), pixels(60)) << byte << " " << bit;
      } catch (const InvalidInput&) {
        ++refused;
      }
    }
  }
  EXPECT_GE(refused, 8 * (packed.size() - 10) - 7);
}

TEST_F(Idx, RefusesAnotherMagicNumber) {
  expect_bad_images(good_labels_, "magic number is 2049 (labels); expected 2051 (images)");
  expect_bad_labels(good_images_, "magic number is 2051 (images); expected 2049 (labels)");
  expect_bad_labels("hello, world", "magic number is 1751477356; expected 2049 (labels)");
  expect_bad_labels("abc", "ends within its header");
  expect_bad_images(good_images_.substr(0, 13), "ends within its header");
}

TEST_F(Idx, RefusesCountsThatTheFileDoesNotHold) {
  expect_bad_images(big_endian({2051, 6, 4, 3}) + pixels(60),
                    "header promises 6 items of 12 bytes, but the file cannot hold more than 60 bytes; expected 72");
  expect_bad_images(gzip(big_endian({2051, 6, 4, 3}) + pixels(60)), "but the data ends after 60 bytes; expected 72");
  const std::uint32_t most = 0xffffffff;
  expect_bad_images(big_endian({2051, most, most, most}), "the file cannot hold more than 0 bytes");
  expect_bad_images(gzip(big_endian({2051, most, most, most}) + pixels(9)), "the file cannot hold more than");
  expect_bad_images(big_endian({2051, 5, 0, 3}), "0 x 3");
  expect_bad_labels(big_endian({2049, most}), "promises 4294967295 items");
}

TEST_F(Idx, RefusesTrailingData) {
  expect_bad_images(good_images_ + "x", "the data goes on behind them");
  expect_bad_labels(gzip(good_labels_ + "x"), "the data goes on behind them");
  expect_bad_labels(gzip(good_labels_) + "x", "followed by other bytes");
}

TEST_F(Idx, RefusesCountsThatDisagree) {
  write_bytes(images_, good_images_);
  write_bytes(labels_, gzip(big_endian({2049, 4}) + pixels(4)));
  expect_refused(labels_, "holds 4 labels, but " + images_.string() + " holds 5 images",
                 [&] { load_idx_pair(images_, labels_); });
}

}  // namespace
}  // namespace clout::io
