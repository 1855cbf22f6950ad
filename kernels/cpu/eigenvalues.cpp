#include <lapack.h>

#include <algorithm>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <limits>
#include <vector>

namespace clout::cpu {
namespace {

void eigenvalues(int n, float* a, float* w, float* work, int work_size, int* iwork, int iwork_size, int* info) {
  LAPACK_ssyevd("N", "U", &n, a, &n, w, work, &work_size, iwork, &iwork_size, info);
}
void eigenvalues(int n, double* a, double* w, double* work, int work_size, int* iwork, int iwork_size, int* info) {
  LAPACK_dsyevd("N", "U", &n, a, &n, w, work, &work_size, iwork, &iwork_size, info);
}

}  // namespace

// By Householder reduction and QL: 4p³/3 flops, half of them in matrix-vector products. LAPACK's own threads: bits depend
// on their number.
template <class T>
void symmetric_eigenvalues(Device& device, const SymmetricEigenvalues<T>& op) {
  require(op.matrix.rows <= std::numeric_limits<int>::max(), "eigenvalues: more than 2³¹ − 1 rows");
  const int p = static_cast<int>(op.matrix.rows);
  if (p == 0) return;
  const BlasThreads threads(as_cpu(device).threads());
  T best = 0;
  int iwork = 0, info = 0;
  eigenvalues(p, op.matrix.data, op.values, &best, -1, &iwork, -1, &info);
  std::vector<T> work(static_cast<std::size_t>(std::max(best, T(2 * p + 1))));
  eigenvalues(p, op.matrix.data, op.values, work.data(), static_cast<int>(work.size()), &iwork, 1, &info);
  ensure(info == 0, "eigenvalues: LAPACK's QL iteration did not converge");
}

template void symmetric_eigenvalues(Device&, const SymmetricEigenvalues<float>&);
template void symmetric_eigenvalues(Device&, const SymmetricEigenvalues<double>&);

}  // namespace clout::cpu
