#pragma once
// What every kernel needs, for both compilers of the .cu files: nvcc, and g++ with tests/simt in front of its include
// path. The only file that asks which of the two is at work.

#include <cuda_runtime.h>

#include <cstdint>

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

/// Four 8 × 8 matrices of 16-bit numbers from shared memory (ldmatrix.x4, see the PTX manual): lane l names row l % 8 of
/// matrix l / 8, 16 bytes at a multiple of 16. All 32 lanes take part.
template <bool kTransposed>
__device__ __forceinline__ void load_matrices(std::uint32_t (&words)[4], const std::uint16_t* row,
                                              CallSite = CallSite::current()) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
}

/// C += A B on the tensor cores, A [16][16] and B [16][8] of bf16, C [16][8] of float (mma.m16n8k16, see the PTX manual).
/// Products are exact; the sum is cut off, not rounded. All 32 lanes take part.
__device__ __forceinline__ void multiply_add_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                                  std::uint32_t b1, CallSite = CallSite::current()) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
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

template <bool kTransposed>
void load_matrices(std::uint32_t (&words)[4], const std::uint16_t* row, CallSite where = CallSite::current()) {
  simt::load_matrices<kTransposed>(words, row, where);
}

inline void multiply_add_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                              CallSite where = CallSite::current()) {
  simt::multiply_add_bf16(c, a, b0, b1, where);
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
