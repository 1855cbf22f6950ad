#pragma once
// Vectors of the width that this build's processor has (GCC vector extensions; plain x86-64 gives 16 bytes), and exp.

#include <clout/kernels/matrix_view.hpp>
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace clout::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kTileRows = 12;  // of 32 registers, 24 accumulate
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kTileRows = 6;  // of 16 registers, 12 accumulate
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kTileRows = 6;
#endif

template <class T>
struct Simd;
template <>
struct Simd<float> {
  using Integer = std::int32_t;
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(float)), may_alias));
  typedef std::int32_t Integers __attribute__((vector_size(kVectorBytes)));
};
template <>
struct Simd<double> {
  using Integer = std::int64_t;
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(double)), may_alias));
  typedef std::int64_t Integers __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vector = typename Simd<T>::Vector;
template <class T>
using Integers = typename Simd<T>::Integers;
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
inline Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename Simd<T>::Unaligned*>(from);
}
template <class T>
inline void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename Simd<T>::Unaligned*>(to) = value;
}
template <class T>
inline Vector<T> broadcast(T value) {
  return value - Vector<T>{};
}
template <class T>
inline Vector<T> select(Integers<T> condition, Vector<T> yes, Vector<T> no) {
  return condition ? yes : no;
}
/// The value moved into low…high; NaN stays NaN.
template <class T>
inline Vector<T> clamp(Vector<T> value, T low, T high) {
  const Vector<T> lowest = broadcast(low), highest = broadcast(high);
#if defined(__AVX2__) && !defined(__AVX512F__)
  // One instruction each instead of a comparison and a choice; where one operand is NaN, they take the second.
  if constexpr (std::is_same_v<T, float>) return _mm256_min_ps(highest, _mm256_max_ps(lowest, value));
  else return _mm256_min_pd(highest, _mm256_max_pd(lowest, value));
#else
  value = select<T>(value < lowest, lowest, value);
  return select<T>(value > highest, highest, value);
#endif
}
/// The value, held in a register: GCC would load what is used several times in a row again for each use, and loads are
/// what the inner loops run out of.
template <class V>
[[gnu::always_inline]] inline V in_register(V value) {
#if defined(__x86_64__)
  asm volatile("" : "+v"(value));
#endif
  return value;
}

/// sum + a·b. Written out: of the instruction's three forms GCC also takes those that overwrite a factor, and then moves
/// sums from register to register, and through memory where all are in use.
template <class T>
[[gnu::always_inline]] inline Vector<T> add_product(Vector<T> sum, Vector<T> a, Vector<T> b) {
#if defined(__FMA__)
  if constexpr (std::is_same_v<T, float>) asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  else asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
#else
  return sum + a * b;
#endif
}
/// The same with b in memory, which takes no register.
template <class T>
[[gnu::always_inline]] inline Vector<T> add_product(Vector<T> sum, Vector<T> a, const T* b) {
#if defined(__FMA__)
  const auto& at = *reinterpret_cast<const typename Simd<T>::Unaligned*>(b);
  if constexpr (std::is_same_v<T, float>) asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "m"(at));
  else asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "m"(at));
  return sum;
#else
  return sum + a * load(b);
#endif
}

/// kLanes numbers, from T or from bytes.
template <class T>
inline Vector<T> load_as(const T* from) {
  return load(from);
}
template <class T>
inline Vector<T> load_as(const std::uint8_t* from) {
  // Written out: GCC 12 turns its own vector conversion of bytes into one of single elements.
#if defined(__AVX512F__)
  constexpr auto kAll = static_cast<__mmask16>(-1);  // the forms without a mask warn of GCC's own variables
  if constexpr (std::is_same_v<T, float>)
    return _mm512_maskz_cvtepi32_ps(
        kAll, _mm512_maskz_cvtepu8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  else
    return _mm512_maskz_cvtepi32_pd(static_cast<__mmask8>(kAll),
                                    _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>)
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
  else return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_loadu_si32(from)));
#else
  Vector<T> value;
  for (int lane = 0; lane < kLanes<T>; ++lane) value[lane] = static_cast<T>(from[lane]);
  return value;
#endif
}

/// The first kCount lanes from as many bytes; what the others have is not said.
template <int kCount, class T>
inline Vector<T> load_bytes(const std::uint8_t* from) {
#if defined(__AVX512F__)
  if constexpr (kCount == 8 && std::is_same_v<T, float>)
    return reinterpret_cast<Vector<T>>(_mm512_castps256_ps512(
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))))));
#endif
  static_assert(kCount == kLanes<T> || (kCount == 8 && kVectorBytes == 64));
  return load_as<T>(from);
}

/// One lane's number in all lanes.
template <class T>
[[gnu::always_inline]] inline Vector<T> in_all_lanes(Vector<T> value, int lane) {
  return __builtin_shuffle(value, Integers<T>{} + static_cast<typename Simd<T>::Integer>(lane));
}

/// Sum over the lanes, halves first.
template <class T>
inline T lane_sum(Vector<T> value) {
  for (int half = kLanes<T> / 2; half > 0; half /= 2) {
    Integers<T> other{};
    for (int lane = 0; lane < half; ++lane) other[lane] = lane + half;
    value += __builtin_shuffle(value, other);
  }
  return value[0];
}

/// e^y and e^y − 1, each to about one unit in the last place, for y ≤ 0 (what a softmax needs once its largest logit
/// is subtracted). With y = m ln 2 + f, |f| ≤ ln(2)/2 and q = e^f − 1 from its Taylor series:
/// e^y = 2^m + 2^m q, e^y − 1 = 2^m q + (2^m − 1). Below the smallest normal number, e^y is 0. NaN stays NaN.
template <class T>
struct Exponential {
  Vector<T> value, minus_one;

  explicit Exponential(Vector<T> y) {
    constexpr bool kSingle = std::is_same_v<T, float>;
    constexpr int kDegree = kSingle ? 8 : 14;
    constexpr int kMantissaBits = std::numeric_limits<T>::digits - 1;
    constexpr T kRounder = T(1.5) * static_cast<T>(std::int64_t{1} << kMantissaBits);  // x + this − this rounds x
    constexpr T kLowest = kSingle ? T(-87.3) : T(-708.3);
    constexpr T kLn2High = kSingle ? T(0.693359375) : T(0.69314718036912381649);
    constexpr T kLn2Low = kSingle ? T(-2.12194440054690582e-4) : T(1.9082149292705877e-10);

    const Integers<T> vanishes = y < broadcast(kLowest);
    y = select<T>(vanishes, broadcast(kLowest), y);
    const Vector<T> rounded = y * T(1.44269504088896340736) + kRounder;
    const Vector<T> whole = rounded - kRounder;
    const Vector<T> f = (y - whole * kLn2High) - whole * kLn2Low;

    // Even and odd powers apart: half as long a chain.
    const Vector<T> square = f * f;
    Vector<T> even = broadcast(kInverseFactorial[kDegree]), odd = broadcast(kInverseFactorial[kDegree - 1]);
    for (int power = kDegree - 2; power >= 2; power -= 2) {
      even = even * square + kInverseFactorial[power];
      if (power > 2) odd = odd * square + kInverseFactorial[power - 1];
    }
    const Vector<T> series = odd * f + even;
    const Vector<T> q = square * series + f;

    Integers<T> bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    constexpr auto kBias = static_cast<typename Simd<T>::Integer>(std::numeric_limits<T>::max_exponent - 1);
    bits = (bits + kBias) << kMantissaBits;  // the rounder's own high bits are shifted out
    Vector<T> power;
    std::memcpy(&power, &bits, sizeof power);
    value = select<T>(vanishes, Vector<T>{}, power * q + power);
    minus_one = select<T>(vanishes, broadcast(T(-1)), power * q + (power - T(1)));
  }

 private:
  static constexpr T kInverseFactorial[] = {T(1),
                                            T(1),
                                            T(1.0L / 2),
                                            T(1.0L / 6),
                                            T(1.0L / 24),
                                            T(1.0L / 120),
                                            T(1.0L / 720),
                                            T(1.0L / 5040),
                                            T(1.0L / 40320),
                                            T(1.0L / 362880),
                                            T(1.0L / 3628800),
                                            T(1.0L / 39916800),
                                            T(1.0L / 479001600),
                                            T(1.0L / 6227020800),
                                            T(1.0L / 87178291200)};
};

}  // namespace clout::cpu
