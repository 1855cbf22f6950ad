// out_j = scale · Σᵢ wᵢ rᵢⱼ ⊗ (xᵢ, 1): X′ times W′, logits to residuals, residuals times X′.
// With few (vector, class) pairs one fused kernel reads X once (fused_sweep.hpp); with many, matrix products by chunks
// of rows, on the tensor cores where they lose nothing (byte_products.hpp: X is bytes, all else in single precision). An
// X that is stored without its zeros has a way of its own (sparse_sweep.hpp).
#include <clout/kernels/cuda/byte_products.hpp>
#include <clout/kernels/cuda/fused_sweep.hpp>
#include <clout/kernels/cuda/sparse_sweep.hpp>

namespace clout::cuda {

// z ← w r for a chunk of rows, kLanes lanes to a pair (row, vector). About 5K flops and K exponentials at most; reads
// 2K numbers, writes K. `z` is [rows of the chunk][k·K], with zeros up to its stride; `first` is the chunk's first row.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads, 2) sweep_step_kernel(LinearSweep<T> op, Index first, MatrixView<T> z) {
  const Index pair = thread_in_grid() / kLanes, vectors = op.vectors.rows;
  const bool active = pair < z.rows * vectors;
  const Index row = active ? pair / vectors : 0, j = active ? pair - row * vectors : 0;
  const T weight = active && op.example_weights ? op.example_weights[first + row] : T(1);
  residual_step<kLanes>(op, first + row, j, weight, active ? op.shape.classes : 0, Index{thread_in_block() % kLanes},
                        z.row(row) + j * op.shape.classes);
  if (active && j == 0 && thread_in_block() % kLanes == 0)
    for (Index c = z.columns; c < z.stride; ++c) z(row, c) = 0;
}

// Zeros for the excluded entries that lie in the chunk: a warp each.
template <class T>
__global__ void __launch_bounds__(kThreads) leave_out_kernel(LinearSweep<T> op, Index first, MatrixView<T> z) {
  const Index entry = thread_in_grid() / kWarpSize;
  if (entry >= op.exclusions.count) return;
  const Index row = op.exclusions.rows[entry] - first;
  if (row < 0 || row >= z.rows) return;
  T* residuals = z.row(row) + op.exclusions.vectors[entry] * op.shape.classes;
  for (Index c = lane_in_warp(); c < op.shape.classes; c += kWarpSize) residuals[c] = 0;
}

namespace {

/// The scratch of the products by chunks.
template <class T>
struct SweepScratch {
  MatrixView<T> packed;  // [k·K][d (+ 1)]     W′, with X's scale
  MatrixView<T> sums;    // [k·K][d (+ 1)]     G
  MatrixView<T> z;       // [chunk][k·K]       logits, then residuals
  MatrixView<T> x;       // [chunk][d (+ 1)]   X′, where it must be converted

  std::size_t carve(const LinearSweep<T>& op, Carver carver) {
    const Index pairs = pairs_of(op), columns = columns_with_bias(op.shape), stride = aligned_stride<T>(columns);
    const Index rows = std::min(op.features.rows, kChunkRows);
    packed = carver.matrix<T>(pairs, columns, stride);
    sums = carver.matrix<T>(pairs, columns, stride);
    z = carver.matrix<T>(rows, pairs, pairs);
    x = carver.matrix<T>(rows, columns, stride);
    return carver.used();
  }
};

/// z ← w r for the chunk that begins at `first`.
template <class T>
void step_chunk(CudaDevice& device, const LinearSweep<T>& op, Index first, MatrixView<T> z) {
  const Index pairs = z.rows * op.vectors.rows;
  if (op.shape.classes <= kClassesPerLane)
    launch(device, one_thread_each(pairs), sweep_step_kernel<T, 1>, op, first, z);
  else launch(device, one_thread_each(pairs * kWarpSize), sweep_step_kernel<T, kWarpSize>, op, first, z);
  launch(device, one_thread_each(op.exclusions.count * kWarpSize), leave_out_kernel<T>, op, first, z);
}

/// By chunks: Z = X′ W′ᵀ, Z → R, G += Rᵀ X′.  4ndKk flops in matrix products.
template <class T>
void sweep_by_chunks(CudaDevice& device, const LinearSweep<T>& op) {
  SweepScratch<T> scratch;
  scratch.carve(op, Carver(op.scratch.data()));
  auto stored = op.features;  // the scale is W′'s
  stored.scale = 1;
  const bool has_logits = op.step != SweepStep::given;
  if (has_logits) pack_vectors(device, op.shape, op.features.scale, op.vectors, scratch.packed);
  for (Index first = 0; first < op.features.rows; first += kChunkRows) {
    const Index count = std::min(kChunkRows, op.features.rows - first);
    const auto z = scratch.z.rows_from(0, count);
    const auto x = stage_features<T>(device, stored.rows_from(first, count), op.shape.bias, nullptr, scratch.x);
    if (has_logits) multiply_by_transposed<T>(device.blas(), x, scratch.packed, z);
    step_chunk(device, op, first, z);
    multiply_transposed<T>(device.blas(), z, x, first > 0, scratch.sums);
  }
  unpack_vectors<T>(device, op.shape, op.scale * op.features.scale, op.scale, scratch.sums, op.out);
}

/// The scratch of the products on the tensor cores. The chunks of rows are such that Z, up to 16 MB of it, stays in the
/// second-level cache from product to product, but not so short that G goes through memory all the time.
struct ByteSweepScratch {
  static constexpr Index kNumbersOfChunk = Index{4} << 20, kLeastChunk = 1024;
  BytePartitions partitions{};
  MatrixView<float> packed;    // [k·K][d (+ 1)]     W′, with X's scale
  MatrixView<float> z;         // [chunk][k·K]       logits, then residuals
  MatrixView<float> partials;  // [partitions][k·K · aligned columns]

  std::size_t carve(const LinearSweep<float>& op, Carver carver) {
    const Index pairs = pairs_of(op), columns = columns_with_bias(op.shape), stride = aligned_stride<float>(columns);
    const Index most = std::max(kLeastChunk, kNumbersOfChunk / aligned_stride<float>(pairs));
    const Index chunks = divide_up(op.features.rows, most);  // of almost equal size
    const Index rows = std::min(op.features.rows, round_up(divide_up(op.features.rows, chunks), 128));
    partitions = byte_partitions(rows, columns, pairs);
    packed = carver.matrix<float>(pairs, columns, stride);
    z = carver.matrix<float>(rows, pairs, aligned_stride<float>(pairs));
    partials = carver.matrix<float>(partitions.count, pairs * stride, pairs * stride);
    return carver.used();
  }
};

/// By chunks: Z = X′ W′ᵀ, Z → R, partial G += Rᵀ X′; then the partitions are added.  4ndKk flops, three times that on the
/// tensor cores.
void sweep_by_bytes(CudaDevice& device, const LinearSweep<float>& op) {
  ByteSweepScratch scratch;
  scratch.carve(op, Carver(op.scratch.data()));
  const bool bias = op.shape.bias, has_logits = op.step != SweepStep::given;
  if (has_logits) pack_vectors(device, op.shape, op.features.scale, op.vectors, scratch.packed);
  for (Index first = 0; first < op.features.rows; first += scratch.z.rows) {
    const auto z = scratch.z.rows_from(0, std::min(scratch.z.rows, op.features.rows - first));
    const auto x = op.features.rows_from(first, z.rows);
    if (has_logits) byte_outputs(device, x, bias, scratch.packed, z);
    step_chunk(device, op, first, z);
    byte_sums(device, x, bias, z, scratch.partitions.rows, first > 0, scratch.partials);
  }
  add_partitions<float>(device, op, scratch.partials);
}

}  // namespace

template <class T>
void linear_sweep(Device& device, const LinearSweep<T>& op) {
  auto& cuda = on_cuda(device);
  if (pairs_of(op) == 0) return;
  if (op.sparse.is_given()) sparse_sweep(cuda, op, [&](Index first, MatrixView<T> z) { step_chunk(cuda, op, first, z); });
  else if (is_fused(cuda, op) || op.features.rows == 0) fused_sweep(cuda, op);
  else if constexpr (std::is_same_v<T, float>) op.features.bytes ? sweep_by_bytes(cuda, op) : sweep_by_chunks(cuda, op);
  else sweep_by_chunks(cuda, op);
}

template <class T>
std::size_t linear_sweep_scratch(const Device& device, const LinearSweep<T>& op) {
  if (pairs_of(op) == 0) return 0;
  if (op.sparse.is_given()) return SparseScratch<T>().carve(op, Carver());
  if (is_fused(static_cast<const CudaDevice&>(device), op) || op.features.rows == 0) return fused_sweep_scratch(op);
  std::size_t bytes = SweepScratch<T>().carve(op, Carver());
  if constexpr (std::is_same_v<T, float>) bytes = std::max(bytes, ByteSweepScratch().carve(op, Carver()));
  return bytes;  // the plan does not know how X is stored
}

template void linear_sweep(Device&, const LinearSweep<float>&);
template void linear_sweep(Device&, const LinearSweep<double>&);
template std::size_t linear_sweep_scratch(const Device&, const LinearSweep<float>&);
template std::size_t linear_sweep_scratch(const Device&, const LinearSweep<double>&);

}  // namespace clout::cuda
