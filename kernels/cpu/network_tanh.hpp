#pragma once
// tanh of a vector, and what it makes of derivatives on their way into memory (math.md): h′ = 1 − h².

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

template <class T>
struct Store {
  T* out;
  void operator()(Index at, Vector<T> value) const { store(out + at * kLanes<T>, value); }
};

/// R{h} = h′ R{a}, and −2 h R{a} δa where δ is there.
template <class T>
struct StoreTangent {
  const T *h, *delta;
  T *tangent, *delta_tangent;

  void operator()(Index at, Vector<T> value) const {
    at *= kLanes<T>;
    const Vector<T> h_at = load(h + at);
    store(tangent + at, value - h_at * h_at * value);
    if (delta) store(delta_tangent + at, T(-2) * h_at * value * load(delta + at));
  }
};

/// δa = h′ δh, or R{δa} = h′ R{δh} + what is there, as far as `adds_until`.
template <class T>
struct StoreDelta {
  const T* h;
  T* delta;
  Index adds_until;

  void operator()(Index at, Vector<T> value) const {
    const Vector<T> h_at = load(h + at * kLanes<T>);
    value -= h_at * h_at * value;
    if (at < adds_until) value += load(delta + at * kLanes<T>);
    store(delta + at * kLanes<T>, value);
  }
};

}  // namespace clout::cpu
