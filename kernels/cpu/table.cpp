#include <clout/kernels/cpu/entries.hpp>

namespace clout::cpu {

template <class T>
const KernelTable<T>& table() {
  static const KernelTable<T> filling{
      .name = "cpu",
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
  return filling;
}

template const KernelTable<float>& table<float>();
template const KernelTable<double>& table<double>();

}  // namespace clout::cpu
