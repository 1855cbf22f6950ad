#pragma once
// The CUDA C++ language as the kernels of this project use it, for a plain C++ compiler. What the house forbids
// (static __shared__ arrays, atomicAdd on floating point, fast-math intrinsics) is left out, so that it does not
// compile.

#include <math.h>

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "simt/executor.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

namespace simt::detail {

enum class WarpOperation : std::uint8_t { barrier, shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot, gather };

void block_barrier(std::source_location where);
/// Hands `value` to the lanes of `mask` and returns what this lane receives: the source lane's value, or the ballot.
std::uint64_t warp_exchange(WarpOperation operation, unsigned mask, std::uint64_t value, unsigned argument, int width,
                            std::source_location where);
/// Where a lane has its words, and wants those of all 32 lanes.
struct GatherPlaces {
  const std::uint32_t* from;
  std::uint32_t* to;
};

/// Every lane of the warp gets all lanes' words.
template <std::size_t kWords>
void gather_words(const std::uint32_t (&mine)[kWords], std::uint32_t (&all)[32][kWords], std::source_location where) {
  const GatherPlaces places{mine, all[0]};
  warp_exchange(WarpOperation::gather, 0xffffffffu, reinterpret_cast<std::uint64_t>(&places), kWords, 32, where);
}
void* shared_memory(std::size_t bytes, std::size_t alignment, std::source_location where);
/// A fault unless the bytes are shared memory of the block, at a multiple of their number.
void expect_shared(const void* address, std::size_t bytes, std::source_location where);
[[noreturn]] void trap(std::source_location where);
void set_condition(unsigned long long condition, unsigned value, std::source_location where);
/// __threadfence() was called by this thread: from now on its atomics order memory.
void fence();
bool is_fenced();

template <class T>
concept Exchangeable = std::is_trivially_copyable_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8) && std::is_arithmetic_v<T>;

template <Exchangeable T>
T exchange(WarpOperation operation, unsigned mask, T value, unsigned argument, int width, std::source_location where) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const auto bits = warp_exchange(operation, mask, std::bit_cast<Bits>(value), argument, width, where);
  return std::bit_cast<T>(static_cast<Bits>(bits));
}

template <class T>
concept Atomic = std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;

/// Relaxed, as on a GPU, until the thread has called __threadfence(): a race detector then sees the order it makes.
template <class T, class Update>
T atomic_update(T* address, Update update) {
  T seen = __atomic_load_n(address, __ATOMIC_RELAXED);
  if (is_fenced()) {
    while (!__atomic_compare_exchange_n(address, &seen, update(seen), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
  } else {
    while (!__atomic_compare_exchange_n(address, &seen, update(seen), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
  return seen;
}

}  // namespace simt::detail

// Set by the executor at every switch of fibers. Variables of their real types, so that overload resolution, auto and
// the launch configuration's members of the same names work as under nvcc.
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  simt::detail::block_barrier(where);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, std::source_location where = std::source_location::current()) {
  simt::detail::warp_exchange(simt::detail::WarpOperation::barrier, mask, 0, 0, warpSize, where);
}
template <simt::detail::Exchangeable T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              std::source_location where = std::source_location::current()) {
  return simt::detail::exchange(simt::detail::WarpOperation::shuffle, mask, value, static_cast<unsigned>(source), width,
                                where);
}
template <simt::detail::Exchangeable T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 std::source_location where = std::source_location::current()) {
  return simt::detail::exchange(simt::detail::WarpOperation::shuffle_up, mask, value, delta, width, where);
}
template <simt::detail::Exchangeable T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   std::source_location where = std::source_location::current()) {
  return simt::detail::exchange(simt::detail::WarpOperation::shuffle_down, mask, value, delta, width, where);
}
template <simt::detail::Exchangeable T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  std::source_location where = std::source_location::current()) {
  return simt::detail::exchange(simt::detail::WarpOperation::shuffle_xor, mask, value, static_cast<unsigned>(lane_mask),
                                width, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  return static_cast<unsigned>(
      simt::detail::warp_exchange(simt::detail::WarpOperation::ballot, mask, predicate != 0, 0, warpSize, where));
}
inline int __any_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return __ballot_sync(mask, predicate, where) == mask;
}
inline void __threadfence() { simt::detail::fence(); }
inline void __threadfence_block() { simt::detail::fence(); }
[[noreturn]] inline void __trap(std::source_location where = std::source_location::current()) {
  simt::detail::trap(where);
}

using cudaGraphConditionalHandle = unsigned long long;
inline void cudaGraphSetConditional(cudaGraphConditionalHandle condition, unsigned value,
                                    std::source_location where = std::source_location::current()) {
  simt::detail::set_condition(condition, value, where);
}

template <simt::detail::Atomic T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  using Bits = std::make_unsigned_t<T>;  // overflow wraps
  return simt::detail::atomic_update(
      address, [=](T old) { return static_cast<T>(static_cast<Bits>(old) + static_cast<Bits>(value)); });
}
template <simt::detail::Atomic T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return old < value ? value : old; });
}
template <simt::detail::Atomic T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return value < old ? value : old; });
}
template <simt::detail::Atomic T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return old | value; });
}
template <simt::detail::Atomic T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return old & value; });
}
template <simt::detail::Atomic T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T) { return value; });
}
template <simt::detail::Atomic T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return old == expected ? value : old; });
}

template <class T>
T __ldg(const T* address) {
  return *address;
}

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }

inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }

// As on the device, a NaN loses against a number.
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
template <std::integral T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <std::integral T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
