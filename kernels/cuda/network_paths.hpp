#pragma once
// The two ways through a network, entry by entry as in kernels/network_operations.hpp, each with the bytes of scratch
// that it needs, read off sizes alone.

#include <clout/kernels/cuda/network_batch.hpp>

/// A network of any shape, layer by layer through memory: examples in chunks, vectors in blocks, so that the scratch
/// stays bounded.
namespace clout::cuda::layered {

template <class T>
void forward(CudaDevice& device, const NetworkForward<T>& op);
template <class T>
void gradient(CudaDevice& device, const NetworkGradient<T>& op);
template <class T>
void hessian_product(CudaDevice& device, const NetworkHessianProduct<T>& op);
template <class T>
void loss_tangents(CudaDevice& device, const NetworkLossTangents<T>& op);
template <class T>
void example_gradients(CudaDevice& device, const NetworkExampleGradients<T>& op);
template <class T>
void input_gradients(CudaDevice& device, const NetworkInputGradients<T>& op);
template <class T>
void hessian(CudaDevice& device, const NetworkHessian<T>& op);

template <class T>
std::size_t scratch(const NetworkForward<T>& op);
template <class T>
std::size_t scratch(const NetworkGradient<T>& op);
template <class T>
std::size_t scratch(const NetworkHessianProduct<T>& op);
template <class T>
std::size_t scratch(const NetworkLossTangents<T>& op);
template <class T>
std::size_t scratch(const NetworkExampleGradients<T>& op);
template <class T>
std::size_t scratch(const NetworkInputGradients<T>& op);
template <class T>
std::size_t scratch(const NetworkHessian<T>& op);

}  // namespace clout::cuda::layered

/// The paper's network, whole passes of an example on the chip.
namespace clout::cuda::fused {

/// Whether this is the network, and the device has the shared memory for it.
template <class T>
bool knows(const CudaDevice& device, const NetworkShape& shape);

template <class T>
void forward(CudaDevice& device, const NetworkForward<T>& op);
template <class T>
void gradient(CudaDevice& device, const NetworkGradient<T>& op);
template <class T>
void hessian_product(CudaDevice& device, const NetworkHessianProduct<T>& op);
template <class T>
void loss_tangents(CudaDevice& device, const NetworkLossTangents<T>& op);
template <class T>
void example_gradients(CudaDevice& device, const NetworkExampleGradients<T>& op);
template <class T>
void input_gradients(CudaDevice& device, const NetworkInputGradients<T>& op);
template <class T>
void hessian(CudaDevice& device, const NetworkHessian<T>& op);

template <class T>
std::size_t scratch(const NetworkForward<T>& op);
template <class T>
std::size_t scratch(const NetworkGradient<T>& op);
template <class T>
std::size_t scratch(const NetworkHessianProduct<T>& op);
template <class T>
std::size_t scratch(const NetworkLossTangents<T>& op);
template <class T>
std::size_t scratch(const NetworkExampleGradients<T>& op);
template <class T>
std::size_t scratch(const NetworkInputGradients<T>& op);
template <class T>
std::size_t scratch(const NetworkHessian<T>& op);

}  // namespace clout::cuda::fused
