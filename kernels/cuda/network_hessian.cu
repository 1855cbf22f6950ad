#include <clout/kernels/cuda/network_fused.hpp>
#include <clout/kernels/cuda/network_paths.hpp>
namespace clout::cuda::fused {
template <class T>
void hessian(CudaDevice& device, const NetworkHessian<T>& op) {
  layered::hessian(device, op);
}
template <class T>
std::size_t scratch(const NetworkHessian<T>& op) {
  return layered::scratch(op);
}
template void hessian(CudaDevice&, const NetworkHessian<float>&);
template void hessian(CudaDevice&, const NetworkHessian<double>&);
template std::size_t scratch(const NetworkHessian<float>&);
template std::size_t scratch(const NetworkHessian<double>&);
}  // namespace clout::cuda::fused
