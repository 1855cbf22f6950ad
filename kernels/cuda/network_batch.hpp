#pragma once
// What both ways through a network share: the examples of a batch, softmax on their logits, and the sums' last step.

#include <algorithm>
#include <clout/kernels/cuda/linear.hpp>
#include <clout/kernels/cuda/network_layers.hpp>
#include <clout/kernels/cuda/sweep_step.hpp>
#include <clout/kernels/network_operations.hpp>

namespace clout::cuda {

/// The number in memory of the batch's example `at`.
template <class T>
__device__ __forceinline__ Index example_in(const NetworkBatch<T>& batch, Index at) {
  return batch.rows ? batch.rows[at] : at;
}

/// The weight with which an example counts for model j.
template <class T>
__device__ __forceinline__ T weight_of(const NetworkBatch<T>& batch, const Exclusions& exclusions, Index example,
                                       Index j) {
  if (exclusions.count > 0 && is_excluded(exclusions, example, j)) return 0;
  return batch.example_weights ? batch.example_weights[example] : T(1);
}

/// What an example's probabilities are held to.
template <class T>
struct Truth {
  int label;
  const T* target = nullptr;  // [K], or null: the label

  /// p_c less what it should be; `others` is the sum of the probabilities of the other classes: the label's own residual
  /// is minus that, which does not cancel.
  __device__ __forceinline__ T residual(int c, T probability, T others) const {
    if (target) return probability - target[c];
    return c == label ? -others : probability;
  }
};
template <class T>
__device__ __forceinline__ Truth<T> truth_of(const NetworkBatch<T>& batch, Index example, int classes) {
  return {batch.labels[example], batch.targets ? batch.targets + example * classes : nullptr};
}

/// p = softmax(a) and weight · (p − e_y) of one example by one thread; p may be null, δ may be a's memory.
template <class T>
__device__ void softmax_residual(const T* a, int classes, Truth<T> truth, T weight, T* p, T* delta) {
  T largest = a[0], others = 0, own = 0;
  for (int c = 1; c < classes; ++c) largest = std::fmax(largest, a[c]);
  for (int c = 0; c < classes; ++c) (c == truth.label ? own : others) += std::exp(a[c] - largest);
  const T sum = own + others;
  for (int c = 0; c < classes; ++c) {
    const T probability = std::exp(a[c] - largest) / sum;
    if (p) p[c] = probability;
    if (delta) delta[c] = weight == 0 ? T(0) : weight * truth.residual(c, probability, others / sum);
  }
}

/// R{δ} = weight · p ∘ (R{a} − (p·R{a})1); may be R{a}'s memory.
template <class T>
__device__ void softmax_residual_tangent(const T* p, const T* tangent, int classes, T weight, T* delta_tangent) {
  const T reference = likeliest<1>(p, tangent, classes, 0);
  T mean = 0;
  for (int c = 0; c < classes; ++c) mean = std::fma(p[c], tangent[c] - reference, mean);
  for (int c = 0; c < classes; ++c)
    delta_tangent[c] = weight == 0 ? T(0) : weight * p[c] * ((tangent[c] - reference) - mean);
}

/// R{ℓ} = (p − e_y)·R{a} = p·(R{a} − R{a}_y 1), which loses nothing where p_y is close to 1.
template <class T>
__device__ T loss_tangent(const T* p, const T* tangent, int classes, int label) {
  T sum = 0;
  for (int c = 0; c < classes; ++c) sum = std::fma(p[c], tangent[c] - tangent[label], sum);
  return sum;
}

/// For what belongs to single examples.
template <class T>
NetworkBatch<T> unweighted(NetworkBatch<T> batch) {
  batch.example_weights = nullptr;
  return batch;
}

/// Calls work(first, count) for blocks of at most `most` out of `all`.
template <class Work>
void for_each_block(Index all, Index most, const Work& work) {
  for (Index first = 0; first < all; first += most) work(first, std::min(most, all - first));
}

/// Numbers of a chunk of a batch: its first example and how many.
struct Chunk {
  Index first = 0, count = 0;
};

/// The inputs of a chunk, [m][d], scaled, as T.
template <class T>
void stage_inputs(CudaDevice& device, const NetworkBatch<T>& batch, Chunk chunk, Maps<T> inputs);

/// Softmax on a chunk's logits for k models: p and the weighted δ, either of them where it has memory.
template <class T>
struct Residuals {
  NetworkBatch<T> batch;
  Exclusions exclusions;
  Index first_model = 0;  // the number that model 0 has in the exclusions
  int classes = 0;
  Maps<T> logits, probabilities, deltas;
};
template <class T>
void residuals(CudaDevice& device, const Residuals<T>& op, Chunk chunk, Index vectors);

/// Its tangent for k tangents: the weighted R{δ} into `delta_tangents` (R{a}'s memory, it may be), or R{ℓ} into
/// `losses`.
template <class T>
struct ResidualTangents {
  NetworkBatch<T> batch;
  int classes = 0;
  Maps<T> probabilities, tangents, delta_tangents;
  MatrixView<T> losses;  // [m of the batch][k], or none
};
template <class T>
void residual_tangents(CudaDevice& device, const ResidualTangents<T>& op, Chunk chunk, Index vectors);

/// totals[j] = Σ w of the batch's examples that count for model j, in double.
template <class T>
void weight_totals(CudaDevice& device, const NetworkBatch<T>& batch, const Exclusions& exclusions, Index models,
                   double* totals);

/// out_j = scale · Σ of the rows j, j + stride, … of `sums`, in double, in this order; or, with totals, the sum divided
/// by totals[j] (0 where that is 0).
template <class T, class Sum>
struct AddPartitions {
  MatrixView<const Sum> sums;  // [partitions·k][p]
  double scale = 1;
  const double* totals = nullptr;
  MatrixView<T> out;  // [k][p]
};
template <class T, class Sum>
void add_partitions(CudaDevice& device, const AddPartitions<T, Sum>& op);

/// Rows of a Hessian: out(first + j, c) = out(c, first + j) = scale · Σ sums(j + rows · partition, c), c ≥ first + j,
/// in double and in this order.
template <class T, class Sum>
struct HessianRows {
  MatrixView<const Sum> sums;  // [partitions·rows][p]
  Index rows = 0;
  Index first = 0;
  double scale = 1;
  MatrixView<T> out;  // [p][p]
};
template <class T, class Sum>
void hessian_rows(CudaDevice& device, const HessianRows<T, Sum>& op);

/// The linear layer at the top as a 1×1 convolution of one pixel.
inline Convolution head_of(const NetworkShape& shape) {
  return {.in = shape.pooled,
          .out = shape.classes,
          .kernel = 1,
          .stride = 1,
          .in_height = 1,
          .in_width = 1,
          .out_height = 1,
          .out_width = 1,
          .weight = shape.weight,
          .bias = shape.bias};
}

}  // namespace clout::cuda
