#pragma once
// The header of a .npy file: magic bytes, version, and a Python dict as text. Meant for npy.cpp and its tests.

#include <clout/host/io/npy.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace clout::io {

struct NpyHeader {
  DType dtype = DType::float64;
  std::vector<std::int64_t> shape;
};

inline constexpr std::string_view kNpyMagic{"\x93NUMPY", 6};

/// Reads the dict "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }". The text may be anything: whatever is
/// not an array that clout reads throws InvalidInput, beginning with `label`.
NpyHeader parse_npy_header(std::string_view text, std::string_view label);

/// Magic bytes, version 1.0, length and dict, padded to a multiple of 64 bytes.
std::string npy_header_bytes(const NpyHeader& header);

}  // namespace clout::io
