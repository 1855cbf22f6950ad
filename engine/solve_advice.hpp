#pragma once
// What the ends of a Hessian's spectrum say about solves of (H + damping·I)s = v.

#include <clout/kernels/matrix_view.hpp>
#include <vector>

namespace clout {

/// What is known of H's spectrum, from all eigenvalues or from Lanczos.
struct SpectrumEnds {
  double smallest = 0, largest = 0;     ///< eigenvalues, or Rayleigh quotients near them
  double smallest_error = 0;            ///< some eigenvalue is as near as that to `smallest`; 0 where all are known
  double at_least = 0;                  ///< no eigenvalue lies below (Lanczos: but for a small probability)
  double rounding = 0;                  ///< nearer to zero than this counts as zero
  bool are_all = false;                 ///< whether `values` are all eigenvalues, not Ritz values
  std::vector<double> values, weights;  ///< and what a right-hand side with a part everywhere has of each

  enum class Definiteness { definite, not_known, singular, indefinite };
  Definiteness definiteness() const;
  /// What brings the smallest eigenvalue of H + damping·I to as far above zero as it was below, and the condition to
  /// 1e6 at most; 0 where H is positive definite.
  double advised_damping() const;
  /// The same from `at_least`: certain as far as that is.
  double sure_damping() const;
  /// Of H + damping·I, as far as it is known.
  double condition(double damping) const;

  struct Count {
    Index products = 0;
    bool is_bound = false;  ///< at most, by the condition number; else what CG does with such a right-hand side
  };
  /// Products that CG takes to a relative residual of `tolerance`, H + damping·I positive definite. The iteration is
  /// run on diag(values) with the weights: for all eigenvalues that is CG itself, for m Ritz values its first m − 1
  /// steps from Lanczos' start (Golub & Meurant 2010, chapter 12).
  Count cg_products(double damping, double tolerance) const;
};

}  // namespace clout
