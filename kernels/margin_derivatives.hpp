#pragma once
// A margin loss and its derivatives at one number: the same code for every backend (constexpr, which the CUDA compiler
// takes for its own).

#include <clout/kernels/margin_operations.hpp>
#include <cmath>

namespace clout {

/// σ(u) = share(), σ(−u) = other(), log(1 + e^u) = softplus(), from one exponential of −|u|.
template <class T>
struct Logistic {
  T u, small;  // e^(−|u|)

  constexpr explicit Logistic(T argument) : u(argument), small(std::exp(u < 0 ? u : -u)) {}
  constexpr T share() const { return (u < 0 ? small : T(1)) / (1 + small); }
  constexpr T other() const { return (u < 0 ? T(1) : small) / (1 + small); }
  constexpr T softplus() const { return (u < 0 ? T(0) : u) + std::log1p(small); }
  constexpr T product() const { return small / ((1 + small) * (1 + small)); }
};

/// −ℓ′(m) is σ(u) with u = (shift − m)/t: what the smooth losses have in common.
template <class T>
struct SmoothMargin {
  T shift, temperature;

  constexpr explicit SmoothMargin(const MarginFunction<T>& f)
      : shift(f.loss == MarginLoss::smooth_hinge ? T(1) : T(0)),
        temperature(f.loss == MarginLoss::smooth_hinge ? f.temperature : T(1)) {}
  constexpr T argument(T margin) const { return (shift - margin) / temperature; }
};

template <class T>
struct MarginDerivatives {
  T loss = 0, slope = 0, curvature = 0;  // ℓ, dℓ/dz, d²ℓ/dz²

  constexpr MarginDerivatives(const MarginFunction<T>& f, std::int32_t label, T z) {
    const T y = label == 0 ? T(-1) : T(1), margin = y * z;
    if (f.loss == MarginLoss::hinge) {
      loss = margin < 1 ? 1 - margin : margin - margin;  // NaN stays NaN
      slope = margin < 1 ? -y : loss;
      curvature = margin - margin;
      return;
    }
    const SmoothMargin<T> smooth(f);
    const Logistic<T> at(smooth.argument(margin));
    loss = smooth.temperature * at.softplus();
    slope = -y * at.share();
    curvature = at.product() / smooth.temperature;
  }
};

/// dℓ/dz at a + z minus dℓ/dz at a. With δ the change of u, σ(u + δ) − σ(u) = σ(u) σ(−u) expm1(δ)/(σ(−u) + σ(u) e^δ),
/// written with e^(−|δ|). From |δ| = 1 on, the two differ by so much that the smaller tails can be subtracted.
template <class T>
constexpr T margin_slope_change(const MarginFunction<T>& f, std::int32_t label, T a, T z) {
  if (f.loss == MarginLoss::hinge)
    return MarginDerivatives<T>(f, label, a + z).slope - MarginDerivatives<T>(f, label, a).slope;
  const T y = label == 0 ? T(-1) : T(1);
  const SmoothMargin<T> smooth(f);
  const Logistic<T> at(smooth.argument(y * a));
  const T change = -y * z / smooth.temperature, size = change < 0 ? -change : change;
  if (size >= 1) {
    const Logistic<T> after(at.u + change);
    const T rise = at.u > 0 && after.u > 0 ? at.other() - after.other() : after.share() - at.share();
    return -y * rise;
  }
  // Rising: numerator and denominator times e^(−δ).
  const T shrunk = std::exp(-size), gained = -std::expm1(-size);
  const T denominator = change < 0 ? at.other() + at.share() * shrunk : at.other() * shrunk + at.share();
  const T moved = at.product() * gained / denominator;
  return change < 0 ? y * moved : -y * moved;
}

}  // namespace clout
