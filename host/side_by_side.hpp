#pragma once
// Conjugate gradients for systems that have a matrix each, side by side. On the host: vectors are few and short beside the
// products.

#include <clout/kernels/matrix_view.hpp>
#include <functional>
#include <span>
#include <vector>

namespace clout {

/// A product or a solve with every system's own matrix: [k][p] to [k][p].
template <class T>
using RowsMap = std::function<void(std::span<const T> in, std::span<T> out)>;

template <class T>
struct SideBySideOptions {
  Index max_iterations = 500;
  RowsMap<T> precondition;  ///< null: none
};

/// Where conjugate gradients ended: their own residuals, not recomputed.
template <class T>
struct SideBySideSolution {
  std::vector<T> x;          // [k][p]
  std::vector<double> left;  // [k] ‖r_j‖₂
  Index products = 0;        // with all matrices at once
};

/// A_j x_j = b_j, A_j symmetric positive definite, from zero until each ‖r_j‖₂ ≤ targets[j]. Vectors in precision T, their
/// products in double. A system whose direction shows no curvature stays where it is.
template <class T>
SideBySideSolution<T> solve_side_by_side(const RowsMap<T>& multiply, std::span<const T> b, std::span<const double> targets,
                                         const SideBySideOptions<T>& options = {});

/// ‖x_j‖₂ of the k rows.
template <class T>
std::vector<double> norms_of_rows(std::span<const T> rows, Index k);

}  // namespace clout
