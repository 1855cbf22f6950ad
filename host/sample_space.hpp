#pragma once
// Two-class logistic regression with fewer examples than parameters: its Hessian through an n × n matrix.

#include <clout/engine/solver.hpp>
#include <clout/kernels/sparse_features.hpp>
#include <memory>
#include <span>
#include <vector>

namespace clout {

/// The Hessian H = (1/n) Xᵀ C X + λI, C = diag pᵢ(1 − pᵢ), of a logistic regression without bias or example weights,
/// inverted by Woodbury's identity. With K = X Xᵀ and M = nλI + C^½ K C^½ = L Lᵀ:
///
///   H⁻¹ v = (v − Xᵀ C^½ M⁻¹ C^½ X v)/λ,    (pᵢ(1 − pᵢ)/n) xᵢᵀ H⁻¹ xᵢ = 1 − nλ (M⁻¹)ᵢᵢ
///
/// On the host and in double, by LAPACK: 2n³/3 flops a factor, 16 n² bytes in all.
class SampleSpace {
 public:
  /// K from the rows of X, which must outlive this. Σ over columns of entries² products.
  explicit SampleSpace(const SparseRows<double>& x);

  /// L⁻¹ where the margins yᵢ w·xᵢ are `margins`, [n]. Throws NotCertified where M is not positive definite (λ too
  /// small for double).
  void factorise(std::span<const double> margins, double l2);

  /// (1/n) ∇ℓᵢᵀ H⁻¹ ∇ℓᵢ of all examples, as SelfInfluence has it: [n].
  std::vector<double> self_influence() const;

  /// H⁻¹ v for one vector, [p].
  std::vector<double> solve(std::span<const double> v) const;

  Index examples() const { return x_.rows(); }

 private:
  double& at(std::vector<double>& matrix, Index row, Index column) const;

  const SparseRows<double>& x_;
  std::vector<double> gram_;             // [n][n] K
  std::vector<double> factor_;           // [n][n] L⁻¹, column by column
  std::vector<double> margins_, roots_;  // [n] m, √c
  double l2_ = 0;
};

/// Solves by such a factor, each refined until the true residual of `exact` is at most `tolerance`. `factor` belongs to
/// the objective where it stands.
std::unique_ptr<Solver> make_sample_space_solver(std::shared_ptr<const SampleSpace> factor, Objective<double>& exact,
                                                 double tolerance, Progress progress = {});

/// zᵢ = w·xᵢ of all rows: [n].
std::vector<double> outputs_of(const SparseRows<double>& x, std::span<const double> w);

}  // namespace clout
