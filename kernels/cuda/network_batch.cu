// Examples of a batch into memory, softmax on their logits, and what becomes of the sums over them.
#include <clout/kernels/cuda/network_batch.hpp>

namespace clout::cuda {

// x ← scale · stored, the rows gathered. Reads 1 or sizeof(T) bytes per number, writes sizeof(T).
template <class T>
__global__ void __launch_bounds__(kThreads) stage_inputs_kernel(NetworkBatch<T> batch, Chunk chunk, Maps<T> inputs) {
  const Index column = thread_in_grid();
  if (column >= batch.features.columns) return;
  for (Index i = blockIdx.y; i < chunk.count; i += gridDim.y)
    inputs.at(0, i)[column] = batch.features(example_in(batch, chunk.first + i), column);
}

template <class T>
void stage_inputs(CudaDevice& device, const NetworkBatch<T>& batch, Chunk chunk, Maps<T> inputs) {
  launch(device, over_matrix(chunk.count, batch.features.columns), stage_inputs_kernel<T>, batch, chunk, inputs);
}

// A thread per example and model: 2K exponentials.
template <class T>
__global__ void __launch_bounds__(kThreads) residuals_kernel(Residuals<T> op, Chunk chunk) {
  const Index i = thread_in_grid(), j = blockIdx.y;
  if (i >= chunk.count) return;
  const Index example = example_in(op.batch, chunk.first + i);
  const T weight = weight_of(op.batch, op.exclusions, example, op.first_model + j);
  softmax_residual(op.logits.at(j, i), op.classes, truth_of(op.batch, example, op.classes), weight,
                   op.probabilities.data ? op.probabilities.at(j, i) : nullptr,
                   op.deltas.data ? op.deltas.at(j, i) : nullptr);
}

template <class T>
void residuals(CudaDevice& device, const Residuals<T>& op, Chunk chunk, Index vectors) {
  launch(device, {Grid{divide_up(chunk.count, kThreads), vectors}}, residuals_kernel<T>, op, chunk);
}

// A thread per example and tangent.  5K flops.
template <class T>
__global__ void __launch_bounds__(kThreads) residual_tangents_kernel(ResidualTangents<T> op, Chunk chunk) {
  const Index i = thread_in_grid(), j = blockIdx.y;
  if (i >= chunk.count) return;
  const Index example = example_in(op.batch, chunk.first + i);
  const T* p = op.probabilities.at(j, i);
  const T* tangent = op.tangents.at(j, i);
  if (op.losses.data) {
    op.losses(chunk.first + i, j) = loss_tangent(p, tangent, op.classes, op.batch.labels[example]);
  } else {
    const T weight = weight_of(op.batch, Exclusions{}, example, j);
    softmax_residual_tangent(p, tangent, op.classes, weight, op.delta_tangents.at(j, i));
  }
}

template <class T>
void residual_tangents(CudaDevice& device, const ResidualTangents<T>& op, Chunk chunk, Index vectors) {
  launch(device, {Grid{divide_up(chunk.count, kThreads), vectors}}, residual_tangents_kernel<T>, op, chunk);
}

// A block per model: every thread over its stride of the batch, then the block's tree.
template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    weight_totals_kernel(NetworkBatch<T> batch, Exclusions exclusions, double* totals) {
  auto& sums = shared_storage<BlockSums>();
  const Index j = blockIdx.x;
  double sum = 0;
  for (Index i = thread_in_block(); i < batch.count; i += kColumnThreads)
    sum += static_cast<double>(weight_of(batch, exclusions, example_in(batch, i), j));
  sum = block_sum(sum, sums);
  if (thread_in_block() == 0) totals[j] = sum;
}

template <class T>
void weight_totals(CudaDevice& device, const NetworkBatch<T>& batch, const Exclusions& exclusions, Index models,
                   double* totals) {
  launch(device, {Grid{models}, kColumnThreads, sizeof(BlockSums)}, weight_totals_kernel<T>, batch, exclusions, totals);
}

// A thread per parameter, along y the vectors.  Reads the sums once.
template <class T, class Sum>
__global__ void __launch_bounds__(kThreads) add_partitions_of_network_kernel(AddPartitions<T, Sum> op) {
  const Index i = thread_in_grid();
  if (i >= op.out.columns) return;
  for (Index j = blockIdx.y; j < op.out.rows; j += gridDim.y) {
    double sum = 0;
#pragma unroll 4
    for (Index row = j; row < op.sums.rows; row += op.out.rows) sum += static_cast<double>(op.sums(row, i));
    const bool counts = !op.totals || op.totals[j] != 0;
    op.out(j, i) = static_cast<T>(!counts ? 0 : op.totals ? sum / op.totals[j] : op.scale * sum);
  }
}

template <class T, class Sum>
void add_partitions(CudaDevice& device, const AddPartitions<T, Sum>& op) {
  const Grid grid{divide_up(op.out.columns, kThreads), std::min(op.out.rows, Index{65535})};
  launch(device, {grid}, add_partitions_of_network_kernel<T, Sum>, op);
}

// Both triangles from the upper one.  Two numbers written per sum.
template <class T, class Sum>
__global__ void __launch_bounds__(kThreads) hessian_rows_kernel(HessianRows<T, Sum> op) {
  const Index column = thread_in_grid(), row = op.first + blockIdx.y;
  if (column < row || column >= op.out.columns) return;
  double sum = 0;
#pragma unroll 4
  for (Index at = blockIdx.y; at < op.sums.rows; at += op.rows) sum += static_cast<double>(op.sums(at, column));
  const T value = static_cast<T>(op.scale * sum);
  op.out(row, column) = value;
  op.out(column, row) = value;
}

template <class T, class Sum>
void hessian_rows(CudaDevice& device, const HessianRows<T, Sum>& op) {
  launch(device, {Grid{divide_up(op.out.columns, kThreads), op.rows}}, hessian_rows_kernel<T, Sum>, op);
}

template void stage_inputs(CudaDevice&, const NetworkBatch<float>&, Chunk, Maps<float>);
template void residuals(CudaDevice&, const Residuals<float>&, Chunk, Index);
template void residual_tangents(CudaDevice&, const ResidualTangents<float>&, Chunk, Index);
template void weight_totals(CudaDevice&, const NetworkBatch<float>&, const Exclusions&, Index, double*);
template void stage_inputs(CudaDevice&, const NetworkBatch<double>&, Chunk, Maps<double>);
template void residuals(CudaDevice&, const Residuals<double>&, Chunk, Index);
template void residual_tangents(CudaDevice&, const ResidualTangents<double>&, Chunk, Index);
template void weight_totals(CudaDevice&, const NetworkBatch<double>&, const Exclusions&, Index, double*);
template void add_partitions(CudaDevice&, const AddPartitions<float, float>&);
template void add_partitions(CudaDevice&, const AddPartitions<float, double>&);
template void add_partitions(CudaDevice&, const AddPartitions<double, double>&);
template void hessian_rows(CudaDevice&, const HessianRows<float, float>&);
template void hessian_rows(CudaDevice&, const HessianRows<float, double>&);
template void hessian_rows(CudaDevice&, const HessianRows<double, double>&);

}  // namespace clout::cuda
