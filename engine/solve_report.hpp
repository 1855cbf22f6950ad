#pragma once
// What a solve did, column by column. Never thrown away.

#include <clout/kernels/operations.hpp>
#include <limits>
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
};

/// All columns of one solve of (H + damping·I) s = v.
struct SolveReport {
  std::string solver;          ///< "cg", "direct"
  double tolerance = 0;        ///< asked for, on the true relative residual
  double damping = 0;          ///< effective: exactly what is added to H's diagonal
  double rounding = 0;         ///< relative rounding of a product in the working precision: what no solve can tell from 0
  std::vector<ColumnReport> columns;
  Index products = 0;          ///< Hessian products with one vector, in the working precision
  Index certifying_products = 0;  ///< the same in double, for the true residuals
  double seconds = 0;

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
