#pragma once
// What the operations that multiply by X share: the linear layer as one matrix product. With a bias, X gets a column
// of ones, X′ = (X, 1), and the biases join the weights as the last column of W′: then Z = X′ W′ᵀ and G = Rᵀ X′.

#include <clout/kernels/cuda/launch.hpp>

namespace clout::cuda {

/// Rows of X that are converted and multiplied at a time: a constant of the problem.
inline constexpr Index kChunkRows = 4096;

/// d, and one more with a bias.
constexpr Index columns_with_bias(const LinearShape& shape) { return shape.features + (shape.bias ? 1 : 0); }

/// A row's length in memory, in multiples of 16 bytes, which the library's fast kernels want.
template <class T>
constexpr Index aligned_stride(Index columns) {
  return round_up(columns, 16 / static_cast<Index>(sizeof(T)));
}

/// Where class c, column i of W′ stands in the flat vector of parameters.
constexpr Index parameter_at(const LinearShape& shape, Index c, Index i) {
  return i < shape.features ? c * shape.features + i : shape.weights() + c;
}

/// Whether X itself can be the operand, so that no rows need to be converted.
template <class T>
bool is_plain(const FeatureView<T>& features, bool bias) {
  return features.values && !bias && features.scale == 1;
}

/// X′ of some rows, [rows][d (+ 1)]: X's own memory where is_plain(), else converted into `target`. Every row times its
/// factor where `factors` is not null.
template <class T>
MatrixView<const T> stage_features(CudaDevice& device, const FeatureView<T>& features, bool bias, const T* factors,
                                   MatrixView<T> target);

/// W′ with the weights (not the biases) times `scale`: [k][p] → [k·K][d (+ 1)].
template <class T>
void pack_vectors(CudaDevice& device, const LinearShape& shape, T scale, MatrixView<const T> vectors,
                  MatrixView<T> packed);

/// The way back, `scale` on weights and `bias_scale` on biases: [k·K][d (+ 1)] → [k][p].
template <class T>
void unpack_vectors(CudaDevice& device, const LinearShape& shape, T scale, T bias_scale, MatrixView<const T> packed,
                    MatrixView<T> vectors);

/// Hands out pieces of one block of memory, each at a multiple of 256 bytes; with no memory, counts only.
class Carver {
 public:
  explicit Carver(std::byte* memory = nullptr) : memory_(memory) {}
  template <class T>
  MatrixView<T> matrix(Index rows, Index columns, Index stride) {
    T* data = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
    used_ += static_cast<std::size_t>(round_up(rows * stride * static_cast<Index>(sizeof(T)), 256));
    return {data, rows, columns, stride};
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

}  // namespace clout::cuda
