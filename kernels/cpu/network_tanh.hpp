#pragma once
// tanh of a vector.

#include <clout/kernels/cpu/simd.hpp>

namespace clout::cpu {

/// tanh(a) to a relative error of four roundings at most (of t, of both sides of the quotient, of itself), for the
/// smallest and the largest |a| alike. Odd to the bit, but that −0 becomes 0; NaN stays NaN.
///
/// With a = m ln(2)/2 + g, |g| ≤ ln(2)/4, t = tanh(g) and e^(2a) = 2^m (1 + t)/(1 − t):
///
///   tanh(a) = ((2^m − 1) + (2^m + 1) t) / ((2^m + 1) + (2^m − 1) t),
///
/// which is t where m = 0. The limit is the number of operations that are under way at a time; so it has few, the
/// sign needs none, and ln(2)/2 is one number: its error, m times, is damped by the slope of tanh.
template <class T>
[[gnu::always_inline]] inline Vector<T> hyperbolic_tangent(Vector<T> a) {
  constexpr bool kSingle = std::is_same_v<T, float>;
  constexpr int kMantissaBits = std::numeric_limits<T>::digits - 1;
  // x + this − this rounds x, and the sum's last bits are the exponent of a power of two.
  constexpr T kRounder = T(1.5) * static_cast<T>(std::int64_t{1} << kMantissaBits) +
                         static_cast<T>(std::numeric_limits<T>::max_exponent - 1);
  constexpr T kBeyond = kSingle ? T(9.25) : T(19.25);  // tanh rounds to 1 from there on
  constexpr T kHalfLn2 = T(0.34657359027997265471L);

  a = clamp<T>(a, -kBeyond, kBeyond);
  const Vector<T> rounded = a * (T(1) / kHalfLn2) + kRounder;
  const Vector<T> g = a - (rounded - kRounder) * kHalfLn2;

  // tanh(g) = g + g³ P(g²), P the polynomial of least relative error: 2e-10 of 3 terms, 4e-18 of 6.
  constexpr T kSeries[2][6] = {
      {T(-0.33333322692797642898L), T(0.13331180197431907066L), T(-0.052726051043066062939L)},
      {T(-0.33333333333332481033L), T(0.13333333332781572381L), T(-0.053968252778256024197L),
       T(0.021869370435319373277L), T(-0.0088572994420024884462L), T(0.0034447229088548353428L)}};
  constexpr int kTerms = kSingle ? 3 : 6;
  const Vector<T> square = g * g;
  Vector<T> series = broadcast(kSeries[!kSingle][kTerms - 1]);
  for (int term = kTerms - 2; term >= 0; --term) series = series * square + kSeries[!kSingle][term];
  const Vector<T> t = g * square * series + g;

  Integers<T> bits;
  std::memcpy(&bits, &rounded, sizeof bits);
  bits <<= kMantissaBits;  // the rounder's own high bits are shifted out
  Vector<T> power;
  std::memcpy(&power, &bits, sizeof power);
  const Vector<T> sum = power + T(1), difference = power - T(1);
  return (sum * t + difference) / (difference * t + sum);
}

}  // namespace clout::cpu
