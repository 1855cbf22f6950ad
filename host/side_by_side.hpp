#pragma once
// Conjugate gradients for systems that have a matrix each, side by side. On the host: vectors are few and short beside the
// products.

#include <clout/kernels/matrix_view.hpp>
#include <functional>
#include <span>
#include <vector>

namespace clout {

/// A product or a solve with every system's own matrix: [k][p] to [k][p].
using RowsMap = std::function<std::vector<double>(const std::vector<double>&)>;

struct SideBySideOptions {
  Index max_iterations = 500;
  /// Null: none.
  RowsMap precondition;
};

/// Where conjugate gradients ended: their own residuals, not recomputed.
struct SideBySideSolution {
  std::vector<double> x;   // [k][p]
  std::vector<double> left;  // [k] ‖r_j‖₂
  Index products = 0;        // with all matrices at once
};

/// A_j x_j = b_j, A_j symmetric positive definite, from zero until each ‖r_j‖₂ ≤ targets[j]. A system whose direction
/// shows no curvature stays where it is.
SideBySideSolution solve_side_by_side(const RowsMap& multiply, std::span<const double> b, std::span<const double> targets,
                                      const SideBySideOptions& options = {});

/// ‖x_j‖₂ of the k rows.
std::vector<double> norms_of_rows(std::span<const double> rows, Index k);

}  // namespace clout
