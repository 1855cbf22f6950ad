#pragma once
// Between examples in memory, one after the other, and groups of kLanes<T> of them, one a lane.

#include <algorithm>
#include <clout/kernels/cpu/simd.hpp>
#include <clout/kernels/network_operations.hpp>
#include <utility>

namespace clout::cpu {

/// rows[i][j] ↔ rows[j][i]: blocks of half the size change places, then those of a quarter, …
template <class T>
[[gnu::always_inline]] inline void transpose(Vector<T> (&rows)[kLanes<T>]) {
  constexpr int kSize = kLanes<T>;
#pragma GCC unroll 4
  for (int half = kSize / 2; half > 0; half /= 2) {
    Integers<T> low{}, high{};
    for (int lane = 0; lane < kSize; ++lane) {
      const bool upper = (lane & half) != 0;
      low[lane] = upper ? kSize + lane - half : lane;
      high[lane] = upper ? kSize + lane : lane + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kSize; ++i)
      if ((i & half) == 0) {
        const Vector<T> a = rows[i], b = rows[i + half];
        rows[i] = __builtin_shuffle(a, b, low);
        rows[i + half] = __builtin_shuffle(a, b, high);
      }
  }
}

/// Up to kLanes<T> examples of a batch. Lanes that are not in use have input 0, label 0 and weight 0.
template <class T>
struct LaneGroup {
  Index count = 0;
  Index example[kLanes<T>] = {};
  Integers<T> labels{};
  Vector<T> weights{};

  /// Places first…first+count−1 of the batch.
  LaneGroup(const NetworkBatch<T>& batch, Index first, Index lanes) : count(lanes) {
    for (Index lane = 0; lane < count; ++lane) {
      example[lane] = batch.rows ? batch.rows[first + lane] : first + lane;
      if (batch.labels) labels[lane] = batch.labels[example[lane]];
      weights[lane] = batch.example_weights ? batch.example_weights[example[lane]] : T(1);
    }
  }
};

/// to[f][lane] = scale · rows[lane][f] for f in 0…size−1; lanes whose row is null become 0.
template <class T, class U>
void rows_to_lanes(const U* const (&rows)[kLanes<T>], Index size, T scale, T* to) {
  Index f = 0;
  for (; f + kLanes<T> <= size; f += kLanes<T>) {
    Vector<T> block[kLanes<T>];
#pragma GCC unroll 16
    for (int lane = 0; lane < kLanes<T>; ++lane)
      block[lane] = rows[lane] ? load_as<T>(rows[lane] + f) * scale : Vector<T>{};
    transpose<T>(block);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) store(to + (f + i) * kLanes<T>, block[i]);
  }
  for (; f < size; ++f)
    for (int lane = 0; lane < kLanes<T>; ++lane)
      to[f * kLanes<T> + lane] = rows[lane] ? static_cast<T>(rows[lane][f]) * scale : T(0);
}

/// rows[lane][f] = from[f][lane] for f in 0…size−1, for the lanes whose row is not null.
template <class T>
void lanes_to_rows(const T* from, Index size, T* const (&rows)[kLanes<T>]) {
  Index f = 0;
  for (; f + kLanes<T> <= size; f += kLanes<T>) {
    Vector<T> block[kLanes<T>];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) block[i] = load(from + (f + i) * kLanes<T>);
    transpose<T>(block);
#pragma GCC unroll 16
    for (int lane = 0; lane < kLanes<T>; ++lane)
      if (rows[lane]) store(rows[lane] + f, block[lane]);
  }
  for (; f < size; ++f)
    for (int lane = 0; lane < kLanes<T>; ++lane)
      if (rows[lane]) rows[lane][f] = from[f * kLanes<T> + lane];
}

/// The group's inputs, [d] of Vector<T>.
template <class T>
void load_inputs(const FeatureView<T>& x, const LaneGroup<T>& group, T* to) {
  const auto load_from = [&]<class U>(const U* features) {
    const U* rows[kLanes<T>] = {};
    for (Index lane = 0; lane < group.count; ++lane) rows[lane] = features + group.example[lane] * x.columns;
    rows_to_lanes<T>(rows, x.columns, x.scale, to);
  };
  if (x.bytes) load_from(x.bytes);
  else load_from(x.values);
}

/// sums[i] = Σ over the lanes of from[i], for i in 0…size−1.
template <class T>
void sum_lanes(const T* from, Index size, T* sums) {
  Index i = 0;
  for (; i + kLanes<T> <= size; i += kLanes<T>) {
    Vector<T> block[kLanes<T>];
#pragma GCC unroll 16
    for (int row = 0; row < kLanes<T>; ++row) block[row] = load(from + (i + row) * kLanes<T>);
    transpose<T>(block);
#pragma GCC unroll 4
    for (int half = kLanes<T> / 2; half > 0; half /= 2)
#pragma GCC unroll 16
      for (int row = 0; row < half; ++row) block[row] += block[row + half];
    store(sums + i, block[0]);
  }
  for (; i < size; ++i) sums[i] = lane_sum<T>(load(from + i * kLanes<T>));
}

}  // namespace clout::cpu
