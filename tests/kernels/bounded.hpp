#pragma once
// A number in long double together with a bound on the error that a computation of it in T may have, whatever the
// order of its sums: running error analysis. References are written once with these, and the tolerance comes with them.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace clout::test {

using Real = long double;

template <class T>
struct Bounded {
  Real value = 0;
  Real error = 0;

  static constexpr Real kEps = std::numeric_limits<T>::epsilon();  // twice the unit roundoff

  Bounded() = default;
  Bounded(Real exact) : value(exact) {}  // NOLINT: numbers that T holds exactly convert as they are
  Bounded(Real of, Real error_bound) : value(of), error(error_bound) {}

  friend Bounded operator+(Bounded a, Bounded b) { return rounded(a.value + b.value, a.error + b.error); }
  friend Bounded operator-(Bounded a, Bounded b) { return rounded(a.value - b.value, a.error + b.error); }
  friend Bounded operator*(Bounded a, Bounded b) {
    return rounded(a.value * b.value, std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error);
  }
  friend Bounded operator/(Bounded a, Bounded b) {
    const Real quotient = a.value / b.value, least = std::fabs(b.value) - b.error;
    return rounded(quotient, (a.error + std::fabs(quotient) * b.error) / least);
  }
  static Bounded rounded(Real value, Real error) { return {value, error + kEps * std::fabs(value)}; }
};

template <class T>
Bounded<T> exp(Bounded<T> x) {
  const Real value = std::exp(x.value);
  return {value, value * std::expm1(x.error) + 2 * Bounded<T>::kEps * value};
}
template <class T>
Bounded<T> expm1(Bounded<T> x) {
  const Real value = std::expm1(x.value);
  return {value, std::exp(x.value) * std::expm1(x.error) + 2 * Bounded<T>::kEps * std::fabs(value)};
}
template <class T>
Bounded<T> log1p(Bounded<T> x) {
  const Real value = std::log1p(x.value);
  return {value, x.error / (1 + x.value - x.error) + 2 * Bounded<T>::kEps * std::fabs(value)};
}

/// A sum in any order: each of its n terms goes through at most n additions.
template <class T>
class BoundedSum {
 public:
  BoundedSum& operator+=(Bounded<T> term) {
    value_ += term.value;
    error_ += term.error;
    magnitude_ += std::fabs(term.value) + term.error;
    ++terms_;
    return *this;
  }
  Bounded<T> total() const { return {value_, error_ + static_cast<Real>(terms_) * Bounded<T>::kEps * magnitude_}; }

 private:
  Real value_ = 0, error_ = 0, magnitude_ = 0;
  long terms_ = 0;
};

/// |got − expected| ≤ c · bound, with c = 2 for what another evaluation order than the reference's may add.
template <class T>
::testing::AssertionResult within(T got, const Bounded<T>& expected) {
  const Real difference = std::fabs(static_cast<Real>(got) - expected.value);
  // A result that underflows may become 0.
  const Real bound = 2 * expected.error + 4 * static_cast<Real>(std::numeric_limits<T>::min());
  if (difference <= bound) return ::testing::AssertionSuccess();  // false for NaN
  return ::testing::AssertionFailure() << got << " instead of " << static_cast<double>(expected.value) << ", off by "
                                       << static_cast<double>(difference) << ", bound " << static_cast<double>(bound);
}

}  // namespace clout::test
