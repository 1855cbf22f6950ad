#pragma once
// Matrices of a few dozen rows, at most some thousands, on the host.

#include <clout/kernels/matrix_view.hpp>
#include <vector>

namespace clout {

/// Row-major, in double.
struct SmallMatrix {
  Index rows = 0, columns = 0;
  std::vector<double> values;

  SmallMatrix() = default;
  SmallMatrix(Index height, Index width)
      : rows(height), columns(width), values(static_cast<std::size_t>(height * width)) {}
  double& operator()(Index i, Index j) { return values[static_cast<std::size_t>(i * columns + j)]; }
  double operator()(Index i, Index j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
};

SmallMatrix transposed(const SmallMatrix& a);
SmallMatrix operator*(const SmallMatrix& a, const SmallMatrix& b);

/// A = Vᵀ diag(values) V of a symmetric A: values ascending, eigenvectors are V's rows. Not finite: values are NaN.
struct SymmetricEigen {
  std::vector<double> values;
  SmallMatrix vectors;
};
SymmetricEigen symmetric_eigen(SmallMatrix a);

/// A⁻¹ of a symmetric positive definite A; empty where Cholesky finds that it is not.
SmallMatrix inverse_of_definite(SmallMatrix a);

/// Lower triangular C with A = C Cᵀ likewise.
SmallMatrix cholesky_factor(SmallMatrix a);

/// A⁻¹b likewise.
std::vector<double> solve_definite(SmallMatrix a, std::vector<double> b);

}  // namespace clout
