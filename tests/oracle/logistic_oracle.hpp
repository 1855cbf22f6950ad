#pragma once

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "oracle/dense.hpp"
#include "oracle/dual.hpp"

/// Multinomial logistic regression as naive scalar code, templated on the number type. No derivative is written
/// here by hand: all of them come from (nested) dual numbers over long double. Shares no line with the product.
namespace oracle {

/// R(θ) = (1/W) Σ wᵢ ℓᵢ(θ) + (l2/2) ‖θ_weights‖², W = Σ wᵢ, ℓ = logsumexp(a) − a_label, a = Θx + b.
/// θ in PyTorch's order: [classes][features] weights, then, with a bias, [classes].
struct LogisticProblem {
  std::size_t examples = 0;
  std::size_t features = 0;
  std::size_t classes = 2;
  bool bias = false;
  Vector x{};                 // [examples][features]
  std::vector<int> labels{};  // [examples], 0 … classes − 1
  Vector weights{};           // [examples]; empty: all 1
  long double l2 = 0;

  std::size_t regularised() const { return classes * features; }
  std::size_t parameters() const { return regularised() + (bias ? classes : 0); }
  long double weight(std::size_t i) const { return weights.empty() ? 1 : weights[i]; }
  long double total_weight() const {
    long double total = 0;
    for (std::size_t i = 0; i < examples; ++i) total += weight(i);
    return total;
  }
  const long double* row(std::size_t i) const { return x.data() + i * features; }
};

inline void check(const LogisticProblem& problem, std::size_t parameters) {
  if (problem.examples == 0 || problem.classes < 2)
    throw std::invalid_argument("oracle: empty, or fewer than 2 classes");
  if (problem.x.size() != problem.examples * problem.features || problem.labels.size() != problem.examples)
    throw std::invalid_argument("oracle: x or labels have the wrong size");
  if (!problem.weights.empty() && problem.weights.size() != problem.examples)
    throw std::invalid_argument("oracle: example weights have the wrong size");
  if (!(problem.total_weight() > 0)) throw std::invalid_argument("oracle: the weights must have a positive sum");
  for (const int label : problem.labels)
    if (label < 0 || static_cast<std::size_t>(label) >= problem.classes)
      throw std::invalid_argument("oracle: label out of range");
  if (parameters != problem.parameters()) throw std::invalid_argument("oracle: parameter vector of the wrong size");
}

// ---- The model, for any number type -------------------------------------------------------------------------------

/// a = Θx + b; X is the number type of the input: long double, or T where the input is differentiated too.
template <class T, class X>
std::vector<T> logits(const LogisticProblem& problem, const std::vector<T>& theta, const X* x) {
  std::vector<T> a(problem.classes);
  for (std::size_t c = 0; c < problem.classes; ++c) {
    if (problem.bias) a[c] = theta[problem.regularised() + c];
    for (std::size_t j = 0; j < problem.features; ++j) a[c] += theta[c * problem.features + j] * T(x[j]);
  }
  return a;
}

/// logsumexp(a) − a_label. The largest logit is taken out: no overflow, and tiny losses keep their relative accuracy.
template <class T>
T cross_entropy(const std::vector<T>& a, int label) {
  std::size_t top = 0;
  for (std::size_t c = 1; c < a.size(); ++c)
    if (a[c] > a[top]) top = c;
  using std::exp;
  using std::log1p;
  T others = 0;
  for (std::size_t c = 0; c < a.size(); ++c)
    if (c != top) others += exp(a[c] - a[top]);
  return log1p(others) + (a[top] - a[static_cast<std::size_t>(label)]);
}

template <class T>
T example_loss(const LogisticProblem& problem, const std::vector<T>& theta, std::size_t i) {
  return cross_entropy(logits(problem, theta, problem.row(i)), problem.labels[i]);
}

/// R(θ)
template <class T>
T objective(const LogisticProblem& problem, const std::vector<T>& theta) {
  check(problem, theta.size());
  T sum = 0;
  for (std::size_t i = 0; i < problem.examples; ++i) sum += T(problem.weight(i)) * example_loss(problem, theta, i);
  T squares = 0;
  for (std::size_t j = 0; j < problem.regularised(); ++j) squares += theta[j] * theta[j];
  return sum / T(problem.total_weight()) + T(problem.l2 / 2) * squares;
}

// ---- Values and first derivatives ---------------------------------------------------------------------------------

/// [n], without regulariser
inline Vector losses(const LogisticProblem& problem, const Vector& theta) {
  check(problem, theta.size());
  Vector result(problem.examples);
  for (std::size_t i = 0; i < problem.examples; ++i) result[i] = example_loss(problem, theta, i);
  return result;
}

/// [n]: v·∇θℓᵢ, without regulariser
inline Vector tangent(const LogisticProblem& problem, const Vector& theta, const Vector& v) {
  check(problem, theta.size());
  check(problem, v.size());
  const auto point = seeded(theta, v);
  Vector result(problem.examples);
  for (std::size_t i = 0; i < problem.examples; ++i) result[i] = example_loss(problem, point, i).tangent;
  return result;
}

/// [p]: the derivative of ℓᵢ by every parameter. Parameter (c, j) enters logit c alone, with factor xⱼ (the bias: 1),
/// and a dual number's tangent is linear in its seed: one evaluation per class, seeded in its logit, serves them all.
template <class T>
std::vector<T> loss_gradient(const LogisticProblem& problem, const std::vector<T>& theta, std::size_t i) {
  const std::vector<T> a = logits(problem, theta, problem.row(i));
  std::vector<Dual<T>> point(a.begin(), a.end());
  std::vector<T> result(problem.parameters());
  for (std::size_t c = 0; c < problem.classes; ++c) {
    point[c].tangent = T(1);
    const T by_logit = cross_entropy(point, problem.labels[i]).tangent;
    point[c].tangent = T(0);
    for (std::size_t j = 0; j < problem.features; ++j)
      result[c * problem.features + j] = by_logit * T(problem.row(i)[j]);
    if (problem.bias) result[problem.regularised() + c] = by_logit;
  }
  return result;
}

/// ∇R. gradient_by_seeds(objective) gives the same, slower: the self-test holds them together.
template <class T>
std::vector<T> objective_gradient(const LogisticProblem& problem, const std::vector<T>& theta) {
  check(problem, theta.size());
  std::vector<T> result(theta.size());
  const long double total = problem.total_weight();
  for (std::size_t i = 0; i < problem.examples; ++i) {
    const std::vector<T> g = loss_gradient(problem, theta, i);
    for (std::size_t j = 0; j < g.size(); ++j) result[j] += T(problem.weight(i) / total) * g[j];
  }
  for (std::size_t j = 0; j < problem.regularised(); ++j) {
    const Dual<T> square = Dual<T>(theta[j], T(1)) * Dual<T>(theta[j], T(1));
    result[j] += T(problem.l2 / 2) * square.tangent;
  }
  return result;
}

/// [p], regulariser included
inline Vector gradient(const LogisticProblem& problem, const Vector& theta) {
  return objective_gradient(problem, theta);
}

/// [n][p], without regulariser
inline Matrix example_gradients(const LogisticProblem& problem, const Vector& theta) {
  check(problem, theta.size());
  Matrix result;
  for (std::size_t i = 0; i < problem.examples; ++i) result.push_back(loss_gradient(problem, theta, i));
  return result;
}

// ---- Second derivatives -------------------------------------------------------------------------------------------

/// (∇²R + damping·I) v: d/dε of d/dη of R at θ + εv + ηeⱼ, for every j
inline Vector hvp(const LogisticProblem& problem, const Vector& theta, const Vector& v, long double damping = 0) {
  check(problem, theta.size());
  check(problem, v.size());
  const auto gradient = objective_gradient(problem, seeded(theta, v));
  Vector result(theta.size());
  for (std::size_t j = 0; j < result.size(); ++j) result[j] = gradient[j].tangent + damping * v[j];
  return result;
}

/// [p][p], row by row, each row from its own unit vector: symmetric only if the arithmetic is right
inline Matrix hessian(const LogisticProblem& problem, const Vector& theta) {
  Matrix result;
  Vector unit(theta.size());
  for (std::size_t j = 0; j < theta.size(); ++j) {
    unit[j] = 1;
    result.push_back(hvp(problem, theta, unit));
    unit[j] = 0;
  }
  return result;
}

/// [n][d] of one vector: ∇ₓ(v·∇θℓᵢ), by d/dε of d/dη of ℓ(x + ηeⱼ, θ + εv)
inline Vector perturb(const LogisticProblem& problem, const Vector& theta, const Vector& v) {
  check(problem, theta.size());
  check(problem, v.size());
  using Inner = Dual<long double>;  // ε
  using Outer = Dual<Inner>;        // η
  const auto inner = seeded(theta, v);
  const std::vector<Outer> point(inner.begin(), inner.end());
  Vector result;
  for (std::size_t i = 0; i < problem.examples; ++i) {
    std::vector<Outer> x(problem.row(i), problem.row(i) + problem.features);
    for (std::size_t j = 0; j < problem.features; ++j) {
      x[j].tangent = Inner(1);
      result.push_back(cross_entropy(logits(problem, point, x.data()), problem.labels[i]).tangent.tangent);
      x[j].tangent = Inner(0);
    }
  }
  return result;
}

/// [k][n][d]
inline Matrix perturb(const LogisticProblem& problem, const Vector& theta, const Matrix& vectors) {
  Matrix result;
  for (const Vector& v : vectors) result.push_back(perturb(problem, theta, v));
  return result;
}

// ---- Training -----------------------------------------------------------------------------------------------------

/// The objective without these examples: their weight becomes 0, so the mean is over the others; l2 stays.
inline LogisticProblem without(LogisticProblem problem, const std::vector<std::size_t>& removed) {
  if (problem.weights.empty()) problem.weights.assign(problem.examples, 1);
  for (const std::size_t i : removed) problem.weights.at(i) = 0;
  return problem;
}

struct Trained {
  Vector params{};
  long double gradient_norm = 0;
  int iterations = 0;
};

/// Newton's method with backtracking from `start` (empty: 0) until ‖∇R‖ ≤ tolerance. With a bias (or l2 = 0) the
/// Hessian is singular along equal shifts of all classes, where R is flat: a shift of 1e-10 of its mean diagonal makes
/// the step unique, and a start at 0 keeps the sum over the classes near 0.
inline Trained train(const LogisticProblem& problem, Vector start = {}, long double tolerance = 1e-15L,
                     int max_iterations = 200) {
  if (start.empty()) start.assign(problem.parameters(), 0);
  Trained result{std::move(start)};
  Vector g = gradient(problem, result.params);
  result.gradient_norm = norm(g);
  for (; result.gradient_norm > tolerance; ++result.iterations) {
    if (result.iterations == max_iterations) throw std::runtime_error("oracle: training did not converge");
    const Matrix h = hessian(problem, result.params);
    long double trace = 0;
    for (std::size_t j = 0; j < h.size(); ++j) trace += h[j][j];
    const Vector step = damped_solve(h, g, 1e-10L * trace / static_cast<long double>(h.size()));
    const long double value = objective(problem, result.params), slope = dot(g, step);
    for (long double length = 1;; length /= 2) {
      if (length < 1e-9L) throw std::runtime_error("oracle: no step lowers the objective");
      const Vector trial = add_scaled(result.params, -length, step);
      const Vector trial_gradient = gradient(problem, trial);
      const long double trial_norm = norm(trial_gradient);
      // Close to the optimum the objective no longer changes in its last digit: there the gradient decides.
      const bool lower = objective(problem, trial) <= value - 1e-4L * length * slope;
      if (!lower && !(trial_norm < result.gradient_norm / 2)) continue;
      result.params = trial;
      g = trial_gradient;
      result.gradient_norm = trial_norm;
      break;
    }
  }
  return result;
}

}  // namespace oracle
