// Eigenvalues of a symmetric matrix by cuSOLVER.
#include <clout/kernels/cuda/launch.hpp>

namespace clout::cuda {

// By reduction to a tridiagonal matrix: 4p³/3 flops.
template <class T>
void symmetric_eigenvalues(Device& device, const SymmetricEigenvalues<T>& op) {
  auto& cuda = on_cuda(device);
  const int order = as_int(op.matrix.rows), stride = as_int(op.matrix.stride);
  if (order == 0) return;
  int elements = 0;
  check(syevd_scratch(cuda.solver(), order, op.matrix.data, stride, op.values, &elements));
  Buffer<T> scratch(device, elements);
  Buffer<int> info(device, 1);
  check(syevd(cuda.solver(), order, op.matrix.data, stride, op.values, scratch.data(), elements, info.data()));
  ensure(info.to_host()[0] == 0, "cuSOLVER's eigenvalues did not converge");
}

template void symmetric_eigenvalues(Device&, const SymmetricEigenvalues<float>&);
template void symmetric_eigenvalues(Device&, const SymmetricEigenvalues<double>&);

}  // namespace clout::cuda
