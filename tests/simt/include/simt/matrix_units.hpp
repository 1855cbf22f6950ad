#pragma once
// Host bodies of the instructions for matrices that device_code.hpp names: ldmatrix and mma.m16n8k16 on bf16.

#include <bit>
#include <cstdint>
#include <source_location>

#include "simt/device_language.hpp"

namespace simt {
namespace detail {

void count_matrix_instruction();
inline unsigned lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32; }

}  // namespace detail

/// ldmatrix.x4(.trans).b16: four 8 × 8 matrices of 16-bit numbers. Lane l names row l % 8 of matrix l / 8; it gets of
/// matrix q, as word q, the numbers 2 (l % 4) and 2 (l % 4) + 1 of row l / 4, or, transposed, of column l / 4. Compiled
/// with the kernels, so that the race detector sees who reads what.
template <bool kTransposed>
void load_matrices(std::uint32_t (&words)[4], const std::uint16_t* row, std::source_location where) {
  detail::expect_shared(row, 16, where);
  const auto address = std::bit_cast<std::uintptr_t>(row);
  const std::uint32_t mine[2] = {static_cast<std::uint32_t>(address), static_cast<std::uint32_t>(address >> 32)};
  std::uint32_t all[32][2];
  detail::gather_words(mine, all, where);
  const unsigned line = detail::lane() / 4, pair = 2 * (detail::lane() % 4);
  for (unsigned q = 0; q < 4; ++q) {
    std::uint32_t half[2];
    for (unsigned i = 0; i < 2; ++i) {
      const auto& from = all[8 * q + (kTransposed ? pair + i : line)];
      const auto* numbers = reinterpret_cast<const std::uint16_t*>(std::uintptr_t{from[1]} << 32 | from[0]);
      half[i] = numbers[kTransposed ? line : pair + i];
    }
    words[q] = half[1] << 16 | half[0];
  }
}

/// C += A B with A [16][16] and B [16][8] of bf16, C [16][8] of float, in the layout of the PTX manual. Products are
/// exact; of them and C's old value, as many bits count as a float has below the largest of them, the rest is cut off,
/// and so are the sum's bits beyond a float's. That is what was measured on V100 (Fasi, Higham, Mikaitis & Pranesh
/// 2021, "Numerical behavior of NVIDIA tensor cores"); later ones keep more bits.
void multiply_add_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                       std::source_location where);

}  // namespace simt
