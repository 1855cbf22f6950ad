#pragma once
// The contract of the passes over a convolutional network (math.md, "Layers"), one plain struct each, as in
// operations.hpp: all pointers are device memory, results never overlap operands, `scratch` holds what the operation's
// `*_scratch` entry asks for. Sums over examples run over partitions that depend on the sizes alone and are added in
// fixed order: the same bits whatever the number of threads or multiprocessors.
//
// n examples in memory, m of them in the batch, d = input_size() inputs each, p parameters, k tangents or models.

#include <clout/kernels/network.hpp>
#include <clout/kernels/operations.hpp>

namespace clout {

/// The examples that a pass reads: `count` of them, at `rows`, or 0…count−1 where rows is null.
template <class T>
struct NetworkBatch {
  FeatureView<T> features;                // [n][d], an example's inputs as [channels][height][width]
  const std::int32_t* labels = nullptr;   // [n], 0…K−1
  const T* targets = nullptr;             // [n][K] or null: in the place of the labels' e_y: NetworkGradient, …Hessian, …InputGradients
  const T* example_weights = nullptr;     // [n] or null: wᵢ, by the example's number, not by its place in the batch
  const Index* rows = nullptr;            // [m], in 0…n−1, or null
  Index count = 0;                        // m
};

/// Logits a of k models.  k·m·2F flops, F = shape.multiply_adds().
template <class T>
struct NetworkForward {
  NetworkShape shape;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [k][p]
  MatrixView<T> logits;            // [m][k·K], model after model
  std::span<std::byte> scratch;
};

/// out_j = Σ wᵢ ∇ℓᵢ(θ_j) · scale, or, with scale = 0, divided by the weight of the examples that count for model j
/// (out_j is 0 where that is 0). Without regulariser. An example in `exclusions` for model j does not count for it.
/// k·m·(6F − 2F₁) flops, F₁ those of the first convolution.
template <class T>
struct NetworkGradient {
  NetworkShape shape;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [k][p]
  Exclusions exclusions;           // rows are numbers of examples, vectors are models
  double scale = 0;
  MatrixView<T> out;               // [k][p], overwritten
  std::span<std::byte> scratch;
};

/// Which matrix a product is with.
enum class Curvature {
  hessian,       ///< ∇²ℓ
  gauss_newton,  ///< Jᵀ(diag p − ppᵀ)J, J the Jacobian of the logits
};

/// out_j = scale · Σ wᵢ (∇²ℓᵢ(θ)) vⱼ, or with the Gauss-Newton matrix; without regulariser. The primal passes are made
/// once for all tangents.  m·((4F − 2F₁) + k(12F − 8F₁)) flops for the Hessian.
template <class T>
struct NetworkHessianProduct {
  NetworkShape shape;
  Curvature curvature = Curvature::hessian;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  MatrixView<const T> vectors;     // [k][p]
  double scale = 1;                // 1/W
  MatrixView<T> out;               // [k][p], overwritten
  std::span<std::byte> scratch;
};

/// R{ℓᵢ} = vⱼ·∇ℓᵢ, without example weights.  m·(2F + k(4F − 2F₁)) flops.
template <class T>
struct NetworkLossTangents {
  NetworkShape shape;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  MatrixView<const T> vectors;     // [k][p]
  MatrixView<T> out;               // [m][k]
  std::span<std::byte> scratch;
};

/// ∇ℓᵢ of each example of the batch, without example weights.
template <class T>
struct NetworkExampleGradients {
  NetworkShape shape;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  MatrixView<T> out;               // [m][p], overwritten
  std::span<std::byte> scratch;
};

/// ∇ₓ(vⱼ·∇θℓᵢ) with respect to the input as the network sees it, without example weights.
template <class T>
struct NetworkInputGradients {
  NetworkShape shape;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  MatrixView<const T> vectors;     // [k][p]
  MatrixView<T> out;               // [k][m·d]: row j holds [m][d]
  std::span<std::byte> scratch;
};

/// scale · Σ wᵢ ∇²ℓᵢ(θ), both triangles: unit vectors propagated only where they are not zero, and symmetry. A unit
/// vector of layer l has no tangent below l, and only the rows of layers ≥ l are computed (performance.md, 1b).
template <class T>
struct NetworkHessian {
  NetworkShape shape;
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  double scale = 1;                // 1/W
  MatrixView<T> out;               // [p][p], overwritten; contiguous
  std::span<std::byte> scratch;
};

}  // namespace clout
