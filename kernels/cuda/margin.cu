// Margin losses, number by number. Bound by memory.
#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/kernels/margin_derivatives.hpp>

namespace clout::cuda {

// One thread an entry: reads z, writes at most three numbers.
template <class T>
__global__ void __launch_bounds__(kThreads) margin_pass_kernel(MarginPass<T> op) {
  const Index entry = thread_in_grid(), columns = op.outputs.columns;
  if (entry >= op.outputs.size()) return;
  const Index row = entry / columns, j = entry - row * columns;
  const MarginDerivatives<T> at(op.function, op.labels[row], op.outputs(row, j));
  if (op.losses.data) op.losses(row, j) = at.loss;
  if (op.curvatures.data) op.curvatures(row, j) = at.curvature;
  if (op.slopes.data) op.slopes(row, j) = at.slope;
}

// One thread an entry, in place.
template <class T>
__global__ void __launch_bounds__(kThreads) margin_difference_kernel(MarginDifference<T> op) {
  const Index entry = thread_in_grid(), columns = op.differences.columns;
  if (entry >= op.differences.size()) return;
  const Index row = entry / columns;
  T& z = op.differences(row, entry - row * columns);
  z = margin_slope_change(op.function, op.labels[row], op.outputs(row, 0), z);
}

// One thread an entry, in place.
template <class T>
__global__ void __launch_bounds__(kThreads) scale_rows_kernel(ScaleRows<T> op) {
  const Index entry = thread_in_grid(), columns = op.rows.columns;
  if (entry >= op.rows.size()) return;
  const Index row = entry / columns;
  op.rows(row, entry - row * columns) *= op.factors(row, 0);
}

template <class T>
void margin_pass(Device& device, const MarginPass<T>& op) {
  launch(on_cuda(device), one_thread_each(op.outputs.size()), margin_pass_kernel<T>, op);
}

template <class T>
void margin_difference(Device& device, const MarginDifference<T>& op) {
  launch(on_cuda(device), one_thread_each(op.differences.size()), margin_difference_kernel<T>, op);
}

template <class T>
void scale_rows(Device& device, const ScaleRows<T>& op) {
  launch(on_cuda(device), one_thread_each(op.rows.size()), scale_rows_kernel<T>, op);
}

template void margin_pass(Device&, const MarginPass<float>&);
template void margin_pass(Device&, const MarginPass<double>&);
template void margin_difference(Device&, const MarginDifference<float>&);
template void margin_difference(Device&, const MarginDifference<double>&);
template void scale_rows(Device&, const ScaleRows<float>&);
template void scale_rows(Device&, const ScaleRows<double>&);

}  // namespace clout::cuda
