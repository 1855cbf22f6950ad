#pragma once
// Products of an X of bytes with single-precision numbers, on the tensor cores: Z = X′ W′ᵀ and G = Rᵀ X′ to the
// accuracy of single precision, from three passes in bf16 (byte_tile.hpp tells how).

#include <clout/kernels/cuda/linear.hpp>

namespace clout::cuda {

/// Z = X′ W′ᵀ. `packed` is W′, [k·K][d (+ 1)], without X's scale in it unless it was put there; its rows begin at
/// multiples of 16 bytes. `x` holds bytes, whose scale does not count. 2ndKk flops, three times that on the tensor
/// cores.
void byte_outputs(CudaDevice& device, const FeatureView<float>& x, bool bias, MatrixView<const float> packed,
                  MatrixView<float> z);

/// How Rᵀ X′ of some rows (one or more) is cut into partitions of `rows` rows, so that their blocks fill the GPU, and
/// no sum in single precision is of more than 8,192 rows: a function of the sizes alone.
struct BytePartitions {
  Index count, rows;
};
BytePartitions byte_partitions(Index rows, Index columns, Index pairs);

/// partials[partition][pair · aligned columns + column] (+)= Rᵀ X′ of the partition's rows, with R [rows][k·K], whose
/// rows begin at multiples of 16 bytes. Flops as above.
void byte_sums(CudaDevice& device, const FeatureView<float>& x, bool bias, MatrixView<const float> residuals,
               Index partition_rows, bool accumulate, MatrixView<float> partials);

}  // namespace clout::cuda
