// Products of bytes and floats: the kernels around byte_tile.hpp.
#include <clout/kernels/cuda/byte_products.hpp>
#include <clout/kernels/cuda/byte_tile.hpp>

namespace clout::cuda {

using OutputTile = ByteTile<false>;
using SumTile = ByteTile<true>;

// z = X′ W′ᵀ, a block for 128 rows and 80 columns.  2ndKk flops; X is read once per 80 columns, W′ once per 128 rows,
// mostly from the second-level cache.
__global__ void __launch_bounds__(OutputTile::kThreads, 2) byte_outputs_kernel(ByteOperands in, MatrixView<float> z) {
  auto& shared = shared_storage<OutputTile::Shared>();
  const Index m = Index{blockIdx.x} * OutputTile::kRows, n = Index{blockIdx.y} * OutputTile::kColumns;
  OutputTile::Sums sums = {};
  multiply_tile<OutputTile>(in, m, n, 0, in.floats.columns, z.rows, z.columns, shared, sums);
  for_each_sum<OutputTile>(m, n, sums, [&](Index row, Index column, float sum) {
    if (row < z.rows && column < z.columns) z(row, column) = sum;
  });
}

// partials[partition][pair][column] (+)= Rᵀ X′, a block for 128 columns of X′, 80 pairs and one partition.  Flops as
// above; R is read once per 128 columns.
__global__ void __launch_bounds__(SumTile::kThreads, 2)
    byte_sums_kernel(ByteOperands in, Index columns, Index partition_rows, bool accumulate,
                     MatrixView<float> partials) {
  auto& shared = shared_storage<SumTile::Shared>();
  const Index m = Index{blockIdx.x} * SumTile::kRows, n = Index{blockIdx.y} * SumTile::kColumns;
  const Index begin = Index{blockIdx.z} * partition_rows, end = min(begin + partition_rows, in.x.rows);
  const Index pairs = in.floats.columns, padded = aligned_stride<float>(columns);
  in.x.rows = in.floats.rows = end;
  SumTile::Sums sums = {};
  multiply_tile<SumTile>(in, m, n, begin, end, columns, pairs, shared, sums);
  float* partial = partials.row(blockIdx.z);
  for_each_sum<SumTile>(m, n, sums, [&](Index column, Index pair, float sum) {
    if (column >= columns || pair >= pairs) return;
    float& target = partial[pair * padded + column];
    target = accumulate ? target + sum : sum;
  });
}

void byte_outputs(CudaDevice& device, const FeatureView<float>& x, bool bias, MatrixView<const float> packed,
                  MatrixView<float> z) {
  const Grid grid{divide_up(z.rows, OutputTile::kRows), divide_up(z.columns, OutputTile::kColumns)};
  launch(device, {grid, OutputTile::kThreads, sizeof(OutputTile::Shared)}, byte_outputs_kernel,
         ByteOperands{x, bias, packed}, z);
}

BytePartitions byte_partitions(Index rows, Index columns, Index pairs) {
  constexpr Index kBlocksInFlight = 264;  // of an H200, two on each multiprocessor
  constexpr Index kMostRows = 8192;       // whose sum is one of single precision
  const Index tiles = divide_up(columns, SumTile::kRows) * divide_up(pairs, SumTile::kColumns);
  const Index count = std::max<Index>(1, kBlocksInFlight / tiles);
  const Index each = round_up(std::min(divide_up(rows, count), kMostRows), SumTile::kDepth);
  return {divide_up(rows, each), each};
}

void byte_sums(CudaDevice& device, const FeatureView<float>& x, bool bias, MatrixView<const float> residuals,
               Index partition_rows, bool accumulate, MatrixView<float> partials) {
  const Index columns = x.columns + (bias ? 1 : 0);
  const Grid grid{divide_up(columns, SumTile::kRows), divide_up(residuals.columns, SumTile::kColumns),
                  divide_up(x.rows, partition_rows)};
  launch(device, {grid, SumTile::kThreads, sizeof(SumTile::Shared)}, byte_sums_kernel, ByteOperands{x, bias, residuals},
         columns, partition_rows, accumulate, partials);
}

}  // namespace clout::cuda
