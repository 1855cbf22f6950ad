#pragma once
// Sums and maxima over lanes and blocks, in fixed trees: the same bits on every run and in every lane.

#include <clout/kernels/cuda/device_code.hpp>
#include <clout/kernels/matrix_view.hpp>
#include <cmath>
#include <limits>

namespace clout::cuda {

/// Row-wise kernels give each row of K classes to kLanes neighbouring lanes. One lane each up to this many classes
/// (every lane busy, nothing to shuffle), a whole warp each beyond.
inline constexpr Index kClassesPerLane = 32;

/// Sum over groups of kLanes lanes (a power of two). All 32 lanes of the warp take part.
template <int kLanes, class T>
__device__ __forceinline__ T group_sum(T value, CallSite where = CallSite::current()) {
#pragma unroll
  for (int bits = kLanes / 2; bits > 0; bits /= 2) value += shuffle_xor(value, bits, where);
  return value;
}

template <int kLanes, class T>
__device__ __forceinline__ T group_max(T value, CallSite where = CallSite::current()) {
#pragma unroll
  for (int bits = kLanes / 2; bits > 0; bits /= 2) value = std::fmax(value, shuffle_xor(value, bits, where));
  return value;
}

/// z of the likeliest of `classes` classes over groups of kLanes lanes. Taken relative to it, z − p·z loses nothing where
/// one class has nearly all the probability. All 32 lanes of the warp take part; −∞ for groups without classes.
template <int kLanes, class T>
__device__ __forceinline__ T likeliest(const T* p, const T* z, Index classes, Index lane) {
  T top = -std::numeric_limits<T>::infinity(), reference = top;
  for (Index c = lane; c < classes; c += kLanes) top = std::fmax(top, p[c]);
  top = group_max<kLanes>(top);
  for (Index c = lane; c < classes; c += kLanes)
    if (p[c] == top) reference = std::fmax(reference, z[c]);
  return group_max<kLanes>(reference);
}

/// One level of warp_sum_each: pairs of lanes share out 2 kHalf values, so that each is left with kHalf sums.
template <int kHalf, class T, int kCount>
__device__ __forceinline__ void share_out(T (&values)[kCount], bool upper, CallSite where) {
#pragma unroll
  for (int i = 0; i < kHalf; ++i) {
    const T given = upper ? values[i] : values[i + kHalf];
    const T kept = upper ? values[i + kHalf] : values[i];
    values[i] = kept + shuffle_xor(given, kHalf, where);
  }
  if constexpr (kHalf > 1) share_out<kHalf / 2>(values, (lane_in_warp() & (kHalf / 2)) != 0, where);
}

/// Sums kCount values (a power of two, 2 to 32) over the warp with about one shuffle per value: lane l is left with the
/// total of value l % kCount. The values are used up.
template <int kCount, class T>
__device__ __forceinline__ T warp_sum_each(T (&values)[kCount], CallSite where = CallSite::current()) {
  share_out<kCount / 2>(values, (lane_in_warp() & (kCount / 2)) != 0, where);
  T total = values[0];
#pragma unroll
  for (int bits = kCount; bits < kWarpSize; bits *= 2) total += shuffle_xor(total, bits, where);
  return total;
}

/// Threads of a block that has one vector to itself (dots, conjugate gradients).
inline constexpr int kColumnThreads = 512;

/// Shared memory of block_sum.
struct alignas(16) BlockSums {
  double of_warp[kWarpSize];
};

/// Sum over the block, the same bits in every thread. All threads take part.
__device__ __forceinline__ double block_sum(double value, BlockSums& sums, CallSite where = CallSite::current()) {
  const int warps = static_cast<int>(blockDim.x) / kWarpSize, lane = lane_in_warp();
  value = warp_sum(value, where);
  __syncthreads();  // an earlier sum may still be read
  if (lane == 0) sums.of_warp[warp_in_block()] = value;
  __syncthreads();
  return warp_sum(lane < warps ? sums.of_warp[lane] : 0.0, where);
}

}  // namespace clout::cuda
