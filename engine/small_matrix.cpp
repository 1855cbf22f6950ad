#include <lapack.h>

#include <clout/engine/small_matrix.hpp>
#include <clout/kernels/error.hpp>
#include <limits>

namespace clout {

SmallMatrix transposed(const SmallMatrix& a) {
  SmallMatrix t(a.columns, a.rows);
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < a.columns; ++j) t(j, i) = a(i, j);
  return t;
}

SmallMatrix operator*(const SmallMatrix& a, const SmallMatrix& b) {
  ensure(a.columns == b.rows, "small matrices of sizes that do not fit");
  SmallMatrix c(a.rows, b.columns);
  for (Index i = 0; i < a.rows; ++i)
    for (Index k = 0; k < a.columns; ++k)
      for (Index j = 0; j < b.columns; ++j) c(i, j) += a(i, k) * b(k, j);
  return c;
}

SymmetricEigen symmetric_eigen(SmallMatrix a) {
  const lapack_int n = static_cast<lapack_int>(a.rows);
  SymmetricEigen eigen{.values = std::vector<double>(static_cast<std::size_t>(n)), .vectors = {}};
  std::vector<double> work(static_cast<std::size_t>(1 + 6 * n + 2 * n * n));
  std::vector<lapack_int> integers(static_cast<std::size_t>(3 + 5 * n));
  const lapack_int size = static_cast<lapack_int>(work.size()), more = static_cast<lapack_int>(integers.size());
  lapack_int info = 0;
  // Columns of the library's matrix are rows of ours.
  LAPACK_dsyevd("V", "U", &n, a.values.data(), &n, eigen.values.data(), work.data(), &size, integers.data(), &more, &info);
  if (info != 0) eigen.values.assign(eigen.values.size(), std::numeric_limits<double>::quiet_NaN());
  eigen.vectors = std::move(a);
  return eigen;
}

SmallMatrix inverse_of_definite(SmallMatrix a) {
  const lapack_int n = static_cast<lapack_int>(a.rows);
  lapack_int info = 0;
  LAPACK_dpotrf("U", &n, a.values.data(), &n, &info);
  if (info == 0) LAPACK_dpotri("U", &n, a.values.data(), &n, &info);
  if (info != 0) return {};
  for (Index i = 0; i < a.rows; ++i)  // the library's upper triangle is our lower one
    for (Index j = i + 1; j < a.rows; ++j) a(i, j) = a(j, i);
  return a;
}

SmallMatrix cholesky_factor(SmallMatrix a) {
  const lapack_int size = static_cast<lapack_int>(a.rows);
  lapack_int info = 0;
  LAPACK_dpotrf("U", &size, a.values.data(), &size, &info);  // row-major: LAPACK's upper triangle is our lower one
  if (info != 0) return {};
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = i + 1; j < a.columns; ++j) a(i, j) = 0;
  return a;
}

std::vector<double> solve_definite(SmallMatrix a, std::vector<double> b) {
  const lapack_int size = static_cast<lapack_int>(a.rows), one = 1;
  lapack_int info = 0;
  LAPACK_dpotrf("U", &size, a.values.data(), &size, &info);
  if (info != 0) return {};
  LAPACK_dpotrs("U", &size, &one, a.values.data(), &size, b.data(), &size, &info);
  return b;
}

}  // namespace clout
