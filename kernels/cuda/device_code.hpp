#pragma once
// What every kernel needs, for both compilers of the .cu files: nvcc, and g++ with tests/simt in front of its include
// path. The only file that asks which of the two is at work.

#include <cuda_runtime.h>

#ifndef __CUDACC__
#include <source_location>
#endif

namespace clout {

constexpr int kWarpSize = 32;

#ifdef __CUDACC__

/// The place of a call, for error messages; on the device there is nothing to say.
struct CallSite {
  static constexpr CallSite current() { return {}; }
};

/// The block's shared memory, as the kernel's one struct S. The launch asks for sizeof(S) bytes.
template <class S>
__device__ __forceinline__ S& shared_storage() {
  static_assert(alignof(S) <= 16);
  extern __shared__ __align__(16) unsigned char dynamic_shared_memory[];
  return *reinterpret_cast<S*>(dynamic_shared_memory);
}

/// The value of the lane whose number differs in the bits of `bits`; all 32 lanes take part.
template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int bits, CallSite = CallSite::current()) {
  return __shfl_xor_sync(0xffffffffu, value, bits);
}

#else

using CallSite = std::source_location;

template <class S>
S& shared_storage(CallSite where = CallSite::current()) {
  static_assert(alignof(S) <= 16);
  return *static_cast<S*>(simt::detail::shared_memory(sizeof(S), alignof(S), where));
}

template <class T>
T shuffle_xor(T value, int bits, CallSite where = CallSite::current()) {
  return __shfl_xor_sync(0xffffffffu, value, bits, kWarpSize, where);
}

#endif

/// Number of the thread in its block; blocks are one-dimensional or counted x first.
__device__ __forceinline__ int thread_in_block() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}
__device__ __forceinline__ int lane_in_warp() { return thread_in_block() % kWarpSize; }
__device__ __forceinline__ int warp_in_block() { return thread_in_block() / kWarpSize; }

/// The same value, of which the compiler knows nothing: what is computed from it stays where it stands. Without this,
/// the addresses of all phases of a long kernel are computed ahead of its loops and fill the registers.
__device__ __forceinline__ int opaque(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

/// Sum over the 32 lanes of a warp, the same bits in every lane: a fixed tree, and a + b is b + a to the bit.
template <class T>
__device__ __forceinline__ T warp_sum(T value, CallSite where = CallSite::current()) {
  for (int bits = kWarpSize / 2; bits > 0; bits /= 2) value += shuffle_xor(value, bits, where);
  return value;
}

}  // namespace clout
