#pragma once
// The sweep for few (vector, class) pairs, one kernel: a block owns a partition of rows and takes it tile by tile, so X
// is read once, as stored. Its warps multiply rows by W′ (lanes over columns), turn logits into residuals, and then its
// threads, each with its own columns, add residual times row in registers. A second kernel adds the partitions.
// Included by linear_sweep.cu.

#include <clout/kernels/cuda/linear.hpp>
#include <clout/kernels/cuda/sweep_step.hpp>
#include <type_traits>

namespace clout::cuda {

/// The fused sweep's reach: (vector, class) pairs and columns of X′. n rows make at most this many partitions.
inline constexpr int kMostPairs = 16, kMostColumns = 1024;
inline constexpr Index kMostPartitions = 256;

/// Lanes that turn one row's logits into residuals.
inline constexpr int kStepLanes = 8;

/// Neighbouring columns that a thread handles together: 16 bytes of T, or the same columns as X stores them.
template <class S, int kWidth>
struct alignas(sizeof(S) * kWidth <= 16 ? sizeof(S) * kWidth : 16) Pack {
  S value[kWidth];
};

/// How a tile is cut, and the block's shared memory.
template <class T, class S, int kPairCount>
struct SweepTile {
  using Number = T;
  using Stored = S;
  static constexpr int kPairs = kPairCount, kWarps = kThreads / kWarpSize;
  static constexpr int kWidth = 16 / sizeof(T);
  static constexpr int kPacksOfThread = kMostColumns / kWidth / kThreads;
  // A tile is as high as the registers for z and for the sums, and the shared memory for the rows, allow.
  static constexpr bool kIsWide = sizeof(T) == 8 && kPairs > 10;
  static constexpr int kRowsOfWarp = kIsWide ? 1 : sizeof(S) == 1 ? 4 : 2;
  static constexpr int kRows = kWarps * kRowsOfWarp;
  static constexpr int kBlocksAtOnce = sizeof(T) == 4 && kPairs <= 10 ? 2 : 1;  // on a multiprocessor, at least
  using VectorPack = Pack<T, kWidth>;
  using RowPack = Pack<S, kWidth>;

  struct alignas(16) Shared {
    T vectors[kPairs][kMostColumns];                              // W′, with X's scale; zeros beyond k·K
    S rows[kRows][kMostColumns];                                  // X′ as stored
    T residuals[kRows][(kPairs + kWidth - 1) / kWidth * kWidth];  // z, then w r
  };
  static_assert(sizeof(Shared) <= 227 * 1024, "more than a block of sm_90 may have");
};

/// W′ into shared memory, padded with zeros to whole packs.
template <class Tile, class T>
__device__ void load_vectors(const LinearSweep<T>& op, typename Tile::Shared& shared) {
  const Index columns = columns_with_bias(op.shape), padded = aligned_stride<T>(columns);
  const Index pairs = op.vectors.rows * op.shape.classes;
  for (Index pair = warp_in_block(); pair < Tile::kPairs; pair += Tile::kWarps) {
    const Index j = pair / op.shape.classes, c = pair - j * op.shape.classes;
    for (Index i = lane_in_warp(); i < padded; i += kWarpSize) {
      const T scale = i < op.shape.features ? op.features.scale : T(1);
      shared.vectors[pair][i] =
          pair < pairs && i < columns ? scale * op.vectors(j, parameter_at(op.shape, c, i)) : T(0);
    }
  }
}

/// One row of X′ by one warp: `count` stored numbers, 16 bytes at a time where they lie so, then a one where there is a
/// bias, then zeros up to `padded`.
template <class S>
__device__ void load_row(const S* source, int count, bool bias, int padded, S* target) {
  constexpr int kAtOnce = 16 / sizeof(S);
  using Piece = Pack<S, kAtOnce>;
  const int lane = lane_in_warp();
  int done = 0;
  if (reinterpret_cast<std::uintptr_t>(source) % 16 == 0) {
    const int pieces = count / kAtOnce;
    for (int i = lane; i < pieces; i += kWarpSize)
      reinterpret_cast<Piece*>(target)[i] = reinterpret_cast<const Piece*>(source)[i];
    done = pieces * kAtOnce;
  }
  for (int i = done + lane; i < count; i += kWarpSize) target[i] = source[i];
  for (int i = count + lane; i < padded; i += kWarpSize) target[i] = S(bias && i == count ? 1 : 0);
}

/// z = X′ W′ᵀ for the warp's own rows of the tile.
template <class Tile, class T>
__device__ void multiply_rows(int packs, int first_row, typename Tile::Shared& shared) {
  constexpr int kSlots = Tile::kPairs <= 4 ? 4 : 16;
  const int lane = lane_in_warp();
  T z[Tile::kRowsOfWarp][kSlots] = {};
  for (int pack = lane; pack < packs; pack += kWarpSize) {
    T x[Tile::kRowsOfWarp][Tile::kWidth];
#pragma unroll
    for (int r = 0; r < Tile::kRowsOfWarp; ++r) {
      const auto stored = reinterpret_cast<const typename Tile::RowPack*>(shared.rows[first_row + r])[pack];
#pragma unroll
      for (int w = 0; w < Tile::kWidth; ++w) x[r][w] = static_cast<T>(stored.value[w]);
    }
#pragma unroll
    for (int pair = 0; pair < Tile::kPairs; ++pair) {
      const auto v = reinterpret_cast<const typename Tile::VectorPack*>(shared.vectors[pair])[pack];
#pragma unroll
      for (int r = 0; r < Tile::kRowsOfWarp; ++r)
#pragma unroll
        for (int w = 0; w < Tile::kWidth; ++w) z[r][pair] = std::fma(x[r][w], v.value[w], z[r][pair]);
    }
  }
#pragma unroll
  for (int r = 0; r < Tile::kRowsOfWarp; ++r) {
    const T total = warp_sum_each(z[r]);
    if (lane < Tile::kPairs) shared.residuals[first_row + r][lane] = total;
  }
}

/// z = 0 for the warp's own rows, pairs beyond k·K included.
template <class Tile>
__device__ void clear_rows(int first_row, typename Tile::Shared& shared) {
  for (int r = 0; r < Tile::kRowsOfWarp; ++r)
    if (lane_in_warp() < Tile::kPairs) shared.residuals[first_row + r][lane_in_warp()] = 0;
}

/// z → w r for the warp's own rows; `first` is the tile's first row, `end` the partition's end.
template <class Tile, class T>
__device__ void step_rows(const LinearSweep<T>& op, Index first, Index end, int first_row,
                          typename Tile::Shared& shared) {
  const int classes = static_cast<int>(op.shape.classes), vectors = static_cast<int>(op.vectors.rows);
  const int lane = lane_in_warp() % kStepLanes, items = Tile::kRowsOfWarp * vectors;
  for (int base = 0; base < items; base += kWarpSize / kStepLanes) {
    const int item = base + lane_in_warp() / kStepLanes;
    const bool active = item < items;
    const int at = active ? first_row + item / vectors : first_row, j = active ? item % vectors : 0;
    const Index row = first + at;
    T weight = 0;
    if (active && row < end && !is_excluded(op.exclusions, row, j))
      weight = op.example_weights ? op.example_weights[row] : T(1);
    residual_step<kStepLanes, T>(op, row, j, weight, active ? classes : 0, lane, &shared.residuals[at][j * classes]);
  }
}

/// sums += residual ⊗ row over the tile, for the thread's own columns.
template <class Tile, class T>
__device__ __forceinline__ void add_rows(int packs, const typename Tile::Shared& shared,
                                         T (&sums)[Tile::kPacksOfThread][Tile::kPairs][Tile::kWidth]) {
#pragma unroll(Tile::kPairs <= 10 ? 2 : 1)
  for (int row = 0; row < Tile::kRows; ++row) {
    T residual[Tile::kPairs];
#pragma unroll
    for (int pair = 0; pair < Tile::kPairs; ++pair) residual[pair] = shared.residuals[row][pair];
#pragma unroll
    for (int own = 0; own < Tile::kPacksOfThread; ++own) {
      const int pack = thread_in_block() + own * kThreads;
      if (pack >= packs) continue;
      const auto stored = reinterpret_cast<const typename Tile::RowPack*>(shared.rows[row])[pack];
#pragma unroll
      for (int w = 0; w < Tile::kWidth; ++w)
#pragma unroll
        for (int pair = 0; pair < Tile::kPairs; ++pair)
          sums[own][pair][w] = std::fma(residual[pair], static_cast<T>(stored.value[w]), sums[own][pair][w]);
    }
  }
}

// Partial sums of one partition of rows per block: partials[partition][pair][column] = Σ w r x′.
// 4dKk flops per row; reads X once (d bytes, or d sizeof(T)) and, from cache, K probabilities. `partials` is
// [partitions][k·K · padded columns].
template <class Tile, class T = typename Tile::Number>
__global__ void __launch_bounds__(kThreads, Tile::kBlocksAtOnce)
    fused_sweep_kernel(LinearSweep<T> op, Index partition_rows, MatrixView<T> partials) {
  using S = typename Tile::Stored;
  auto& shared = shared_storage<typename Tile::Shared>();
  const int features = static_cast<int>(op.shape.features);
  const int padded = static_cast<int>(aligned_stride<T>(columns_with_bias(op.shape))), packs = padded / Tile::kWidth;
  const int own_row = warp_in_block() * Tile::kRowsOfWarp;
  const Index begin = Index{blockIdx.x} * partition_rows, end = min(begin + partition_rows, op.features.rows);
  const S* stored = nullptr;
  if constexpr (sizeof(S) == 1) stored = op.features.bytes;
  else stored = op.features.values;

  T sums[Tile::kPacksOfThread][Tile::kPairs][Tile::kWidth] = {};
  const bool has_logits = op.step != SweepStep::given;
  if (has_logits) load_vectors<Tile>(op, shared);
  for (Index first = begin; first < end; first += Tile::kRows) {
    __syncthreads();  // W′ is there; the last tile has been added
    for (int row = own_row; row < own_row + Tile::kRowsOfWarp; ++row) {
      const bool inside = first + row < end;
      load_row(stored + (inside ? first + row : 0) * features, inside ? features : 0, op.shape.bias, padded,
               shared.rows[row]);
    }
    __syncwarp();
    if (has_logits) multiply_rows<Tile, T>(packs, own_row, shared);
    else clear_rows<Tile>(own_row, shared);
    __syncwarp();
    step_rows<Tile>(op, first, end, own_row, shared);
    __syncthreads();  // all residuals are there
    add_rows<Tile>(packs, shared, sums);
  }

  const int pairs = static_cast<int>(op.vectors.rows * op.shape.classes);
  auto* partial = reinterpret_cast<typename Tile::VectorPack*>(partials.row(blockIdx.x));
#pragma unroll
  for (int own = 0; own < Tile::kPacksOfThread; ++own)
#pragma unroll
    for (int pair = 0; pair < Tile::kPairs; ++pair) {
      const int pack = thread_in_block() + own * kThreads;
      typename Tile::VectorPack sum;
#pragma unroll
      for (int w = 0; w < Tile::kWidth; ++w) sum.value[w] = sums[own][pair][w];
      if (pair < pairs && pack < packs) partial[pair * packs + pack] = sum;
    }
}

/// Sums of one slice of the partitions each.
struct alignas(16) SliceSums {
  double of_slice[kThreads / kWarpSize][kWarpSize];
};
static_assert(sizeof(SliceSums) == 2048);

// out_j = scale · Σ partials, in double and in fixed order: a block (pair, 32 columns) each, its warps a slice of
// the partitions each, and the slices are added in turn.  1 flop and sizeof(T) bytes per number read.
template <class T>
__global__ void __launch_bounds__(kThreads) add_partitions_kernel(LinearSweep<T> op, MatrixView<const T> partials) {
  auto& sums = shared_storage<SliceSums>();
  constexpr int kSlices = kThreads / kWarpSize;
  const Index columns = columns_with_bias(op.shape), padded = aligned_stride<T>(columns);
  const Index column = Index{blockIdx.y} * kWarpSize + lane_in_warp(), pair = blockIdx.x;
  const bool active = column < columns;
  const Index each = (partials.rows + kSlices - 1) / kSlices, first = each * warp_in_block();
  double sum = 0;
#pragma unroll 8
  for (Index at = first; at < min(first + each, partials.rows); ++at)
    if (active) sum += static_cast<double>(partials(at, pair * padded + column));
  sums.of_slice[warp_in_block()][lane_in_warp()] = sum;
  __syncthreads();
  if (active && warp_in_block() == 0) {
    double total = 0;
    for (int slice = 0; slice < kSlices; ++slice) total += sums.of_slice[slice][lane_in_warp()];
    const Index j = pair / op.shape.classes, c = pair - j * op.shape.classes;
    const double scale =
        static_cast<double>(op.scale) * (column < op.shape.features ? static_cast<double>(op.features.scale) : 1.0);
    op.out(j, parameter_at(op.shape, c, column)) = static_cast<T>(scale * total);
  }
}

template <class T>
void add_partitions(CudaDevice& device, const LinearSweep<T>& op, MatrixView<const T> partials) {
  const Index columns = columns_with_bias(op.shape), pairs = op.vectors.rows * op.shape.classes;
  launch(device, {Grid{pairs, divide_up(columns, kWarpSize)}, kThreads, sizeof(SliceSums)}, add_partitions_kernel<T>, op,
         partials);
}

template <class T>
Index pairs_of(const LinearSweep<T>& op) {
  return op.vectors.rows * op.shape.classes;
}

/// Whether the fused sweep takes `op`: read off its sizes alone.
template <class T>
bool is_fused(const CudaDevice& device, const LinearSweep<T>& op) {
  return pairs_of(op) <= kMostPairs && columns_with_bias(op.shape) <= kMostColumns &&
         sizeof(typename SweepTile<T, T, kMostPairs>::Shared) <= device.block_memory();
}

/// Bytes for the partial sums of as many partitions as any way of storing X may ask for.
template <class T>
std::size_t fused_sweep_scratch(const LinearSweep<T>& op) {
  const Index partitions = std::min(kMostPartitions, divide_up(op.features.rows, kThreads / kWarpSize));
  const Index numbers = partitions * pairs_of(op) * aligned_stride<T>(columns_with_bias(op.shape));
  return static_cast<std::size_t>(numbers) * sizeof(T);
}

template <class T, class Tile>
void start_fused_sweep(CudaDevice& device, const LinearSweep<T>& op) {
  const Index rows = op.features.rows, columns = columns_with_bias(op.shape);
  const Index partition_rows =
      std::max<Index>(1, divide_up(divide_up(rows, kMostPartitions), Tile::kRows)) * Tile::kRows;
  const MatrixView<T> partials(reinterpret_cast<T*>(op.scratch.data()), divide_up(rows, partition_rows),
                               pairs_of(op) * aligned_stride<T>(columns));
  launch(device, {Grid{partials.rows}, kThreads, sizeof(typename Tile::Shared)}, fused_sweep_kernel<Tile>, op,
         partition_rows, partials);
  add_partitions<T>(device, op, partials);
}

template <class T, class S>
void fused_sweep_as_stored(CudaDevice& device, const LinearSweep<T>& op) {
  if (pairs_of(op) <= 4) start_fused_sweep<T, SweepTile<T, S, 4>>(device, op);
  else if (pairs_of(op) <= 10) start_fused_sweep<T, SweepTile<T, S, 10>>(device, op);
  else start_fused_sweep<T, SweepTile<T, S, kMostPairs>>(device, op);
}

template <class T>
void fused_sweep(CudaDevice& device, const LinearSweep<T>& op) {
  if (op.features.bytes) fused_sweep_as_stored<T, std::uint8_t>(device, op);
  else fused_sweep_as_stored<T, T>(device, op);
}

}  // namespace clout::cuda
