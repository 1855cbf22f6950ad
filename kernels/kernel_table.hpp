#pragma once
// The complete list of what a backend can compute in one precision. Filled by kernels/cpu and by kernels/cuda.

#include <clout/kernels/block_operations.hpp>
#include <clout/kernels/device.hpp>
#include <clout/kernels/margin_operations.hpp>
#include <clout/kernels/network_operations.hpp>
#include <clout/kernels/operations.hpp>

namespace clout {

/// T is float or double. Every entry checks nothing: shapes are checked once, where the operation is composed.
template <class T>
struct KernelTable {
  const char* name = "";

  // Linear layer and softmax (linear, softmax).
  void (*linear_forward)(Device&, const LinearForward<T>&) = nullptr;
  void (*softmax_cross_entropy)(Device&, const SoftmaxCrossEntropy<T>&) = nullptr;
  void (*softmax_tangent)(Device&, const SoftmaxTangent<T>&) = nullptr;
  void (*softmax_loss_tangent)(Device&, const SoftmaxLossTangent<T>&) = nullptr;
  void (*example_gradients)(Device&, const ExampleGradients<T>&) = nullptr;
  void (*linear_input_gradient)(Device&, const LinearInputGradient<T>&) = nullptr;

  // The fused pass over X, the explicit Hessian and what a matrix is on examples' logits (linear_sweep, softmax_hessian,
  // leverage). The `_scratch` entries read sizes only: pointers in the operation may still be null.
  void (*linear_sweep)(Device&, const LinearSweep<T>&) = nullptr;
  std::size_t (*linear_sweep_scratch)(const Device&, const LinearSweep<T>&) = nullptr;
  void (*softmax_hessian)(Device&, const SoftmaxHessian<T>&) = nullptr;
  std::size_t (*softmax_hessian_scratch)(const Device&, const SoftmaxHessian<T>&) = nullptr;
  void (*linear_leverages)(Device&, const LinearLeverages<T>&) = nullptr;
  std::size_t (*linear_leverages_scratch)(const Device&, const LinearLeverages<T>&) = nullptr;

  // Margin losses (margin).
  void (*margin_pass)(Device&, const MarginPass<T>&) = nullptr;
  void (*margin_difference)(Device&, const MarginDifference<T>&) = nullptr;
  void (*scale_rows)(Device&, const ScaleRows<T>&) = nullptr;

  // Minibatches of Hessian products (minibatch).
  void (*sample_rows)(Device&, const SampleRows&) = nullptr;
  void (*gather_examples)(Device&, const GatherExamples<T>&) = nullptr;

  // Passes over a convolutional network (network). The `_scratch` entries read sizes only.
  void (*network_forward)(Device&, const NetworkForward<T>&) = nullptr;
  std::size_t (*network_forward_scratch)(const Device&, const NetworkForward<T>&) = nullptr;
  void (*network_gradient)(Device&, const NetworkGradient<T>&) = nullptr;
  std::size_t (*network_gradient_scratch)(const Device&, const NetworkGradient<T>&) = nullptr;
  void (*network_hessian_product)(Device&, const NetworkHessianProduct<T>&) = nullptr;
  std::size_t (*network_hessian_product_scratch)(const Device&, const NetworkHessianProduct<T>&) = nullptr;
  void (*network_loss_tangents)(Device&, const NetworkLossTangents<T>&) = nullptr;
  std::size_t (*network_loss_tangents_scratch)(const Device&, const NetworkLossTangents<T>&) = nullptr;
  void (*network_example_gradients)(Device&, const NetworkExampleGradients<T>&) = nullptr;
  std::size_t (*network_example_gradients_scratch)(const Device&, const NetworkExampleGradients<T>&) = nullptr;
  void (*network_input_gradients)(Device&, const NetworkInputGradients<T>&) = nullptr;
  std::size_t (*network_input_gradients_scratch)(const Device&, const NetworkInputGradients<T>&) = nullptr;
  void (*network_hessian)(Device&, const NetworkHessian<T>&) = nullptr;
  std::size_t (*network_hessian_scratch)(const Device&, const NetworkHessian<T>&) = nullptr;

  // Vectors (vectors).
  void (*combine)(Device&, const Combine<T>&) = nullptr;
  void (*vector_dots)(Device&, const VectorDots<T>&) = nullptr;
  void (*to_double)(Device&, const ToDouble<T>&) = nullptr;
  void (*from_double)(Device&, const FromDouble<T>&) = nullptr;
  void (*add_regularizer)(Device&, const AddRegularizer<T>&) = nullptr;
  void (*add_diagonal)(Device&, const AddDiagonal<T>&) = nullptr;
  void (*adam_step)(Device&, const AdamStep<T>&) = nullptr;
  void (*lissa_step)(Device&, const LissaStep<T>&) = nullptr;

  // Blocks of few vectors (block_vectors).
  void (*block_products)(Device&, const BlockProducts<T>&) = nullptr;
  void (*block_combine)(Device&, const BlockCombine<T>&) = nullptr;

  // Block conjugate gradients, step by step (block_gradient).
  // With gram = PᵀQ (which is 1 but for rounding) and α = (PᵀW)⁻¹ without directions that are zero: to_block = −(α PᵀQ)ᵀ,
  // to_corrections = (α PᵀQ C)ᵀ; iterations of running columns, quotients. Where PᵀW is not positive definite to rounding,
  // running columns get negative_curvature and both are zero.
  void (*block_step)(Device&, const BlockGradientState&) = nullptr;
  void (*block_keep)(Device&, const BlockKeep<T>&) = nullptr;
  // With A the parts of gram along kept directions, gram·kept_inverses: to_block = −A, and to_corrections = CᵀA.
  void (*block_along)(Device&, const BlockGradientState&) = nullptr;
  // First of two passes: from gram = QᵀQ, factor = L and inverse = L⁻¹ without the rows whose pivot is rounding, which are
  // zero.
  void (*block_basis)(Device&, const BlockGradientState&) = nullptr;
  // Second pass: inverse likewise; step = (L·L₂)ᵀ, coefficients, norms, status; kept counts the slot that was filled.
  void (*block_advance)(Device&, const BlockGradientState&) = nullptr;

  // Conjugate gradients, step by step (conjugate_gradient). x = 0, r = right-hand side, target and status are set by
  // the caller; start sets p = z, rho, smallest_rayleigh = +∞, iterations = 0, and settles columns that are done.
  void (*cg_start)(Device&, const ConjugateGradientState<T>&) = nullptr;
  // curvature = pᵀq; ≤ 0: status becomes negative_curvature; else x += αp, r −= αq with α = rho / curvature. p and q are
  // kept while there is room, and r is projected.
  void (*cg_advance)(Device&, const ConjugateGradientState<T>&) = nullptr;
  // ρ′ = rᵀz; iterations += 1; histories are written; √rᵀr ≤ target: converged; ρ′ ≤ 0: stagnated; else p = z + (ρ′/ρ) p,
  // conjugate to what is kept.
  void (*cg_direct)(Device&, const ConjugateGradientState<T>&) = nullptr;
  // Where directions are kept, r is made orthogonal to them, and x follows; before a start that goes on with them.
  void (*cg_project)(Device&, const ConjugateGradientState<T>&) = nullptr;

  // Dense factorisation (cholesky, eigenvalues).
  void (*cholesky_factor)(Device&, const CholeskyFactor<T>&) = nullptr;
  void (*cholesky_solve)(Device&, const CholeskySolve<T>&) = nullptr;
  void (*symmetric_eigenvalues)(Device&, const SymmetricEigenvalues<T>&) = nullptr;
};

}  // namespace clout
