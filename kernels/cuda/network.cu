// The passes over a convolutional network: on the chip for the network known at compile time, else layer by layer.
#include <clout/kernels/cuda/network_paths.hpp>

namespace clout::cuda {
namespace {

template <class T, class Operation>
std::size_t scratch_of(const Device& device, const Operation& op) {
  const bool on_chip = fused::knows<T>(static_cast<const CudaDevice&>(device), op.shape);
  return on_chip ? fused::scratch(op) : layered::scratch(op);
}

}  // namespace

template <class T>
void network_forward(Device& device, const NetworkForward<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::forward(cuda, op);
  else layered::forward(cuda, op);
}
template <class T>
std::size_t network_forward_scratch(const Device& device, const NetworkForward<T>& op) {
  return scratch_of<T>(device, op);
}

template <class T>
void network_gradient(Device& device, const NetworkGradient<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::gradient(cuda, op);
  else layered::gradient(cuda, op);
}
template <class T>
std::size_t network_gradient_scratch(const Device& device, const NetworkGradient<T>& op) {
  return scratch_of<T>(device, op);
}

template <class T>
void network_hessian_product(Device& device, const NetworkHessianProduct<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::hessian_product(cuda, op);
  else layered::hessian_product(cuda, op);
}
template <class T>
std::size_t network_hessian_product_scratch(const Device& device, const NetworkHessianProduct<T>& op) {
  return scratch_of<T>(device, op);
}

template <class T>
void network_loss_tangents(Device& device, const NetworkLossTangents<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::loss_tangents(cuda, op);
  else layered::loss_tangents(cuda, op);
}
template <class T>
std::size_t network_loss_tangents_scratch(const Device& device, const NetworkLossTangents<T>& op) {
  return scratch_of<T>(device, op);
}

template <class T>
void network_example_gradients(Device& device, const NetworkExampleGradients<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::example_gradients(cuda, op);
  else layered::example_gradients(cuda, op);
}
template <class T>
std::size_t network_example_gradients_scratch(const Device& device, const NetworkExampleGradients<T>& op) {
  return scratch_of<T>(device, op);
}

template <class T>
void network_input_gradients(Device& device, const NetworkInputGradients<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::input_gradients(cuda, op);
  else layered::input_gradients(cuda, op);
}
template <class T>
std::size_t network_input_gradients_scratch(const Device& device, const NetworkInputGradients<T>& op) {
  return scratch_of<T>(device, op);
}

template <class T>
void network_hessian(Device& device, const NetworkHessian<T>& op) {
  auto& cuda = on_cuda(device);
  if (fused::knows<T>(cuda, op.shape)) fused::hessian(cuda, op);
  else layered::hessian(cuda, op);
}
template <class T>
std::size_t network_hessian_scratch(const Device& device, const NetworkHessian<T>& op) {
  return scratch_of<T>(device, op);
}

template void network_forward(Device&, const NetworkForward<float>&);
template std::size_t network_forward_scratch(const Device&, const NetworkForward<float>&);
template void network_gradient(Device&, const NetworkGradient<float>&);
template std::size_t network_gradient_scratch(const Device&, const NetworkGradient<float>&);
template void network_hessian_product(Device&, const NetworkHessianProduct<float>&);
template std::size_t network_hessian_product_scratch(const Device&, const NetworkHessianProduct<float>&);
template void network_loss_tangents(Device&, const NetworkLossTangents<float>&);
template std::size_t network_loss_tangents_scratch(const Device&, const NetworkLossTangents<float>&);
template void network_example_gradients(Device&, const NetworkExampleGradients<float>&);
template std::size_t network_example_gradients_scratch(const Device&, const NetworkExampleGradients<float>&);
template void network_input_gradients(Device&, const NetworkInputGradients<float>&);
template std::size_t network_input_gradients_scratch(const Device&, const NetworkInputGradients<float>&);
template void network_hessian(Device&, const NetworkHessian<float>&);
template std::size_t network_hessian_scratch(const Device&, const NetworkHessian<float>&);
template void network_forward(Device&, const NetworkForward<double>&);
template std::size_t network_forward_scratch(const Device&, const NetworkForward<double>&);
template void network_gradient(Device&, const NetworkGradient<double>&);
template std::size_t network_gradient_scratch(const Device&, const NetworkGradient<double>&);
template void network_hessian_product(Device&, const NetworkHessianProduct<double>&);
template std::size_t network_hessian_product_scratch(const Device&, const NetworkHessianProduct<double>&);
template void network_loss_tangents(Device&, const NetworkLossTangents<double>&);
template std::size_t network_loss_tangents_scratch(const Device&, const NetworkLossTangents<double>&);
template void network_example_gradients(Device&, const NetworkExampleGradients<double>&);
template std::size_t network_example_gradients_scratch(const Device&, const NetworkExampleGradients<double>&);
template void network_input_gradients(Device&, const NetworkInputGradients<double>&);
template std::size_t network_input_gradients_scratch(const Device&, const NetworkInputGradients<double>&);
template void network_hessian(Device&, const NetworkHessian<double>&);
template std::size_t network_hessian_scratch(const Device&, const NetworkHessian<double>&);

}  // namespace clout::cuda
