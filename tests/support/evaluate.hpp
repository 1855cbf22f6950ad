#pragma once
// The oracle's model in any number type: long double says what is right; float says what naive code of the working
// precision reaches, which is what the product's float results are held to.

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "oracle/logistic_oracle.hpp"

namespace clout::test {

/// One of a model's quantities after the other at θ, computed in S. Results are long double, row by row.
template <class S>
class Evaluate {
 public:
  Evaluate(const oracle::LogisticProblem& problem, const oracle::Vector& theta)
      : problem_(problem), theta_(theta.begin(), theta.end()) {}

  /// ℓᵢ, without regulariser: [n]
  oracle::Vector losses() const {
    oracle::Vector out;
    for (std::size_t i = 0; i < problem_.examples; ++i) out.push_back(oracle::example_loss(problem_, theta_, i));
    return out;
  }
  long double objective() const { return oracle::objective(problem_, theta_); }
  oracle::Vector gradient() const { return widen(oracle::objective_gradient(problem_, theta_)); }

  /// (∇²R + damping·I) vⱼ for the rows of [k][p]
  oracle::Vector hessian_product(const oracle::Matrix& vectors, double damping) const {
    oracle::Vector out;
    for (const oracle::Vector& v : vectors) {
      const auto product = oracle::objective_gradient(problem_, seeded(v));
      for (std::size_t j = 0; j < v.size(); ++j)
        out.push_back(product[j].tangent + static_cast<S>(damping) * static_cast<S>(v[j]));
    }
    return out;
  }
  /// vⱼ·∇ℓᵢ: [n][k]
  oracle::Vector loss_tangents(const oracle::Matrix& vectors) const {
    oracle::Vector out(problem_.examples * vectors.size());
    for (std::size_t j = 0; j < vectors.size(); ++j) {
      const auto point = seeded(vectors[j]);
      for (std::size_t i = 0; i < problem_.examples; ++i)
        out[i * vectors.size() + j] = oracle::example_loss(problem_, point, i).tangent;
    }
    return out;
  }
  /// ∇ℓᵢ: [rows][p]
  template <class Rows>
  oracle::Vector example_gradients(const Rows& rows) const {
    oracle::Vector out;
    for (const auto i : rows)
      for (const S value : oracle::loss_gradient(problem_, theta_, static_cast<std::size_t>(i))) out.push_back(value);
    return out;
  }
  /// ∇ₓ(vⱼ·∇θℓᵢ): [k][n·d]
  oracle::Vector input_gradients(const oracle::Matrix& vectors) const {
    using Inner = oracle::Dual<S>;
    using Outer = oracle::Dual<Inner>;
    oracle::Vector out;
    for (const oracle::Vector& v : vectors) {
      const auto inner = seeded(v);
      const std::vector<Outer> point(inner.begin(), inner.end());
      for (std::size_t i = 0; i < problem_.examples; ++i) {
        std::vector<Outer> x;
        for (std::size_t j = 0; j < problem_.features; ++j) x.emplace_back(Inner(static_cast<S>(problem_.row(i)[j])));
        for (Outer& feature : x) {
          feature.tangent = Inner(S(1));
          const auto a = oracle::logits(problem_, point, x.data());
          out.push_back(oracle::cross_entropy(a, problem_.labels[i]).tangent.tangent);
          feature.tangent = Inner(S(0));
        }
      }
    }
    return out;
  }

 private:
  static oracle::Vector widen(const std::vector<S>& values) { return {values.begin(), values.end()}; }
  std::vector<oracle::Dual<S>> seeded(const oracle::Vector& v) const {
    return oracle::seeded(theta_, std::vector<S>(v.begin(), v.end()));
  }

  const oracle::LogisticProblem& problem_;
  std::vector<S> theta_;
};

/// ‖actual − expected‖ / ‖expected‖; infinite for another size or a number that is none. Where all that is expected is
/// zero, so must be what is there.
template <class Actual>
double relative_error(const Actual& actual, const oracle::Vector& expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  long double error = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const long double difference = static_cast<long double>(actual[i]) - expected[i];
    error += difference * difference;
    size += expected[i] * expected[i];
  }
  if (error == 0) return 0;
  const long double ratio = std::sqrt(error) / std::sqrt(size);
  return std::isfinite(ratio) ? static_cast<double>(ratio) : std::numeric_limits<double>::infinity();
}

}  // namespace clout::test
