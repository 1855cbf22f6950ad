#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <vector>

/// Forward-mode automatic differentiation for the tests. Shares no line with the product.
namespace oracle {

/// value + tangent·ε with ε² = 0. Nest it, Dual<Dual<T>>, for second derivatives: with a = f(x + ε v + η w),
/// a.tangent.tangent is vᵀ(∇²f)w, whichever of ε and η is the outer one.
template <class T>
struct Dual {
  T value{};
  T tangent{};

  constexpr Dual() = default;
  constexpr Dual(const T& v) : value(v) {}  // NOLINT(google-explicit-constructor): a constant has tangent 0
  constexpr Dual(const T& v, const T& t) : value(v), tangent(t) {}
  template <class A>
  requires(std::is_arithmetic_v<A> && !std::same_as<A, T>) constexpr Dual(A constant)
      : value(static_cast<T>(constant)) {}  // NOLINT(google-explicit-constructor)

  friend Dual operator+(const Dual& a) { return a; }
  friend Dual operator-(const Dual& a) { return {-a.value, -a.tangent}; }
  friend Dual operator+(const Dual& a, const Dual& b) { return {a.value + b.value, a.tangent + b.tangent}; }
  friend Dual operator-(const Dual& a, const Dual& b) { return {a.value - b.value, a.tangent - b.tangent}; }
  friend Dual operator*(const Dual& a, const Dual& b) {
    return {a.value * b.value, a.value * b.tangent + a.tangent * b.value};
  }
  friend Dual operator/(const Dual& a, const Dual& b) {
    const T quotient = a.value / b.value;
    return {quotient, (a.tangent - quotient * b.tangent) / b.value};
  }
  Dual& operator+=(const Dual& b) { return *this = *this + b; }
  Dual& operator-=(const Dual& b) { return *this = *this - b; }
  Dual& operator*=(const Dual& b) { return *this = *this * b; }
  Dual& operator/=(const Dual& b) { return *this = *this / b; }

  // The order is that of the values: a branch is taken as the undifferentiated program would take it.
  friend bool operator==(const Dual& a, const Dual& b) { return a.value == b.value; }
  friend bool operator<(const Dual& a, const Dual& b) { return a.value < b.value; }
  friend bool operator>(const Dual& a, const Dual& b) { return b < a; }
  friend bool operator<=(const Dual& a, const Dual& b) { return !(b < a); }
  friend bool operator>=(const Dual& a, const Dual& b) { return !(a < b); }

  friend Dual exp(const Dual& a) {
    using std::exp;
    const T e = exp(a.value);
    return {e, e * a.tangent};
  }
  friend Dual log(const Dual& a) {
    using std::log;
    return {log(a.value), a.tangent / a.value};
  }
  friend Dual log1p(const Dual& a) {
    using std::log1p;
    return {log1p(a.value), a.tangent / (T(1) + a.value)};
  }
  friend Dual expm1(const Dual& a) {
    using std::exp;
    using std::expm1;
    return {expm1(a.value), exp(a.value) * a.tangent};
  }
  friend Dual tanh(const Dual& a) {
    using std::tanh;
    const T h = tanh(a.value);
    return {h, (T(1) - h * h) * a.tangent};
  }
};

/// The undifferentiated value below all levels of nesting.
template <class T>
constexpr T primal(const T& a) {
  return a;
}
template <class T>
constexpr auto primal(const Dual<T>& a) {
  return primal(a.value);
}

/// at + ε direction, where T is the number type of both.
template <class T>
std::vector<Dual<T>> seeded(const std::vector<T>& at, const std::vector<T>& direction) {
  std::vector<Dual<T>> result(at.size());
  for (std::size_t j = 0; j < at.size(); ++j) result[j] = {at[j], direction[j]};
  return result;
}

/// The gradient of f, a scalar function of a vector of any number type: one evaluation per coordinate.
template <class T, class F>
std::vector<T> gradient_by_seeds(const F& f, const std::vector<T>& at) {
  std::vector<T> result(at.size());
  std::vector<Dual<T>> point(at.begin(), at.end());
  for (std::size_t j = 0; j < at.size(); ++j) {
    point[j].tangent = T(1);
    result[j] = f(point).tangent;
    point[j].tangent = T(0);
  }
  return result;
}

/// (∇²f) direction: the derivative along `direction` of each derivative of f, one nested evaluation per coordinate.
template <class T, class F>
std::vector<T> hvp_by_seeds(const F& f, const std::vector<T>& at, const std::vector<T>& direction) {
  const auto gradient = gradient_by_seeds(f, seeded(at, direction));
  std::vector<T> result(at.size());
  for (std::size_t j = 0; j < at.size(); ++j) result[j] = gradient[j].tangent;
  return result;
}

}  // namespace oracle
