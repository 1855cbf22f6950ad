// Leverages of single examples: a symmetric matrix on parameters, seen from each example's logits.
#include <clout/kernels/cuda/linear.hpp>

namespace clout::cuda {

// B_ij ← A of (class c, column i of X′) and (class c′, column j).
template <class T>
__global__ void __launch_bounds__(kThreads)
    pack_pair_kernel(LinearShape shape, Index c, Index other, MatrixView<const T> matrix, MatrixView<T> block) {
  const Index column = thread_in_grid();
  if (column >= block.columns) return;
  for (Index row = blockIdx.y; row < block.rows; row += gridDim.y)
    block(row, column) = matrix(parameter_at(shape, c, row), parameter_at(shape, other, column));
}

// M_i[c][c′] = M_i[c′][c] = x′ᵢ · zᵢ, in double: a warp for a row.  2d flops per row; reads 2d numbers.
template <class T>
__global__ void __launch_bounds__(kThreads)
    row_dots_kernel(MatrixView<const T> x, MatrixView<const T> z, Index classes, Index c, Index other,
                    MatrixView<T> out) {
  const Index row = thread_in_grid() / kWarpSize;
  if (row >= x.rows) return;
  double sum = 0;
  for (Index i = lane_in_warp(); i < x.columns; i += kWarpSize)
    sum += static_cast<double>(x(row, i)) * static_cast<double>(z(row, i));
  sum = warp_sum(sum);
  if (lane_in_warp() == 0) out(row, c * classes + other) = out(row, other * classes + c) = static_cast<T>(sum);
}

namespace {

// A block of A, and X′ and Z of a chunk of rows.
template <class T>
struct LeverageScratch {
  MatrixView<T> block, chunk, z;

  std::size_t carve(const LinearLeverages<T>& op, Carver carver) {
    const Index columns = columns_with_bias(op.shape), stride = aligned_stride<T>(columns);
    const Index rows = std::min(op.features.rows, kChunkRows);
    block = carver.matrix<T>(columns, columns, stride);
    chunk = carver.matrix<T>(rows, columns, stride);
    z = carver.matrix<T>(rows, columns, stride);
    return carver.used();
  }
};

}  // namespace

// Z = X′ A_cc′ for c ≤ c′, by chunks of rows, and the rows' products with X′.  K(K+1) n d² flops. A chunk's X′ is
// staged once for all pairs.
template <class T>
void linear_leverages(Device& device, const LinearLeverages<T>& op) {
  auto& cuda = on_cuda(device);
  LeverageScratch<T> scratch;
  scratch.carve(op, Carver(op.scratch.data()));
  const auto& [block, chunk, z] = scratch;
  const Index columns = block.columns, rows = op.features.rows;
  for (Index first = 0; first < rows; first += kChunkRows) {
    const Index count = std::min(kChunkRows, rows - first);
    const auto x = stage_features<T>(cuda, op.features.rows_from(first, count), op.shape.bias, nullptr, chunk);
    for (Index c = 0; c < op.shape.classes; ++c)
      for (Index other = c; other < op.shape.classes; ++other) {
        launch(cuda, over_matrix(columns, columns), pack_pair_kernel<T>, op.shape, c, other, op.matrix, block);
        // A is symmetric, so that the rows of B are its columns.
        multiply_by_transposed<T>(cuda.blas(), x, block, z.rows_from(0, count));
        launch(cuda, one_thread_each(count * kWarpSize), row_dots_kernel<T>, x, z.rows_from(0, count),
               op.shape.classes, c, other, op.out.rows_from(first, count));
      }
  }
}

template <class T>
std::size_t linear_leverages_scratch(const Device&, const LinearLeverages<T>& op) {
  return LeverageScratch<T>().carve(op, Carver());
}

template void linear_leverages(Device&, const LinearLeverages<float>&);
template void linear_leverages(Device&, const LinearLeverages<double>&);
template std::size_t linear_leverages_scratch(const Device&, const LinearLeverages<float>&);
template std::size_t linear_leverages_scratch(const Device&, const LinearLeverages<double>&);

}  // namespace clout::cuda
