#pragma once
// A number in long double together with the size that the error of a computation of it in T has in all likelihood.
//
// bounded.hpp's worst case is of no use for a deep network: every layer multiplies it by Σ|w|, and for the gradients of
// the paper's network in float it comes out 20 to 500 times as large as the values. Rounding errors are instead taken
// as independent with mean 0 (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis"), so that
// variances add: with u the unit roundoff every operation adds (u·result)², a function of the library (4u·result)².
// Errors that are not independent, such as that of p − e_y, which all of an example's derivatives share, come out too
// small; by how much, the naive code in T itself shows (Closeness).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace clout::test {

using Real = long double;

template <class T>
struct Spread {
  Real value = 0;
  double variance = 0;

  static constexpr Real kUnit = static_cast<Real>(std::numeric_limits<T>::epsilon()) / 2;
  static constexpr Real kFunction = 4 * kUnit;  // exp and tanh: 2 units in the last place

  Spread() = default;
  Spread(Real exact) : value(exact) {}  // NOLINT: numbers that T holds exactly convert as they are
  Spread(Real of, double error_variance) : value(of), variance(error_variance) {}

  Real deviation() const { return std::sqrt(static_cast<Real>(variance)); }
  static Spread rounded(Real value, double variance = 0, Real unit = kUnit) {
    const double error = static_cast<double>(unit * value);
    return {value, variance + error * error};
  }

  friend Spread operator-(const Spread& a) { return {-a.value, a.variance}; }
  friend Spread operator+(const Spread& a, const Spread& b) {
    return rounded(a.value + b.value, a.variance + b.variance);
  }
  friend Spread operator-(const Spread& a, const Spread& b) { return a + -b; }
  friend Spread operator*(const Spread& a, const Spread& b) {
    const double x = static_cast<double>(a.value), y = static_cast<double>(b.value);
    return rounded(a.value * b.value, x * x * b.variance + (y * y + b.variance) * a.variance);
  }
  friend Spread operator/(const Spread& a, const Spread& b) {
    const double q = static_cast<double>(a.value / b.value), y = static_cast<double>(b.value);
    return rounded(a.value / b.value, (a.variance + q * q * b.variance) / (y * y));
  }
  Spread& operator+=(const Spread& b) { return *this = *this + b; }
  Spread& operator-=(const Spread& b) { return *this = *this - b; }
  friend bool operator<(const Spread& a, const Spread& b) { return a.value < b.value; }
  friend bool operator>(const Spread& a, const Spread& b) { return b < a; }

  friend Spread exp(const Spread& a) {
    const Real e = std::exp(a.value);
    return rounded(e, static_cast<double>(e * e) * a.variance, kFunction);
  }
  friend Spread tanh(const Spread& a) {
    const Real h = std::tanh(a.value), slope = 1 - h * h;
    return rounded(h, static_cast<double>(slope * slope) * a.variance, kFunction);
  }
};

/// What a result of an operation is compared with: |got − exact| ≤ 4 ρ σ for every entry, where σ is the entry's
/// deviation and ρ the largest |naive − exact| / σ that the naive code in T has anywhere in the same result, at least
/// 1. So another order of the sums may be four times worse than the naive one at its worst place, no more.
template <class T>
struct Closeness {
  std::vector<Spread<T>> exact{};
  Real slack = 4;  // 4 ρ

  Closeness(std::vector<Spread<T>> reference, const std::vector<T>& naive) : exact(std::move(reference)) {
    EXPECT_EQ(naive.size(), exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i)
      if (exact[i].variance > 0)
        slack = std::max(slack, 4 * std::fabs(static_cast<Real>(naive[i]) - exact[i].value) / exact[i].deviation());
    // ρ up to 3 is what the networks of the tests show; a model of the errors that fails would make the test blunt.
    EXPECT_LE(slack, 4 * 10) << "the naive code's error is not what the variances say";
  }
  std::size_t size() const { return exact.size(); }
  Real bound(std::size_t i) const {
    return slack * exact[i].deviation() + 4 * static_cast<Real>(std::numeric_limits<T>::min());
  }
};

/// Entry by entry; stops at the first that is off.
template <class T>
void expect_close(const std::vector<T>& got, const Closeness<T>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::fabs(static_cast<Real>(got[i]) - expected.exact[i].value), expected.bound(i))
        << what << ": entry " << i << " of " << got.size() << " is " << got[i] << " instead of "
        << expected.exact[i].value << ", slack " << expected.slack;
}

}  // namespace clout::test
