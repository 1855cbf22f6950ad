// The CUDA backend's table of kernels.
#include <clout/kernels/cuda/cuda_device.hpp>

namespace clout::cuda {

// Defined, and instantiated for float and double, in the file of the operation's family.
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

template <class T>
const KernelTable<T>& kernel_table() {
  static constexpr KernelTable<T> table{
      .name = "cuda",
      .linear_forward = linear_forward<T>,
      .softmax_cross_entropy = softmax_cross_entropy<T>,
      .softmax_tangent = softmax_tangent<T>,
      .softmax_loss_tangent = softmax_loss_tangent<T>,
      .example_gradients = example_gradients<T>,
      .linear_input_gradient = linear_input_gradient<T>,
      .linear_sweep = linear_sweep<T>,
      .linear_sweep_scratch = linear_sweep_scratch<T>,
      .softmax_hessian = softmax_hessian<T>,
      .softmax_hessian_scratch = softmax_hessian_scratch<T>,
      .linear_leverages = linear_leverages<T>,
      .linear_leverages_scratch = linear_leverages_scratch<T>,
      .margin_pass = margin_pass<T>,
      .margin_difference = margin_difference<T>,
      .scale_rows = scale_rows<T>,
      .sample_rows = sample_rows,
      .gather_examples = gather_examples<T>,
      .network_forward = network_forward<T>,
      .network_forward_scratch = network_forward_scratch<T>,
      .network_gradient = network_gradient<T>,
      .network_gradient_scratch = network_gradient_scratch<T>,
      .network_hessian_product = network_hessian_product<T>,
      .network_hessian_product_scratch = network_hessian_product_scratch<T>,
      .network_loss_tangents = network_loss_tangents<T>,
      .network_loss_tangents_scratch = network_loss_tangents_scratch<T>,
      .network_example_gradients = network_example_gradients<T>,
      .network_example_gradients_scratch = network_example_gradients_scratch<T>,
      .network_input_gradients = network_input_gradients<T>,
      .network_input_gradients_scratch = network_input_gradients_scratch<T>,
      .network_hessian = network_hessian<T>,
      .network_hessian_scratch = network_hessian_scratch<T>,
      .combine = combine<T>,
      .vector_dots = vector_dots<T>,
      .to_double = to_double<T>,
      .from_double = from_double<T>,
      .add_regularizer = add_regularizer<T>,
      .add_diagonal = add_diagonal<T>,
      .adam_step = adam_step<T>,
      .lissa_step = lissa_step<T>,
      .block_products = block_products<T>,
      .block_combine = block_combine<T>,
      .block_step = block_step,
      .block_keep = block_keep<T>,
      .block_along = block_along,
      .block_basis = block_basis,
      .block_advance = block_advance,
      .cg_start = cg_start<T>,
      .cg_advance = cg_advance<T>,
      .cg_direct = cg_direct<T>,
      .cg_project = cg_project<T>,
      .cholesky_factor = cholesky_factor<T>,
      .cholesky_solve = cholesky_solve<T>,
      .symmetric_eigenvalues = symmetric_eigenvalues<T>,
  };
  return table;
}
template const KernelTable<float>& kernel_table();
template const KernelTable<double>& kernel_table();

}  // namespace clout::cuda
