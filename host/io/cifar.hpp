#pragma once
// Images in CIFAR-10's binary format: records of a label and 32 × 32 pixels in three colours.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace clout::io {

inline constexpr std::int64_t kCifarPixels = 3072;  // [3][32][32]: red, green, blue, each row by row

struct CifarImages {
  std::int64_t count = 0;
  std::vector<std::uint8_t> pixels;  // [count][3][32][32]
  std::vector<std::uint8_t> labels;  // [count], 0…9 as CIFAR-10 numbers its classes
};

/// Reads a file of such records, plain or compressed with gzip. Throws InvalidInput for a missing, damaged or empty file, a
/// record that is cut off, and a label above 9.
CifarImages read_cifar(const std::filesystem::path& path);

/// PART.bin or PART.bin.gz of the data set `name` in one of data_folders(data_dir). Throws InvalidInput with the places that
/// were looked at.
std::filesystem::path find_cifar(const std::string& name, const std::string& part,
                                 const std::optional<std::filesystem::path>& data_dir = std::nullopt);

}  // namespace clout::io
