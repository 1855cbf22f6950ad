// The explicit Hessian of softmax regression: K(K−1)/2 weighted symmetric products X′ᵀ diag(f) X′, of which about one
// triangle is computed.
#include <clout/kernels/cuda/linear.hpp>

namespace clout::cuda {

// f_i = scale · w_i · p_ic · p_ic′: −H_cc′ = X′ᵀ diag(f) X′.
template <class T>
__global__ void __launch_bounds__(kThreads)
    pair_factors_kernel(SoftmaxHessian<T> op, Index first, Index c, Index other, MatrixView<T> factors) {
  const Index row = thread_in_grid();
  if (row >= factors.columns) return;
  const T weight = op.example_weights ? op.example_weights[first + row] : T(1);
  factors(0, row) = op.scale * weight * op.probabilities(first + row, c) * op.probabilities(first + row, other);
}

// H_cc′ = H_c′c = −B, H_cc += B, H_c′c′ += B, both triangles, with the upper triangle of B [d (+ 1)][d (+ 1)].
// Each thread has one element of each of the four blocks. 5 numbers read or written per element.
template <class T>
__global__ void __launch_bounds__(kThreads)
    add_pair_kernel(LinearShape shape, Index c, Index other, MatrixView<const T> block, MatrixView<T> hessian) {
  const Index column = thread_in_grid();
  if (column >= block.columns) return;
  for (Index row = blockIdx.y; row < block.rows; row += gridDim.y) {
    const T value = block(min(row, column), max(row, column));
    const Index row_c = parameter_at(shape, c, row), row_other = parameter_at(shape, other, row);
    const Index column_c = parameter_at(shape, c, column), column_other = parameter_at(shape, other, column);
    hessian(row_c, column_other) = -value;
    hessian(row_other, column_c) = -value;
    hessian(row_c, column_c) += value;
    hessian(row_other, column_other) += value;
  }
}

namespace {

/// The triangle of a block is computed by bands of so many columns.
constexpr Index kBandColumns = 256;

template <class T>
struct HessianScratch {
  MatrixView<T> factors;   // [1][chunk]
  MatrixView<T> x;         // [chunk][d (+ 1)]     X′, where it must be converted
  MatrixView<T> weighted;  // [chunk][d (+ 1)]     diag(f) X′
  MatrixView<T> block;     // [d (+ 1)][d (+ 1)]

  std::size_t carve(const SoftmaxHessian<T>& op, Carver carver) {
    const Index columns = columns_with_bias(op.shape), stride = aligned_stride<T>(columns);
    const Index rows = std::min(op.features.rows, kChunkRows);
    factors = carver.matrix<T>(1, rows, rows);
    x = carver.matrix<T>(rows, columns, stride);
    weighted = carver.matrix<T>(rows, columns, stride);
    block = carver.matrix<T>(columns, columns, stride);
    return carver.used();
  }
};

/// Columns [first, first + count) of the first `rows` rows.
template <class T>
MatrixView<T> part(const MatrixView<T>& view, Index rows, Index first, Index count) {
  return {view.data + first, rows, count, view.stride};
}

/// The upper triangle of scale · Σ w p_c p_c′ x′ x′ᵀ. The factor stays on one side, so that small integers stay exact;
/// of every band of columns only the rows down to the diagonal are computed.
template <class T>
void sum_pair(CudaDevice& device, const SoftmaxHessian<T>& op, Index c, Index other, const HessianScratch<T>& scratch) {
  const Index columns = scratch.block.columns;
  for (Index first = 0; first < op.features.rows; first += kChunkRows) {
    const Index count = std::min(kChunkRows, op.features.rows - first);
    const auto features = op.features.rows_from(first, count);
    const MatrixView<T> factors(scratch.factors.data, 1, count);
    launch(device, one_thread_each(count), pair_factors_kernel<T>, op, first, c, other, factors);
    const auto x = stage_features<T>(device, features, op.shape.bias, nullptr, scratch.x);
    const auto weighted = stage_features<T>(device, features, op.shape.bias, factors.data, scratch.weighted);
    for (Index band = 0; band < columns; band += kBandColumns) {
      const Index width = std::min(kBandColumns, columns - band), height = band + width;
      multiply_transposed<T>(device.blas(), part(weighted, count, 0, height), part(x, count, band, width), first > 0,
                             part(scratch.block, height, band, width));
    }
  }
}

}  // namespace

template <class T>
void softmax_hessian(Device& device, const SoftmaxHessian<T>& op) {
  auto& cuda = on_cuda(device);
  HessianScratch<T> scratch;
  scratch.carve(op, Carver(op.scratch.data()));
  cuda.activate();
  check(cudaMemsetAsync(op.out.data, 0, static_cast<std::size_t>(op.out.size()) * sizeof(T), cuda.stream()));
  if (op.features.rows == 0) return;
  const Index columns = scratch.block.columns;
  for (Index c = 0; c < op.shape.classes; ++c)
    for (Index other = c + 1; other < op.shape.classes; ++other) {
      sum_pair(cuda, op, c, other, scratch);
      launch(cuda, over_matrix(columns, columns), add_pair_kernel<T>, op.shape, c, other, scratch.block, op.out);
    }
}

template <class T>
std::size_t softmax_hessian_scratch(const Device&, const SoftmaxHessian<T>& op) {
  return HessianScratch<T>().carve(op, Carver());
}

template void softmax_hessian(Device&, const SoftmaxHessian<float>&);
template void softmax_hessian(Device&, const SoftmaxHessian<double>&);
template std::size_t softmax_hessian_scratch(const Device&, const SoftmaxHessian<float>&);
template std::size_t softmax_hessian_scratch(const Device&, const SoftmaxHessian<double>&);

}  // namespace clout::cuda
