// Cholesky factor and solves by cuSOLVER. The lower triangle of a row-major matrix is the upper one of the library's.
#include <clout/kernels/cuda/cuda_device.hpp>

namespace clout::cuda {
namespace {

constexpr auto kRowMajorLower = CUBLAS_FILL_MODE_UPPER;

}  // namespace

// A = L Lᵀ in place.  p³/3 flops.
template <class T>
void cholesky_factor(Device& device, const CholeskyFactor<T>& op) {
  auto& cuda = on_cuda(device);
  const int order = as_int(op.matrix.rows), stride = as_int(op.matrix.stride);
  int elements = 0;
  check(potrf_scratch(cuda.solver(), kRowMajorLower, order, op.matrix.data, stride, &elements));
  Buffer<T> scratch(device, elements);
  Buffer<int> info(device, 1);
  check(potrf(cuda.solver(), kRowMajorLower, order, op.matrix.data, stride, scratch.data(), elements, info.data()));
  int outcome = 0;
  device.copy_to_host(&outcome, info.data(), sizeof outcome);
  ensure(outcome >= 0, "cuSOLVER rejects an argument of potrf");
  *op.failed_at = outcome;
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
