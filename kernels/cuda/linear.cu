// The linear layer: A = X Vᵀ + b, gradients of single examples, gradients with respect to the input.
#include <clout/kernels/cuda/byte_products.hpp>
#include <clout/kernels/cuda/sparse_sweep.hpp>

namespace clout::cuda {

// X′ ← factor · (scale · stored, 1), thread by element. Reads 1 or sizeof(T) bytes, writes sizeof(T).
template <class T>
__global__ void __launch_bounds__(kThreads)
    stage_features_kernel(FeatureView<T> features, const T* factors, MatrixView<T> target) {
  const Index column = thread_in_grid();
  if (column >= target.columns) return;
  for (Index row = blockIdx.y; row < target.rows; row += gridDim.y) {
    const T value = column < features.columns ? features(row, column) : T(1);
    target(row, column) = factors ? factors[row] * value : value;
  }
}

template <class T>
MatrixView<const T> stage_features(CudaDevice& device, const FeatureView<T>& features, bool bias, const T* factors,
                                   MatrixView<T> target) {
  if (is_plain(features, bias) && !factors) return {features.values, features.rows, features.columns};
  target = target.rows_from(0, features.rows);
  launch(device, over_matrix(target.rows, target.columns), stage_features_kernel<T>, features, factors, target);
  return target;
}

// W′_jc,i ← scale · V_j[c][i], biases as they are, zeros up to the stride. Along y, (vector, class) pairs take turns.
template <class T>
__global__ void __launch_bounds__(kThreads)
    pack_vectors_kernel(LinearShape shape, T scale, MatrixView<const T> vectors, MatrixView<T> packed) {
  const Index i = thread_in_grid();
  if (i >= packed.stride) return;
  for (Index pair = blockIdx.y; pair < packed.rows; pair += gridDim.y) {
    const Index j = pair / shape.classes, c = pair - j * shape.classes;
    packed(pair, i) = i >= packed.columns ? T(0) : (i < shape.features ? scale : T(1)) * vectors(j, parameter_at(shape, c, i));
  }
}

template <class T>
void pack_vectors(CudaDevice& device, const LinearShape& shape, T scale, MatrixView<const T> vectors,
                  MatrixView<T> packed) {
  launch(device, over_matrix(packed.rows, packed.stride), pack_vectors_kernel<T>, shape, scale, vectors, packed);
}

// V_j[c][i] ← scale · W′_jc,i, biases ← bias_scale · W′_jc,d.
template <class T>
__global__ void __launch_bounds__(kThreads)
    unpack_vectors_kernel(LinearShape shape, T scale, T bias_scale, MatrixView<const T> packed, MatrixView<T> vectors) {
  const Index i = thread_in_grid();
  if (i >= packed.columns) return;
  for (Index pair = blockIdx.y; pair < packed.rows; pair += gridDim.y) {
    const Index j = pair / shape.classes, c = pair - j * shape.classes;
    vectors(j, parameter_at(shape, c, i)) = (i < shape.features ? scale : bias_scale) * packed(pair, i);
  }
}

template <class T>
void unpack_vectors(CudaDevice& device, const LinearShape& shape, T scale, T bias_scale, MatrixView<const T> packed,
                    MatrixView<T> vectors) {
  launch(device, over_matrix(packed.rows, packed.columns), unpack_vectors_kernel<T>, shape, scale, bias_scale, packed,
         vectors);
}

// A = X′ W′ᵀ, by chunks of rows.  2ndKk flops. The converted chunk and W′ are staged by the device.
template <class T>
void linear_forward(Device& device, const LinearForward<T>& op) {
  auto& cuda = on_cuda(device);
  const Index columns = columns_with_bias(op.shape), stride = aligned_stride<T>(columns);
  const Index pairs = op.vectors.rows * op.shape.classes, rows = op.features.rows;
  if (pairs == 0 || rows == 0) return;
  if (op.sparse.is_given()) return sparse_forward(cuda, op);
  const bool plain = op.features.values && !op.shape.bias;
  const bool by_bytes = std::is_same_v<T, float> && op.features.bytes;
  MatrixView<T> packed, chunk;
  const auto carve = [&](Carver carver) {
    packed = carver.matrix<T>(pairs, columns, stride);
    chunk = carver.matrix<T>(plain || by_bytes ? 0 : std::min(rows, kChunkRows), columns, stride);
    return carver.used();
  };
  carve(Carver(cuda.staging(carve(Carver()))));

  pack_vectors(cuda, op.shape, op.features.scale, op.vectors, packed);
  auto stored = op.features;  // the scale is W′'s now
  stored.scale = 1;
  if constexpr (std::is_same_v<T, float>)
    if (by_bytes) return byte_outputs(cuda, stored, op.shape.bias, packed, op.outputs);
  for (Index first = 0; first < rows; first += kChunkRows) {
    const Index count = std::min(kChunkRows, rows - first);
    const auto x = stage_features<T>(cuda, stored.rows_from(first, count), op.shape.bias, nullptr, chunk);
    multiply_by_transposed<T>(cuda.blas(), x, packed, op.outputs.rows_from(first, count));
  }
}

// out_m = c_m ⊗ (x_{i_m}, 1).  One product per number written; reads X's row once per class, from cache.
// Along y, pairs (m, class) take turns.
template <class T>
__global__ void __launch_bounds__(kThreads) example_gradients_kernel(ExampleGradients<T> op) {
  const Index i = thread_in_grid(), classes = op.shape.classes;
  if (i >= columns_with_bias(op.shape)) return;
  for (Index pair = blockIdx.y; pair < op.residuals.rows * classes; pair += gridDim.y) {
    const Index m = pair / classes, c = pair - m * classes;
    const T x = i < op.shape.features ? op.features(op.rows[m], i) : T(1);
    op.out(m, parameter_at(op.shape, c, i)) = op.residuals(m, c) * x;
  }
}

template <class T>
void example_gradients(Device& device, const ExampleGradients<T>& op) {
  launch(on_cuda(device), over_matrix(op.residuals.rows * op.shape.classes, columns_with_bias(op.shape)),
         example_gradients_kernel<T>, op);
}

/// A block of linear_input_gradient has this many rows, and looks at this many classes at a time.
constexpr int kTileRows = 8, kTileClasses = 32;

template <class T>
struct alignas(16) InputGradientTile {
  T residual[kTileRows][kTileClasses];  // δ
  T own[kTileRows];                     // the label's: minus the sum of the others' p, which does not cancel
  T tangent[kTileRows][kTileClasses];   // R{δ}
};
static_assert(sizeof(InputGradientTile<double>) == 4096 + 64);

// out_j[i] = Σ_c V_j[c] δ_ic + W[c] R{δ}_ijc: a block for 8 rows, kThreads columns of the input and one vector; V and W
// are read once per 8 rows.  4dK flops per row and vector, d numbers written.
template <class T>
__global__ void __launch_bounds__(kThreads) linear_input_gradient_kernel(LinearInputGradient<T> op) {
  auto& tile = shared_storage<InputGradientTile<T>>();
  const Index features = op.shape.features, classes = op.shape.classes, rows = op.probabilities.rows;
  const Index first = Index{blockIdx.x} * kTileRows, j = blockIdx.z;
  const Index column = Index{blockIdx.y} * kThreads + thread_in_block();
  const bool active = column < features;
  const T* v = op.vectors.row(j) + column;
  const T* w = op.parameters.row(0) + column;
  if (thread_in_block() < kTileRows) {
    const Index row = min(first + thread_in_block(), rows - 1), label = op.labels ? op.labels[row] : -1;
    T others = 0;
    for (Index c = 0; c < classes; ++c) others += c == label ? T(0) : op.probabilities(row, c);
    tile.own[thread_in_block()] = -others;
  }
  __syncthreads();
  T sums[kTileRows] = {};
  for (Index base = 0; base < classes; base += kTileClasses) {
    const Index count = min(Index{kTileClasses}, classes - base);
    for (int at = thread_in_block(); at < kTileRows * kTileClasses; at += kThreads) {
      const Index row = first + at / kTileClasses, c = base + at % kTileClasses;
      const bool inside = row < rows && c < classes;
      tile.residual[at / kTileClasses][at % kTileClasses] =
          !inside ? T(0) : op.labels && op.labels[row] == c ? tile.own[at / kTileClasses] : op.probabilities(row, c);
      tile.tangent[at / kTileClasses][at % kTileClasses] = inside ? op.residual_tangents(row, j * classes + c) : T(0);
    }
    __syncthreads();
    for (Index c = 0; active && c < count; ++c) {
      const T v_c = v[(base + c) * features], w_c = w[(base + c) * features];
#pragma unroll
      for (int r = 0; r < kTileRows; ++r)
        sums[r] = std::fma(v_c, tile.residual[r][c], std::fma(w_c, tile.tangent[r][c], sums[r]));
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < kTileRows; ++r)
    if (active && first + r < rows) op.out(j, (first + r) * features + column) = sums[r];
}

template <class T>
void linear_input_gradient(Device& device, const LinearInputGradient<T>& op) {
  const Grid grid{divide_up(op.probabilities.rows, kTileRows), divide_up(op.shape.features, kThreads), op.vectors.rows};
  launch(on_cuda(device), {grid, kThreads, sizeof(InputGradientTile<T>)}, linear_input_gradient_kernel<T>, op);
}

template MatrixView<const float> stage_features(CudaDevice&, const FeatureView<float>&, bool, const float*,
                                                MatrixView<float>);
template MatrixView<const double> stage_features(CudaDevice&, const FeatureView<double>&, bool, const double*,
                                                 MatrixView<double>);
template void pack_vectors(CudaDevice&, const LinearShape&, float, MatrixView<const float>, MatrixView<float>);
template void pack_vectors(CudaDevice&, const LinearShape&, double, MatrixView<const double>, MatrixView<double>);
template void unpack_vectors(CudaDevice&, const LinearShape&, float, float, MatrixView<const float>, MatrixView<float>);
template void unpack_vectors(CudaDevice&, const LinearShape&, double, double, MatrixView<const double>,
                             MatrixView<double>);
template void linear_forward(Device&, const LinearForward<float>&);
template void linear_forward(Device&, const LinearForward<double>&);
template void example_gradients(Device&, const ExampleGradients<float>&);
template void example_gradients(Device&, const ExampleGradients<double>&);
template void linear_input_gradient(Device&, const LinearInputGradient<float>&);
template void linear_input_gradient(Device&, const LinearInputGradient<double>&);

}  // namespace clout::cuda
