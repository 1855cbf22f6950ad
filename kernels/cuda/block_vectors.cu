// Operations on blocks of few long vectors, arithmetic in double, rounded once: what block Krylov methods add to products.
#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/cuda/reductions.hpp>

namespace clout::cuda {

// products[i][j] = a_i · b_j: a block of threads per pair, every thread over its stride of elements, then the block's
// tree. 2 flops and 2 sizeof(T) bytes per element, from the second-level cache after the first row.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) block_products_kernel(BlockProducts<T> op) {
  auto& sums = shared_storage<BlockSums>();
  const Index pair = blockIdx.x, i = pair / op.b.rows, j = pair % op.b.rows;
  double sum = 0;
  for (Index c = thread_in_block(); c < op.a.columns; c += kColumnThreads)
    sum = std::fma(static_cast<double>(op.a(i, c)), static_cast<double>(op.b(j, c)), sum);
  sum = block_sum(sum, sums);
  if (thread_in_block() == 0) op.products[pair] = sum;
}

template <class T>
void block_products(Device& device, const BlockProducts<T>& op) {
  launch(on_cuda(device), {Grid{op.a.rows * op.b.rows}, kColumnThreads, sizeof(BlockSums)}, block_products_kernel<T>, op);
}

// out ← C·x + b·out: a thread per element of out.  2 flops and sizeof(T) bytes for each row of x.
template <class T>
__global__ void __launch_bounds__(kThreads) block_combine_kernel(BlockCombine<T> op) {
  const Index c = thread_in_grid();
  if (c >= op.out.columns) return;
  for (Index row = blockIdx.y; row < op.out.rows; row += gridDim.y) {
    double sum = op.b == 0 ? 0 : op.b * static_cast<double>(op.out(row, c));
    for (Index j = 0; j < op.x.rows; ++j)
      sum = std::fma(op.coefficients[row * op.x.rows + j], static_cast<double>(op.x(j, c)), sum);
    op.out(row, c) = static_cast<T>(sum);
  }
}

template <class T>
void block_combine(Device& device, const BlockCombine<T>& op) {
  launch(on_cuda(device), over_matrix(op.out.rows, op.out.columns), block_combine_kernel<T>, op);
}

template void block_products(Device&, const BlockProducts<float>&);
template void block_products(Device&, const BlockProducts<double>&);
template void block_combine(Device&, const BlockCombine<float>&);
template void block_combine(Device&, const BlockCombine<double>&);

}  // namespace clout::cuda
