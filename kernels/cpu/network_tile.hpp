#pragma once
// What the convolutions compute at a time: some channels by some pixels, which stay in registers.

#include <algorithm>
#include <clout/kernels/cpu/micro_kernel.hpp>

namespace clout::cpu {

/// body(first, std::integral_constant<int, width>) over 0…size−1 in tiles of at most Limit, widths differing by one at
/// most; where the compiler knows `size`, it knows the widths.
template <int Limit, class Body>
[[gnu::always_inline]] inline void for_even_tiles(int size, Body&& body) {
  if (size <= 0) return;
  const int tiles = (size + Limit - 1) / Limit, width = size / tiles, wider = size % tiles;
  const int start = wider * (width + 1);
  if (wider > 0)
    with_constant<Limit>(
        width + 1, [&](auto constant) __attribute__((always_inline)) {
          for (int first = 0; first < start; first += constant) body(first, constant);
        });
  with_constant<Limit>(
      width, [&](auto constant) __attribute__((always_inline)) {
        for (int first = start; first < size; first += constant) body(first, constant);
      });
}

/// body(first, std::integral_constant<int, width>) over first…size−1 in tiles of Limit and what remains: the same
/// widths whatever multiple of Limit is first.
template <int Limit, class Body>
[[gnu::always_inline]] inline void for_tiles_from(int first, int size, const Body& body) {
  for (; first + Limit <= size; first += Limit) body(first, std::integral_constant<int, Limit>{});
  if (size % Limit > 0)
    with_constant<Limit>(
        size % Limit, [&](auto constant) __attribute__((always_inline)) { body(size - size % Limit, constant); });
}

template <class T, int Rows, int Columns>
struct PixelTile {
  Vector<T> sum[Rows][Columns];

  /// sum[r][c] = bias[r], or 0 without.
  [[gnu::always_inline]] void start(const T* bias) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector<T> value = bias ? broadcast(bias[r]) : Vector<T>{};
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) sum[r][c] = value;
    }
  }
  /// sum[r][c] += left(r) · right[c·step]. Sums, a column's pixels and a weight would take all 16 registers that there
  /// are without AVX-512, which GCC cannot keep up; so the last column is read from memory.
  template <class Left>
  [[gnu::always_inline]] void multiply_add(const Left& left, const T* right, Index step) {
    constexpr bool kCrowded = kVectorBytes < 64 && (Rows + 1) * Columns + 1 >= 16;
    constexpr int kHeld = kCrowded ? Columns - 1 : Columns;
    Vector<T> pixel[Columns];
#pragma GCC unroll 16
    for (int c = 0; c < kHeld; ++c) pixel[c] = in_register(load(right + c * step));
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector<T> value = in_register(left(r));
#pragma GCC unroll 16
      for (int c = 0; c < kHeld; ++c) sum[r][c] = add_product<T>(sum[r][c], value, pixel[c]);
      if constexpr (kCrowded) sum[r][kHeld] = add_product<T>(sum[r][kHeld], value, right + kHeld * step);
    }
  }
  /// use(index, sum[r][c]), index = first + r·row_step + c·column_step.
  template <class Use>
  [[gnu::always_inline]] void for_each(Index first, Index row_step, Index column_step, const Use& use) const {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) use(first + r * row_step + c * column_step, sum[r][c]);
  }
};

}  // namespace clout::cpu
