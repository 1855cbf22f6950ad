#pragma once
// What a solve did, column by column. Never thrown away.

#include <clout/kernels/operations.hpp>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace clout {

/// One right-hand side's outcome.
struct ColumnReport {
  ColumnStatus status = ColumnStatus::running;
  Index iterations = 0;        ///< of the inner solver, over all refinements
  Index refinements = 0;       ///< corrections of the solution by a residual in double
  double relative_residual = std::numeric_limits<double>::quiet_NaN();  ///< ‖v − (H + damping·I)s‖/‖v‖, true, in double
  double smallest_rayleigh = std::numeric_limits<double>::infinity();   ///< least pᵀ(H + damping·I)p / pᵀp met (CG)
  double smallest_eigenvalue = std::numeric_limits<double>::quiet_NaN();  ///< Ritz estimates of H + damping·I (CG)
  double largest_eigenvalue = std::numeric_limits<double>::quiet_NaN();
  /// LiSSA: standard error of the mean over its repeats, relative to that mean, before anything was refined.
  double spread = std::numeric_limits<double>::quiet_NaN();
};

/// What LiSSA worked with in the end, and what that was chosen by (NaN where nothing was measured).
struct LissaReport {
  bool published = false;  ///< the paper's way: batches without replacement, no averaging along a chain, no refinement
  double scale = 0;        ///< σ
  Index depth = 0;         ///< steps of a round
  Index batch = 0;         ///< examples of a step
  Index repeats = 0;       ///< chains with batches of their own
  Index doublings = 0;     ///< of σ, where steps diverged
  Index steps = 0;         ///< taken in all, by each chain
  double passes = 0;       ///< examples that steps have read, in units of the data
  double largest_eigenvalue = std::numeric_limits<double>::quiet_NaN();   ///< of H + damping·I
  double smallest_eigenvalue = std::numeric_limits<double>::quiet_NaN();  ///< of H + damping·I, as far as v sees it
  double example_trace = std::numeric_limits<double>::quiet_NaN();        ///< mean trace of an example's Hessian
};

/// All columns of one solve of (H + damping·I) s = v.
struct SolveReport {
  std::string solver;          ///< "cg", "direct", "lissa"
  double tolerance = 0;        ///< asked for, on the true relative residual
  double damping = 0;          ///< effective: exactly what is added to H's diagonal
  double rounding = 0;         ///< relative rounding of a product in the working precision: what no solve can tell from 0
  std::vector<ColumnReport> columns;
  Index products = 0;          ///< Hessian products with one vector, in the working precision
  std::string preconditioner = "none";  ///< with what it was made of, in words
  Index preconditioner_products = 0;    ///< that made the preconditioner, since the solver's beginning; once in `products`
  Index certifying_products = 0;  ///< the same in double, for the true residuals
  double seconds = 0;
  std::optional<LissaReport> lissa;  ///< of that solver alone

  /// Adds the columns and the work of another part of the same job.
  void append(const SolveReport& part);

  bool certified() const;
  double max_relative_residual() const;
  /// One line for the first column that is not certified: what happened and what to change. Empty where all are.
  std::string first_failure() const;
};

/// "converged", "negative_curvature", …
std::string to_string(ColumnStatus status);

}  // namespace clout
