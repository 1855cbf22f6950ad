// Hostile files: thousands of random mutations of valid ones. Every outcome but a right array or InvalidInput is a bug;
// so is any allocation beyond what the file's own size allows. Built with AddressSanitizer and UBSan where there are.

#include <zlib.h>

#include <atomic>
#include <clout/host/io/idx.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/io/npz.hpp>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>

#include "support.hpp"

namespace {

std::atomic<std::size_t> largest_allocation{0};

void* counted(std::size_t bytes) {
  if (bytes > largest_allocation) largest_allocation = bytes;
  return bytes > PTRDIFF_MAX ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}

}  // namespace

// The program's own operator new: what a reader asks for is seen before it is given. Not inlined, or GCC takes the
// malloc in one and the free in the other for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (void* memory = counted(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (bytes > largest_allocation) largest_allocation = bytes;
  const auto align = static_cast<std::size_t>(alignment);
  const std::size_t rounded = (bytes + align - 1) / align * align;
  if (void* memory = rounded < bytes ? nullptr : std::aligned_alloc(align, rounded == 0 ? align : rounded))
    return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace clout::io {
namespace {

using Random = std::mt19937;
namespace fs = std::filesystem;

constexpr std::size_t kLargestExpansion = 1032;     // of deflate
constexpr std::size_t kSmallAllocations = 1 << 17;  // streams' buffers, messages

std::size_t below(Random& random, std::size_t bound) { return random() % bound; }

std::string mutated(std::string bytes, Random& random) {
  static const std::vector<std::string> kPieces{"'",
                                                "\"",
                                                "(",
                                                ")",
                                                ",",
                                                "{",
                                                "}",
                                                ":",
                                                "-",
                                                "L",
                                                "9223372036854775807",
                                                "99999999999999999999",
                                                "0",
                                                "(0, 4294967296)",
                                                "True",
                                                "'descr'",
                                                "'shape'",
                                                "'>f8'",
                                                "'|O'",
                                                "[('a', '<f8')]",
                                                std::string(1, '\0'),
                                                "\xff\xff\xff\xff",
                                                "\x93NUMPY",
                                                std::string(300, '1'),
                                                std::string(100, '('),
                                                "PK\x05\x06",
                                                std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8)};
  const std::size_t count = 1 + below(random, 4);
  for (std::size_t i = 0; i < count && !bytes.empty(); ++i) {
    const std::size_t at = below(random, bytes.size());
    const std::string& piece = kPieces[below(random, kPieces.size())];
    switch (below(random, 7)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(random, 8));
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.insert(at, piece);
        break;
      case 4:
        bytes.replace(at, piece.size(), piece);
        break;
      case 5:
        bytes.erase(at, 1 + below(random, 8));
        break;
      default:
        bytes.append(piece);
        break;
    }
  }
  return bytes;
}

/// Calls `read` on mutations of `valid`; returns how many were still accepted.
int fuzz(std::string_view valid, std::size_t expansion, unsigned seed,
         const std::function<void(const fs::path&)>& read) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder / "f";
  Random random(seed);
  int accepted = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    const std::string bytes = mutated(std::string(valid), random);
    testing::write_bytes(path, bytes);
    largest_allocation = 0;
    try {
      read(path);
      ++accepted;
    } catch (const InvalidInput& error) {
      const std::string_view message = error.what();
      EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
      EXPECT_EQ(message.find('\n'), message.npos) << message;
      EXPECT_NE(message.find("; expected "), message.npos) << message;
      EXPECT_LT(message.size(), 1000u) << message;
    }
    EXPECT_LE(largest_allocation, bytes.size() * expansion + kSmallAllocations) << trial;
    if (::testing::Test::HasFailure()) break;
  }
  return accepted;
}

/// An accepted array must be what the file says: its elements are the file's last bytes.
void expect_last_bytes(const NpyArray& array, std::string_view file) {
  std::size_t count = 1;
  for (const std::int64_t dimension : array.shape()) count *= static_cast<std::size_t>(dimension);
  ASSERT_EQ(count, array.size());
  const auto bytes = array.bytes();
  ASSERT_LE(bytes.size(), file.size());
  if (bytes.empty()) return;  // memcmp wants no null pointers
  ASSERT_EQ(std::memcmp(bytes.data(), file.data() + file.size() - bytes.size(), bytes.size()), 0);
}

std::string valid_npy() {
  const testing::TemporaryFolder folder;
  std::vector<double> values(30);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 7;
  write_npy(folder / "x.npy", {2, 3, 5}, values);
  return testing::read_bytes(folder / "x.npy");
}

std::string deflated(std::string text, int window) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(text.data());
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string little_endian(std::initializer_list<std::pair<std::uint64_t, int>> numbers) {
  std::string bytes;
  for (const auto& [number, width] : numbers) {
    for (int i = 0; i < width; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  }
  return bytes;
}

/// A zip archive of one member x.npy; `zip64`: with 64-bit sizes in the directory and a 64-bit end record.
std::string valid_npz(bool is_deflated, bool zip64) {
  const std::string npy = valid_npy(), packed = is_deflated ? deflated(npy, -15) : npy, name = "x.npy";
  const std::uint64_t method = is_deflated ? 8 : 0, none = 0xffffffff;
  const std::uint64_t crc = crc32_z(0, reinterpret_cast<const Bytef*>(npy.data()), npy.size());
  const std::string local = little_endian({{0x04034b50, 4},
                                           {45, 2},
                                           {0, 2},
                                           {method, 2},
                                           {0, 4},
                                           {crc, 4},
                                           {packed.size(), 4},
                                           {npy.size(), 4},
                                           {name.size(), 2},
                                           {0, 2}}) +
                            name;
  const std::string extra = zip64 ? little_endian({{1, 2}, {24, 2}, {npy.size(), 8}, {packed.size(), 8}, {0, 8}}) : "";
  const std::string entry = little_endian({{0x02014b50, 4},
                                           {45, 2},
                                           {45, 2},
                                           {0, 2},
                                           {method, 2},
                                           {0, 4},
                                           {crc, 4},
                                           {zip64 ? none : packed.size(), 4},
                                           {zip64 ? none : npy.size(), 4},
                                           {name.size(), 2},
                                           {extra.size(), 2},
                                           {0, 2},
                                           {0, 2},
                                           {0, 2},
                                           {0, 4},
                                           {zip64 ? none : 0, 4}}) +
                            name + extra;
  const std::uint64_t at = local.size() + packed.size(), end = at + entry.size();
  std::string archive = local + packed + entry;
  if (zip64) {
    archive += little_endian({{0x06064b50, 4},
                              {44, 8},
                              {45, 2},
                              {45, 2},
                              {0, 4},
                              {0, 4},
                              {1, 8},
                              {1, 8},
                              {entry.size(), 8},
                              {at, 8},
                              {0x07064b50, 4},
                              {0, 4},
                              {end, 8},
                              {1, 4}});
  }
  return archive + little_endian({{0x06054b50, 4},
                                  {0, 2},
                                  {0, 2},
                                  {zip64 ? 0xffffU : 1, 2},
                                  {1, 2},
                                  {zip64 ? none : entry.size(), 4},
                                  {zip64 ? none : at, 4},
                                  {0, 2}});
}

TEST(Fuzz, Npy) {
  const std::string valid = valid_npy();
  const int accepted =
      fuzz(valid, 1, 1, [](const fs::path& path) { expect_last_bytes(read_npy(path), testing::read_bytes(path)); });
  EXPECT_GT(accepted, 50) << "the mutations are too wild to reach the end of the reader";
}

TEST(Fuzz, Npz) {
  const testing::TemporaryFolder folder;
  unsigned seed = 2;
  for (const bool is_deflated : {false, true}) {
    for (const bool zip64 : {false, true}) {
      const std::string valid = valid_npz(is_deflated, zip64);
      testing::write_bytes(folder / "valid.npz", valid);
      ASSERT_EQ(npz_members(folder / "valid.npz"), std::vector<std::string>{"x"});
      expect_last_bytes(read_npz(folder / "valid.npz", "x"), valid_npy());
      // The checksum of the member makes any accepted array the original one, save for a change of its declared shape
      // that CRC-32 cannot see, which no mutation hits by chance.
      const std::string npy = valid_npy();
      fuzz(valid, kLargestExpansion, seed++,
           [&](const fs::path& path) { expect_last_bytes(read_npz(path, "x"), npy); });
    }
  }
}

TEST(Fuzz, Idx) {
  std::string valid("\0\0\x08\x03\0\0\0\x05\0\0\0\x04\0\0\0\x03", 16);
  for (int i = 0; i < 60; ++i) valid += static_cast<char>(i * 3);
  const auto read = [](const fs::path& path) {
    const IdxImages images = read_idx_images(path);
    ASSERT_EQ(images.pixels.size(), static_cast<std::size_t>(images.count * images.rows * images.columns));
  };
  EXPECT_GT(fuzz(valid, 1, 6, read), 50);
  fuzz(deflated(valid, 15 + 16), kLargestExpansion, 7, read);
}

}  // namespace
}  // namespace clout::io
