#pragma once
// The sweep over an X that is stored without its zeros: by chunks of rows, a thread per number of Z and per number of
// G, each with a sum of its own in the order of the entries. Neighbouring threads have neighbouring columns of Z, so
// they read the same entries and, of W′ and Z, neighbouring numbers. Included by linear_sweep.cu and linear.cu.

#include <clout/kernels/cuda/linear.hpp>

namespace clout::cuda {

/// Entry `at` of stored lines: where it stands, and what it is.
template <class T>
__device__ __forceinline__ Index place_at(const SparseLines<T>& lines, Index at) {
  return lines.wide ? Index{lines.wide[at]} : Index{lines.narrow[at]};
}
template <class T>
__device__ __forceinline__ T number_at(const SparseLines<T>& lines, Index at) {
  return lines.bytes ? static_cast<T>(lines.bytes[at]) : lines.values[at];
}

// W′ with a feature's numbers side by side, weights times X's scale: `packed` is [d (+ 1)][k·K].
template <class T>
__global__ void __launch_bounds__(kThreads) pack_sparse_kernel(LinearSweep<T> op, MatrixView<T> packed) {
  const Index at = thread_in_grid();
  if (at >= packed.rows * packed.columns) return;
  const Index f = at / packed.columns, pair = at - f * packed.columns;
  const Index j = pair / op.shape.classes, c = pair - j * op.shape.classes;
  const T scale = f < op.shape.features ? op.features.scale : T(1);
  packed(f, pair) = scale * op.vectors(j, parameter_at(op.shape, c, f));
}

// Z = X W′ for the chunk of rows that begins at `first`.  2kK flops per entry.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sparse_forward_kernel(LinearSweep<T> op, Index first, MatrixView<const T> packed, MatrixView<T> z) {
  const Index at = thread_in_grid();
  if (at >= z.rows * z.columns) return;
  const Index row = at / z.columns, pair = at - row * z.columns;
  const SparseLines<T> x = op.sparse.rows;
  const Index end = x.starts[first + row + 1];
  T sum = op.shape.bias ? packed(op.shape.features, pair) : T(0);
  for (Index entry = x.starts[first + row]; entry < end; ++entry)
    sum = std::fma(number_at(x, entry), packed(place_at(x, entry), pair), sum);
  z(row, pair) = sum;
}

// G += Rᵀ X over the chunk of rows that begins with block `first_block`; `sums` is [d (+ 1)][k·K], begun by the first
// chunk.  2kK flops per entry.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sparse_backward_kernel(LinearSweep<T> op, Index first_block, MatrixView<const T> z, MatrixView<T> sums) {
  const Index at = thread_in_grid();
  if (at >= sums.rows * sums.columns) return;
  const Index f = at / sums.columns, pair = at - f * sums.columns, d = op.shape.features;
  const SparseLines<T> x = op.sparse.columns;
  T chunk = 0;
  for (Index row = 0; row < z.rows; row += kSparseBlockRows) {
    const Index rows = min(kSparseBlockRows, z.rows - row);
    const Index line = (first_block + row / kSparseBlockRows) * d + f;
    T block = 0;
    if (f == d) {
      for (Index i = 0; i < rows; ++i) block += z(row + i, pair);
    } else {
      for (Index entry = x.starts[line]; entry < x.starts[line + 1]; ++entry)
        block = std::fma(number_at(x, entry), z(row + place_at(x, entry), pair), block);
    }
    chunk += block;
  }
  sums(f, pair) = first_block > 0 ? sums(f, pair) + chunk : chunk;
}

// out_j = scale · G, back in the order of the parameters.
template <class T>
__global__ void __launch_bounds__(kThreads) unpack_sparse_kernel(LinearSweep<T> op, MatrixView<const T> sums) {
  const Index at = thread_in_grid();
  if (at >= sums.rows * sums.columns) return;
  const Index f = at / sums.columns, pair = at - f * sums.columns;
  const Index j = pair / op.shape.classes, c = pair - j * op.shape.classes;
  const T scale = f < op.shape.features ? op.scale * op.features.scale : op.scale;
  op.out(j, parameter_at(op.shape, c, f)) = op.features.rows > 0 ? scale * sums(f, pair) : T(0);
}

static_assert(kChunkRows % kSparseBlockRows == 0, "a chunk is whole blocks");

template <class T>
struct SparseScratch {
  MatrixView<T> packed;  // [d (+ 1)][k·K]  W′, with X's scale
  MatrixView<T> sums;    // [d (+ 1)][k·K]  G
  MatrixView<T> z;       // [chunk][k·K]    logits, then residuals

  std::size_t carve(const LinearSweep<T>& op, Carver carver) {
    const Index pairs = op.vectors.rows * op.shape.classes, columns = columns_with_bias(op.shape);
    packed = carver.matrix<T>(columns, pairs, pairs);
    sums = carver.matrix<T>(columns, pairs, pairs);
    z = carver.matrix<T>(std::min(op.features.rows, kChunkRows), pairs, pairs);
    return carver.used();
  }
};

/// step(first row, z): z ← w r for a chunk of rows.
template <class T, class Step>
void sparse_sweep(CudaDevice& device, const LinearSweep<T>& op, const Step& step) {
  SparseScratch<T> scratch;
  scratch.carve(op, Carver(op.scratch.data()));
  const Index numbers = scratch.sums.size();
  const bool has_logits = op.step != SweepStep::given;
  if (has_logits) launch(device, one_thread_each(numbers), pack_sparse_kernel<T>, op, scratch.packed);
  for (Index first = 0; first < op.features.rows; first += kChunkRows) {
    const auto z = scratch.z.rows_from(0, std::min(kChunkRows, op.features.rows - first));
    if (has_logits) launch(device, one_thread_each(z.size()), sparse_forward_kernel<T>, op, first, scratch.packed, z);
    step(first, z);
    launch(device, one_thread_each(numbers), sparse_backward_kernel<T>, op, first / kSparseBlockRows, z, scratch.sums);
  }
  launch(device, one_thread_each(numbers), unpack_sparse_kernel<T>, op, scratch.sums);
}

/// A = X Vᵀ + b.  2kK flops per entry.
template <class T>
void sparse_forward(CudaDevice& device, const LinearForward<T>& op) {
  LinearSweep<T> sweep;
  sweep.features = op.features;
  sweep.sparse = op.sparse;
  sweep.shape = op.shape;
  sweep.vectors = op.vectors;
  const Index pairs = op.outputs.columns, columns = columns_with_bias(op.shape);
  MatrixView<T> packed;
  const auto carve = [&](Carver carver) {
    packed = carver.matrix<T>(columns, pairs, pairs);
    return carver.used();
  };
  carve(Carver(device.staging(carve(Carver()))));
  launch(device, one_thread_each(packed.size()), pack_sparse_kernel<T>, sweep, packed);
  launch(device, one_thread_each(op.outputs.rows * pairs), sparse_forward_kernel<T>, sweep, Index{0}, packed, op.outputs);
}

}  // namespace clout::cuda
