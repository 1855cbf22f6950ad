#include <lapack.h>

#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <cmath>
#include <limits>

// A row-major lower triangle is a column-major upper one: A = UᵀU with U = Lᵀ, and rows of right-hand sides are
// columns.

namespace clout::cpu {
namespace {

void factor_upper(lapack_int n, float* a, lapack_int* info) { LAPACK_spotrf("U", &n, a, &n, info); }
void factor_upper(lapack_int n, double* a, lapack_int* info) { LAPACK_dpotrf("U", &n, a, &n, info); }

void solve_upper(CBLAS_TRANSPOSE transpose, int p, int k, const float* u, float* x) {
  cblas_strsm(CblasColMajor, CblasLeft, CblasUpper, transpose, CblasNonUnit, p, k, 1, u, p, x, p);
}
void solve_upper(CBLAS_TRANSPOSE transpose, int p, int k, const double* u, double* x) {
  cblas_dtrsm(CblasColMajor, CblasLeft, CblasUpper, transpose, CblasNonUnit, p, k, 1, u, p, x, p);
}

constexpr Index kSolveBlock = 32;  // right-hand sides that go through the factor together

int blas_size(Index size) {
  require(size <= std::numeric_limits<int>::max(), "Cholesky: more than 2³¹ − 1 parameters");
  return static_cast<int>(size);
}

}  // namespace

// A = LLᵀ.  p³/3 flops. LAPACK's own threads: the one place where bits depend on their number.
template <class T>
void cholesky_factor(Device& device, const CholeskyFactor<T>& op) {
  const int p = blas_size(op.matrix.rows);
  lapack_int info = 0;
  if (p > 0) {
    const BlasThreads threads(as_cpu(device).threads());
    factor_upper(p, op.matrix.data, &info);
  }
  ensure(info >= 0, "Cholesky: LAPACK rejected an argument");
  // OpenBLAS lets NaN pass; it is on the diagonal from the first minor that it has touched.
  for (Index i = 0; i < p && info == 0; ++i)
    if (!std::isfinite(op.matrix(i, i))) info = static_cast<lapack_int>(i + 1);
  *op.failed_at = info;
}

// L Lᵀ x = v for every row v, in place.  2p²k flops. Blocks of a constant number of right-hand sides, each solved by
// one thread: a GEMM's bits depend on its width.
template <class T>
void cholesky_solve(Device& device, const CholeskySolve<T>& op) {
  const int p = blas_size(op.factor.rows);
  const BlasThreads threads(1);
  parallel_ranges(device, op.vectors.rows, kSolveBlock, [&](Index first, Index count) {
    T* x = op.vectors.row(first);
    solve_upper(CblasTrans, p, static_cast<int>(count), op.factor.data, x);
    solve_upper(CblasNoTrans, p, static_cast<int>(count), op.factor.data, x);
  });
}

template void cholesky_factor(Device&, const CholeskyFactor<float>&);
template void cholesky_factor(Device&, const CholeskyFactor<double>&);
template void cholesky_solve(Device&, const CholeskySolve<float>&);
template void cholesky_solve(Device&, const CholeskySolve<double>&);

}  // namespace clout::cpu
