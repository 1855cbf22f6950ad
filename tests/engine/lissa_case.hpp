#pragma once
// LiSSA on a small logistic problem, and the same iteration once more as naive code on the oracle's Hessians.

#include <clout/engine/lissa.hpp>

#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"
#include "support/evaluate.hpp"

namespace clout::test {

/// Under simt small, and well conditioned, so that a few steps do.
inline const CaseSizes kLissaSizes =
    kSmall ? CaseSizes{9, 3, 3, false, false, true, 0.5} : CaseSizes{41, 7, 3, false, false, true};

/// Without a bias: the regulariser acts on every parameter.
class NaiveLissa {
 public:
  NaiveLissa(const LogisticCase& problem, double damping) : problem_(problem.problem()), damping_(damping) {
    oracle::LogisticProblem one = problem_;
    one.examples = 1;
    one.weights = {};
    one.l2 = 0;
    for (std::size_t i = 0; i < problem_.examples; ++i) {
      one.x.assign(problem_.row(i), problem_.row(i) + problem_.features);
      one.labels = {problem_.labels[i]};
      hessians_.push_back(oracle::hessian(one, problem.theta()));
    }
  }
  /// Above every eigenvalue that a batch's Hessian can have: no step lengthens an error.
  double safe_scale() const {
    long double largest = 0;
    for (std::size_t i = 0; i < hessians_.size(); ++i)
      largest = std::max(largest, share(i) * eigenvalues(hessians_[i]).back());
    return static_cast<double>(largest + problem_.l2) + damping_;
  }
  /// (H_B + λ + damping) s.
  oracle::Vector product(std::span<const Index> batch, const oracle::Vector& s) const {
    oracle::Vector sum(s.size());
    for (const Index i : batch)
      sum = oracle::add_scaled(sum, share(static_cast<std::size_t>(i)) / static_cast<long double>(batch.size()),
                               oracle::multiply(hessians_[static_cast<std::size_t>(i)], s));
    return oracle::add_scaled(sum, problem_.l2 + damping_, s);
  }
  double damping() const { return damping_; }
  long double l2() const { return problem_.l2; }

 private:
  /// (n/W) wᵢ.
  long double share(std::size_t i) const {
    return static_cast<long double>(problem_.examples) * problem_.weight(i) / problem_.total_weight();
  }
  oracle::LogisticProblem problem_;
  double damping_;
  std::vector<oracle::Matrix> hessians_;
};

/// A round of LiSSA alone, without the certified loop around it.
struct Round {
  oracle::Matrix estimates;
  std::vector<ColumnReport> columns;
  LissaReport report;
};
template <class T>
Round run_round(Objective<T>& objective, double damping, const LissaOptions& options, const oracle::Matrix& v) {
  const Index k = static_cast<Index>(v.size()), p = objective.parameters();
  Lissa<T> lissa(HessianOperator<T>(objective, damping), options);
  const Buffer<T> residuals = upload_rows<T>(objective.device(), v);
  Buffer<T> estimates(objective.device(), k * p);
  Round round;
  round.columns.resize(v.size());
  lissa.correct(residuals.view(k, p), std::vector<double>(v.size(), 0.0), estimates.view(k, p), round.columns);
  const std::vector<T> host = estimates.to_host();
  for (Index j = 0; j < k; ++j) round.estimates.emplace_back(host.begin() + j * p, host.begin() + (j + 1) * p);
  SolveReport report;
  lissa.describe(report);
  round.report = *report.lissa;
  return round;
}

/// Of norm 1, rounded to T.
template <class T>
oracle::Matrix unit_vectors(LogisticCase& problem, Index k) {
  oracle::Matrix v = problem.vectors(k);
  for (oracle::Vector& row : v) {
    const long double norm = oracle::norm(row);
    for (long double& value : row) value = static_cast<T>(value / norm);
  }
  return v;
}

}  // namespace clout::test
