#pragma once
// One chunk of examples on its way through the layers: where every map lies in the scratch, and the four passes.
// Included by network_layered.cu.

#include <algorithm>
#include <clout/kernels/cuda/linear.hpp>
#include <clout/kernels/cuda/network_batch.hpp>

namespace clout::cuda::layered {

/// The scratch's aim, and the most vectors that pass side by side: constants of the problem.
inline constexpr Index kScratchBytes = Index{224} << 20, kMostVectors = 32;

/// What is kept of a map beside the tangents: h; h, which the way back turns into δa; or h, δa and the bend.
enum class Keep { values, deltas_in_place, bends };

/// `models` parameter vectors, each with its own values, or one with `tangents` tangents.
template <class T>
struct Pass {
  Pass(const NetworkShape& of_shape, const NetworkBatch<T>& of_batch, Keep kept, Index most_models, Index most_tangents)
      : shape(of_shape), batch(of_batch), keep(kept), models(most_models), tangents(most_tangents) {}

  NetworkShape shape;
  NetworkBatch<T> batch;
  Keep keep;
  Index models, tangents;                                // at most, side by side
  MatrixView<const T> parameters, vectors;               // those of the block under way
  Signals<T> maps[NetworkShape::kMostConvolutions + 2];  // the input, a map above every convolution, the logits
  Signals<T> pooled;
  Maps<T> probabilities;
  Index chunk = 1;  // examples at a time

  /// Numbers of map l.
  Index size(int l) const {
    if (l == 0) return shape.input_size();
    return l <= shape.convolutions ? shape.convolution[l - 1].out_size() : Index{shape.classes};
  }
  int logits() const { return shape.convolutions + 1; }

  Index bytes_of_example() const {
    Index numbers = size(0) + (models + tangents) * shape.pooled + models * shape.classes;
    for (int l = 1; l <= logits(); ++l) numbers += (models * (keep == Keep::bends ? 3 : 1) + tangents) * size(l);
    return numbers * static_cast<Index>(sizeof(T));
  }
  /// The examples and vectors that fit, and where their maps lie.
  void carve(Carver& carver) {
    chunk = std::clamp(kScratchBytes / bytes_of_example(), Index{1}, std::max(batch.count, Index{1}));
    const auto maps_of = [&](Index of_vectors, Index numbers) {
      const auto memory = carver.matrix<T>(of_vectors * chunk, numbers, numbers);
      return Maps<T>{of_vectors > 0 ? memory.data : nullptr, of_vectors > 1 ? chunk * numbers : 0, numbers};
    };
    maps[0].value = maps_of(1, size(0));
    for (int l = 1; l <= logits(); ++l) {
      auto& map = maps[l];
      map.value = maps_of(models, size(l));
      if (keep == Keep::deltas_in_place) map.delta = map.value;
      if (keep == Keep::bends) {
        map.delta = maps_of(models, size(l));
        map.bend = maps_of(models, size(l));
      }
      map.tangent = map.delta_tangent = maps_of(tangents, size(l));
    }
    pooled.value = maps_of(models, shape.pooled);
    pooled.tangent = maps_of(tangents, shape.pooled);
    probabilities = maps_of(models, shape.classes);
  }
  Layer<T> layer(int l, Index examples) const {
    Layer<T> layer{
        .parameters = parameters, .vectors = vectors, .below = maps[l], .above = maps[l + 1], .examples = examples};
    const bool is_head = l == shape.convolutions;
    layer.shape = is_head ? head_of(shape) : shape.convolution[l];
    layer.tanh_below = l > 0;
    layer.tanh_above = !is_head;
    layer.pooled = is_head ? size(l) / shape.pooled : 1;
    layer.input = is_head ? pooled : maps[l];
    return layer;
  }

  /// h of every map for `vectors` models.
  void forward(CudaDevice& device, Chunk at, Index of_models) const {
    stage_inputs(device, batch, at, maps[0].value);
    for (int l = 0; l <= shape.convolutions; ++l) {
      if (l == shape.convolutions) pool_map(device, maps[l].value, pooled.value, at.count, of_models);
      layer_value(device, layer(l, at.count), of_models);
    }
  }
  /// δ of every map above the input; visit(layer) is called when the deltas above the layer are there.
  template <class Visit>
  void backward(CudaDevice& device, Chunk at, Index of_models, const Visit& visit) const {
    for (int l = shape.convolutions; l >= 0; --l) {
      visit(layer(l, at.count));
      if (l > 0) layer_delta(device, layer(l, at.count), of_models);
    }
  }
  /// R{h} of every map above that of layer `from`, which has tangents (or is the input).
  void tangent_forward(CudaDevice& device, Chunk at, Index of_tangents, int from) const {
    for (int l = from; l <= shape.convolutions; ++l) {
      if (l == shape.convolutions) pool_map(device, maps[l].tangent, pooled.tangent, at.count, of_tangents);
      layer_tangent(device, layer(l, at.count), of_tangents);
    }
  }
  /// R{δ} of every map above layer `to`; visit(layer) as in backward().
  template <class Visit>
  void tangent_backward(CudaDevice& device, Chunk at, Index of_tangents, int to, const Visit& visit) const {
    for (int l = shape.convolutions; l >= to; --l) {
      visit(layer(l, at.count));
      if (l > to) layer_delta_tangent(device, layer(l, at.count), of_tangents);
    }
  }
  void pool_map(CudaDevice& device, Maps<T> map, Maps<T> means, Index examples, Index of_vectors) const {
    pool(device, map, means, shape.pooled, shape.pixels(), examples, of_vectors);
  }

  /// p, and the weighted δ where it is kept, from the logits. The first of the block's models has number `first`.
  void residual(CudaDevice& device, Chunk at, Index of_models, const Exclusions& exclusions = {},
                Index first = 0) const {
    const auto& top = maps[logits()];
    residuals<T>(device, {batch, exclusions, first, shape.classes, top.value, probabilities, top.delta}, at, of_models);
  }
  /// The weighted R{δ} in the place of the logits' tangents, or R{ℓ} into `losses`.
  void residual_tangent(CudaDevice& device, Chunk at, Index of_tangents, MatrixView<T> losses = {}) const {
    const auto& top = maps[logits()];
    residual_tangents<T>(device, {batch, shape.classes, probabilities, top.tangent, top.delta_tangent, losses}, at,
                         of_tangents);
  }
  /// Everything of one parameter vector that tangents need.
  void primal(CudaDevice& device, Chunk at) const {
    forward(device, at, 1);
    residual(device, at, 1);
    if (keep == Keep::bends) backward(device, at, 1, [](const Layer<T>&) {});
  }
  /// Calls work(chunk) for all examples of the batch.
  template <class Work>
  void for_each_chunk(const Work& work) const {
    for (Index first = 0; first < batch.count; first += chunk) work(Chunk{first, std::min(chunk, batch.count - first)});
  }
};

/// Vectors that pass side by side: their sums in double stay within a quarter of the scratch.
inline Index vectors_at_once(const NetworkShape& shape, Index vectors) {
  const Index fit = kScratchBytes / 4 / (shape.parameters() * static_cast<Index>(sizeof(double)));
  return std::min(vectors, std::clamp(fit, Index{1}, kMostVectors));
}

/// The same parameters for every vector.
template <class T>
MatrixView<const T> for_all(const MatrixView<const T>& parameters) {
  return {parameters.data, 1, parameters.columns, 0};
}

}  // namespace clout::cuda::layered
