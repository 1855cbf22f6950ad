#pragma once
// SHA-256 (FIPS 180-4), for the manifests' record of input files. Not for secrets: nothing here is constant-time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace clout::io {

/// The hash of bytes that come in pieces.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  /// 64 lower-case hexadecimal digits. Ends the hash: no update afterwards.
  std::string hex_digest();

 private:
  static constexpr std::size_t kBlockBytes = 64;
  void process(const std::byte* block);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, kBlockBytes> block_{};
  std::size_t filled_ = 0;
  std::uint64_t total_bytes_ = 0;
};

std::string sha256_hex(std::span<const std::byte> bytes);

/// Of a whole file (an empty one is refused as everywhere else); throws InvalidInput where it cannot be read.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace clout::io
