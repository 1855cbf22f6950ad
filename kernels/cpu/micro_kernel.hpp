#pragma once
// The innermost loop of every product here: a tile of `Rows` × two vectors that stays in registers,
//
//   tile[i][lane] += Σ_t left[i·left_row + t·left_step] · right[t·kPanel<T> + lane],
//
// 2·Rows multiply-adds per 2 loads and Rows broadcasts. The right operand is packed in panels of kPanel<T> numbers.

#include <clout/kernels/cpu/simd.hpp>

namespace clout::cpu {

/// Width of a panel: two vectors.
template <class T>
inline constexpr Index kPanel = 2 * kLanes<T>;

template <class T, int Rows>
struct Tile {
  Vector<T> low[Rows], high[Rows];

  [[gnu::always_inline]] void clear() {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) low[i] = high[i] = Vector<T>{};
  }
  [[gnu::always_inline]] void load_from(const T* from, Index stride) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      low[i] = load(from + i * stride);
      high[i] = load(from + i * stride + kLanes<T>);
    }
  }
  [[gnu::always_inline]] void store_to(T* to, Index stride) const {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      store(to + i * stride, low[i]);
      store(to + i * stride + kLanes<T>, high[i]);
    }
  }
  [[gnu::always_inline]] void add_to(T* to, Index stride) const {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      store(to + i * stride, load(to + i * stride) + low[i]);
      store(to + i * stride + kLanes<T>, load(to + i * stride + kLanes<T>) + high[i]);
    }
  }
  [[gnu::always_inline]] void multiply_add(const T* left, Index left_row, Index left_step, const T* right,
                                           Index steps) {
    for (Index t = 0; t < steps; ++t) {
      const Vector<T> right_low = load(right), right_high = load(right + kLanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const Vector<T> value = broadcast(left[i * left_row]);
        low[i] += value * right_low;
        high[i] += value * right_high;
      }
      left += left_step;
      right += kPanel<T>;
    }
  }
};

/// f(std::integral_constant<int, size>) for a size in 1…Limit that is known at run time only.
template <int Limit, class F>
[[gnu::always_inline]] inline void with_constant(int size, F&& f) {
  if constexpr (Limit > 1) {
    if (size < Limit) return with_constant<Limit - 1>(size, std::forward<F>(f));
  }
  f(std::integral_constant<int, Limit>{});
}

/// body(first, std::integral_constant<int, rows>) over 0…size−1 in tiles of at most Limit rows of almost equal size.
template <int Limit, class Body>
inline void for_each_tile(Index size, Body&& body) {
  const Index tiles = (size + Limit - 1) / Limit;
  for (Index tile = 0; tile < tiles; ++tile) {
    const Index first = size * tile / tiles, next = size * (tile + 1) / tiles;
    with_constant<Limit>(static_cast<int>(next - first), [&](auto rows) { body(first, rows); });
  }
}

}  // namespace clout::cpu
