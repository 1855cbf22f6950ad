#pragma once
// The entry points of the CPU backend, as table.cpp lists them. Contracts: kernel_table.hpp, operations.hpp and
// network_operations.hpp.

#include <clout/kernels/kernel_table.hpp>

namespace clout::cpu {

template <class T>
const KernelTable<T>& table();

template <class T>
void linear_forward(Device&, const LinearForward<T>&);
template <class T>
void softmax_cross_entropy(Device&, const SoftmaxCrossEntropy<T>&);
template <class T>
void softmax_tangent(Device&, const SoftmaxTangent<T>&);
template <class T>
void softmax_loss_tangent(Device&, const SoftmaxLossTangent<T>&);
template <class T>
void example_gradients(Device&, const ExampleGradients<T>&);
template <class T>
void linear_input_gradient(Device&, const LinearInputGradient<T>&);

template <class T>
void linear_sweep(Device&, const LinearSweep<T>&);
template <class T>
std::size_t linear_sweep_scratch(const Device&, const LinearSweep<T>&);
template <class T>
void margin_pass(Device&, const MarginPass<T>&);
template <class T>
void margin_difference(Device&, const MarginDifference<T>&);
template <class T>
void scale_rows(Device&, const ScaleRows<T>&);
void sample_rows(Device&, const SampleRows&);
template <class T>
void gather_examples(Device&, const GatherExamples<T>&);
template <class T>
void softmax_hessian(Device&, const SoftmaxHessian<T>&);
template <class T>
std::size_t softmax_hessian_scratch(const Device&, const SoftmaxHessian<T>&);
template <class T>
void linear_leverages(Device&, const LinearLeverages<T>&);
template <class T>
std::size_t linear_leverages_scratch(const Device&, const LinearLeverages<T>&);

template <class T>
void network_forward(Device&, const NetworkForward<T>&);
template <class T>
std::size_t network_forward_scratch(const Device&, const NetworkForward<T>&);
template <class T>
void network_gradient(Device&, const NetworkGradient<T>&);
template <class T>
std::size_t network_gradient_scratch(const Device&, const NetworkGradient<T>&);
template <class T>
void network_hessian_product(Device&, const NetworkHessianProduct<T>&);
template <class T>
std::size_t network_hessian_product_scratch(const Device&, const NetworkHessianProduct<T>&);
template <class T>
void network_loss_tangents(Device&, const NetworkLossTangents<T>&);
template <class T>
std::size_t network_loss_tangents_scratch(const Device&, const NetworkLossTangents<T>&);
template <class T>
void network_example_gradients(Device&, const NetworkExampleGradients<T>&);
template <class T>
std::size_t network_example_gradients_scratch(const Device&, const NetworkExampleGradients<T>&);
template <class T>
void network_input_gradients(Device&, const NetworkInputGradients<T>&);
template <class T>
std::size_t network_input_gradients_scratch(const Device&, const NetworkInputGradients<T>&);
template <class T>
void network_hessian(Device&, const NetworkHessian<T>&);
template <class T>
std::size_t network_hessian_scratch(const Device&, const NetworkHessian<T>&);

template <class T>
void combine(Device&, const Combine<T>&);
template <class T>
void vector_dots(Device&, const VectorDots<T>&);
template <class T>
void block_products(Device&, const BlockProducts<T>&);
template <class T>
void block_combine(Device&, const BlockCombine<T>&);
void block_step(Device&, const BlockGradientState&);
template <class T>
void block_keep(Device&, const BlockKeep<T>&);
void block_along(Device&, const BlockGradientState&);
void block_basis(Device&, const BlockGradientState&);
void block_advance(Device&, const BlockGradientState&);
template <class T>
void to_double(Device&, const ToDouble<T>&);
template <class T>
void from_double(Device&, const FromDouble<T>&);
template <class T>
void add_regularizer(Device&, const AddRegularizer<T>&);
template <class T>
void add_diagonal(Device&, const AddDiagonal<T>&);
template <class T>
void adam_step(Device&, const AdamStep<T>&);
template <class T>
void lissa_step(Device&, const LissaStep<T>&);

template <class T>
void cg_start(Device&, const ConjugateGradientState<T>&);
template <class T>
void cg_advance(Device&, const ConjugateGradientState<T>&);
template <class T>
void cg_direct(Device&, const ConjugateGradientState<T>&);
template <class T>
void cg_project(Device&, const ConjugateGradientState<T>&);

template <class T>
void cholesky_factor(Device&, const CholeskyFactor<T>&);
template <class T>
void cholesky_solve(Device&, const CholeskySolve<T>&);
template <class T>
void symmetric_eigenvalues(Device&, const SymmetricEigenvalues<T>&);

}  // namespace clout::cpu
