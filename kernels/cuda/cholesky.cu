// Cholesky factor and solves by cuSOLVER. The lower triangle of a row-major matrix is the upper one of the library's.
#include <clout/kernels/cuda/launch.hpp>
#include <cmath>

namespace clout::cuda {
namespace {

constexpr auto kRowMajorLower = CUBLAS_FILL_MODE_UPPER;

constexpr int kNoPivot = 0x7f7f7f7f;  // as a fill of bytes makes it

}  // namespace

// The library may let NaN pass: it is on the diagonal from the first minor that it has touched. `first` becomes the
// order of that minor.
template <class T>
__global__ void __launch_bounds__(kThreads) first_bad_pivot_kernel(MatrixView<const T> factor, int* first) {
  const Index i = thread_in_grid();
  if (i < factor.rows && !std::isfinite(factor(i, i))) atomicMin(first, static_cast<int>(i + 1));
}

// A = L Lᵀ in place.  p³/3 flops.
template <class T>
void cholesky_factor(Device& device, const CholeskyFactor<T>& op) {
  auto& cuda = on_cuda(device);
  const int order = as_int(op.matrix.rows), stride = as_int(op.matrix.stride);
  int elements = 0;
  check(potrf_scratch(cuda.solver(), kRowMajorLower, order, op.matrix.data, stride, &elements));
  Buffer<T> scratch(device, elements);
  Buffer<int> info(device, 2);  // what the library says; the first pivot that is not finite
  check(cudaMemsetAsync(info.data(), 0x7f, 2 * sizeof(int), cuda.stream()));
  check(potrf(cuda.solver(), kRowMajorLower, order, op.matrix.data, stride, scratch.data(), elements, info.data()));
  launch(cuda, one_thread_each(order), first_bad_pivot_kernel<T>, op.matrix, info.data() + 1);
  const auto outcome = info.to_host();
  ensure(outcome[0] >= 0, "cuSOLVER rejects an argument of potrf");
  *op.failed_at = outcome[0] > 0 ? outcome[0] : outcome[1] == kNoPivot ? 0 : outcome[1];
}

// L Lᵀ s = v for k right-hand sides in place.  2p²k flops. The library's info word can only tell of a bad argument: it
// is not waited for.
template <class T>
void cholesky_solve(Device& device, const CholeskySolve<T>& op) {
  auto& cuda = on_cuda(device);
  int* info = reinterpret_cast<int*>(cuda.staging(sizeof(int)));
  check(potrs(cuda.solver(), kRowMajorLower, as_int(op.factor.rows), as_int(op.vectors.rows), op.factor.data,
              as_int(op.factor.stride), op.vectors.data, as_int(op.vectors.stride), info));
}

template void cholesky_factor(Device&, const CholeskyFactor<float>&);
template void cholesky_factor(Device&, const CholeskyFactor<double>&);
template void cholesky_solve(Device&, const CholeskySolve<float>&);
template void cholesky_solve(Device&, const CholeskySolve<double>&);

}  // namespace clout::cuda
