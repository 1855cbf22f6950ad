#pragma once
// An objective that is a symmetric matrix and nothing else, with faults on demand. For the CPU device alone.

#include <clout/engine/objective.hpp>

#include "oracle/dense.hpp"

namespace clout::test {

/// R(θ) = θᵀAθ/2. Products can be made wrong: out_i is multiplied by 1 + fault·(−1)^i.
template <class T>
class MatrixObjective : public Objective<T> {
 public:
  MatrixObjective(Device& device, oracle::Matrix matrix, double fault = 0)
      : device_(device), matrix_(std::move(matrix)), fault_(fault) {}

  Device& device() const override { return device_; }
  Index parameters() const override { return static_cast<Index>(matrix_.size()); }
  Index examples() const override { return 1; }
  Index input_size() const override { return 1; }
  double total_weight() const override { return 1; }
  double example_weight(Index) const override { return 1; }
  double l2() const override { return 0; }
  std::vector<ParameterBlock> layout() const override { return {{"weight", {parameters()}, 0, true}}; }

  void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override {
    widest_ = std::max(widest_, vectors.rows);
    for (Index j = 0; j < vectors.rows; ++j)
      for (Index row = 0; row < parameters(); ++row) {
        long double sum = static_cast<long double>(damping) * vectors(j, row);
        for (Index column = 0; column < parameters(); ++column)
          sum += matrix_[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] * vectors(j, column);
        out(j, row) = static_cast<T>(sum * (1 + (row % 2 ? -fault_ : fault_)));
      }
  }
  /// Most vectors that one call was given.
  Index widest() const { return widest_; }

  // Not asked for by solvers.
  void set_parameters(MatrixView<const T>) override { ensure(false, "not here"); }
  void losses(MatrixView<T>) override { ensure(false, "not here"); }
  void gradient(MatrixView<T>) override { ensure(false, "not here"); }
  void loss_tangents(MatrixView<const T>, Index, MatrixView<T>) override { ensure(false, "not here"); }
  void example_gradients(std::span<const Index>, MatrixView<T>) override { ensure(false, "not here"); }
  void input_gradients(MatrixView<const T>, Index, Index, MatrixView<T>) override { ensure(false, "not here"); }
  void losses_at(MatrixView<const T>, MatrixView<T>) override { ensure(false, "not here"); }

 private:
  Device& device_;
  oracle::Matrix matrix_;
  double fault_;
  Index widest_ = 0;
};

/// Q diag(values) Qᵀ with Q = I − 2uuᵀ/uᵀu, u = (1, 2, 3, …): dense, its eigenvalues known.
inline oracle::Matrix with_eigenvalues(const oracle::Vector& values) {
  const std::size_t n = values.size();
  oracle::Vector u(n);
  for (std::size_t i = 0; i < n; ++i) u[i] = static_cast<long double>(i + 1);
  const long double scale = 2 / oracle::dot(u, u);
  const auto q = [&](std::size_t i, std::size_t j) { return (i == j ? 1 : 0) - scale * u[i] * u[j]; };
  oracle::Matrix a(n, oracle::Vector(n));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < n; ++k) a[i][j] += q(i, k) * values[k] * q(j, k);
  return a;
}
/// The unit eigenvector that belongs to values[k].
inline oracle::Vector eigenvector(std::size_t n, std::size_t k) {
  oracle::Vector u(n), v(n);
  for (std::size_t i = 0; i < n; ++i) u[i] = static_cast<long double>(i + 1);
  for (std::size_t i = 0; i < n; ++i) v[i] = (i == k ? 1 : 0) - 2 / oracle::dot(u, u) * u[i] * u[k];
  return v;
}

}  // namespace clout::test
