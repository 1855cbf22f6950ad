#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "oracle/dense.hpp"
#include "oracle/dual.hpp"

/// Two-class margin models as naive scalar code, templated on the number type: derivatives come from dual numbers.
/// Shares no line with the product.
namespace oracle {

enum class Margin { logistic, hinge, smooth_hinge };

/// R(θ) = (1/W) Σ wᵢ ℓ(yᵢ(w·xᵢ + b)) + (l2/2)‖w‖², y = 2·label − 1.
struct MarginProblem {
  std::size_t examples = 0, features = 0;
  bool bias = false;
  Vector x{};                 // [examples][features]
  std::vector<int> labels{};  // [examples], 0 or 1
  Vector weights{};           // [examples]; empty: all 1
  long double l2 = 0;
  Margin loss = Margin::logistic;
  long double temperature = 1;

  std::size_t parameters() const { return features + (bias ? 1 : 0); }
  long double weight(std::size_t i) const { return weights.empty() ? 1 : weights[i]; }
  long double total_weight() const {
    long double total = 0;
    for (std::size_t i = 0; i < examples; ++i) total += weight(i);
    return total;
  }
};

/// log(1 + e^u)
template <class T>
T softplus(const T& u) {
  using std::exp;
  using std::log1p;
  if (primal(u) > 0) return u + log1p(exp(-u));
  return log1p(exp(u));
}

template <class T>
T margin_loss(const MarginProblem& problem, const T& margin) {
  if (problem.loss == Margin::logistic) return softplus(-margin);
  if (problem.loss == Margin::hinge) return primal(margin) < 1 ? T(1) - margin : T(0);
  return T(problem.temperature) * softplus((T(1) - margin) / T(problem.temperature));
}

template <class T, class X>
T margin_example_loss(const MarginProblem& problem, const std::vector<T>& theta, const X* x, int label) {
  T z = problem.bias ? theta[problem.features] : T(0);
  for (std::size_t j = 0; j < problem.features; ++j) z += theta[j] * T(x[j]);
  return margin_loss(problem, label == 1 ? z : -z);
}

template <class T>
T margin_example_loss(const MarginProblem& problem, const std::vector<T>& theta, std::size_t i) {
  return margin_example_loss(problem, theta, problem.x.data() + i * problem.features, problem.labels[i]);
}

template <class T>
T margin_objective(const MarginProblem& problem, const std::vector<T>& theta) {
  T sum = T(0), squares = T(0);
  for (std::size_t i = 0; i < problem.examples; ++i)
    sum += T(problem.weight(i)) * margin_example_loss(problem, theta, i);
  for (std::size_t j = 0; j < problem.features; ++j) squares += theta[j] * theta[j];
  return sum / T(problem.total_weight()) + T(problem.l2 / 2) * squares;
}

inline Vector margin_gradient(const MarginProblem& problem, const Vector& theta) {
  return gradient_by_seeds([&](const auto& at) { return margin_objective(problem, at); }, theta);
}

inline Vector margin_hvp(const MarginProblem& problem, const Vector& theta, const Vector& v) {
  return hvp_by_seeds([&](const auto& at) { return margin_objective(problem, at); }, theta, v);
}

/// v·∇ℓᵢ, had example i this label
inline long double margin_tangent(const MarginProblem& problem, const Vector& theta, const Vector& v, std::size_t i,
                                  int label) {
  return margin_example_loss(problem, seeded(theta, v), problem.x.data() + i * problem.features, label).tangent;
}

/// ∇ₓ(v·∇θℓᵢ): [d]
inline Vector margin_perturb(const MarginProblem& problem, const Vector& theta, const Vector& v, std::size_t i) {
  using Inner = Dual<long double>;
  using Outer = Dual<Inner>;
  const auto inner = seeded(theta, v);
  const std::vector<Outer> point(inner.begin(), inner.end());
  const long double* row = problem.x.data() + i * problem.features;
  std::vector<Outer> x(row, row + problem.features);
  Vector result;
  for (std::size_t j = 0; j < problem.features; ++j) {
    x[j].tangent = Inner(1);
    result.push_back(margin_example_loss(problem, point, x.data(), problem.labels[i]).tangent.tangent);
    x[j].tangent = Inner(0);
  }
  return result;
}

/// The objective without these examples: their weight becomes 0.
inline MarginProblem without(MarginProblem problem, const std::vector<std::size_t>& removed) {
  if (problem.weights.empty()) problem.weights.assign(problem.examples, 1);
  for (const std::size_t i : removed) problem.weights.at(i) = 0;
  return problem;
}

}  // namespace oracle
