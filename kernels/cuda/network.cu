// The passes over a convolutional network: the fused way for the networks that it knows, else layer by layer.
#include <clout/kernels/cuda/network_layered.hpp>

namespace clout::cuda {

template <class T>
void network_forward(Device& device, const NetworkForward<T>& op) {
  layered::forward(on_cuda(device), op);
}
template <class T>
std::size_t network_forward_scratch(const Device&, const NetworkForward<T>& op) {
  return layered::scratch(op);
}

template <class T>
void network_gradient(Device& device, const NetworkGradient<T>& op) {
  layered::gradient(on_cuda(device), op);
}
template <class T>
std::size_t network_gradient_scratch(const Device&, const NetworkGradient<T>& op) {
  return layered::scratch(op);
}

template <class T>
void network_hessian_product(Device& device, const NetworkHessianProduct<T>& op) {
  layered::hessian_product(on_cuda(device), op);
}
template <class T>
std::size_t network_hessian_product_scratch(const Device&, const NetworkHessianProduct<T>& op) {
  return layered::scratch(op);
}

template <class T>
void network_loss_tangents(Device& device, const NetworkLossTangents<T>& op) {
  layered::loss_tangents(on_cuda(device), op);
}
template <class T>
std::size_t network_loss_tangents_scratch(const Device&, const NetworkLossTangents<T>& op) {
  return layered::scratch(op);
}

template <class T>
void network_example_gradients(Device& device, const NetworkExampleGradients<T>& op) {
  layered::example_gradients(on_cuda(device), op);
}
template <class T>
std::size_t network_example_gradients_scratch(const Device&, const NetworkExampleGradients<T>& op) {
  return layered::scratch(op);
}

template <class T>
void network_input_gradients(Device& device, const NetworkInputGradients<T>& op) {
  layered::input_gradients(on_cuda(device), op);
}
template <class T>
std::size_t network_input_gradients_scratch(const Device&, const NetworkInputGradients<T>& op) {
  return layered::scratch(op);
}

template <class T>
void network_hessian(Device& device, const NetworkHessian<T>& op) {
  layered::hessian(on_cuda(device), op);
}
template <class T>
std::size_t network_hessian_scratch(const Device&, const NetworkHessian<T>& op) {
  return layered::scratch(op);
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
