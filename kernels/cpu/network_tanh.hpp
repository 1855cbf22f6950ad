#pragma once
// tanh of a vector.

#include <clout/kernels/cpu/simd.hpp>

namespace clout::cpu {

/// tanh|a| = −e / (2 + e) with e = expm1(−2|a|), then a's sign: about two units in the last place, for the smallest
/// and the largest a alike. NaN stays NaN.
template <class T>
[[gnu::always_inline]] inline Vector<T> hyperbolic_tangent(Vector<T> a) {
  constexpr auto kSign = std::numeric_limits<typename Simd<T>::Integer>::min();
  Integers<T> bits;
  std::memcpy(&bits, &a, sizeof bits);
  const Integers<T> sign = bits & kSign;
  bits |= kSign;
  Vector<T> minus_magnitude;
  std::memcpy(&minus_magnitude, &bits, sizeof bits);

  const Vector<T> e = Exponential<T>(minus_magnitude + minus_magnitude).minus_one;
  const Vector<T> result = -e / (e + T(2));
  std::memcpy(&bits, &result, sizeof bits);
  bits |= sign;
  Vector<T> signed_result;
  std::memcpy(&signed_result, &bits, sizeof bits);
  return signed_result;
}

}  // namespace clout::cpu
