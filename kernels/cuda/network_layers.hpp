#pragma once
// A network of any shape, layer by layer: what a layer's kernels read and write. Every value is in memory, for a chunk
// of m examples and k vectors (models or tangents).

#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/network.hpp>

namespace clout::cuda {

/// Maps of m examples and k vectors: where that of (vector j, example i) begins. Vectors that share their maps lie at
/// distance 0.
template <class T>
struct Maps {
  T* data = nullptr;
  Index of_vector = 0, of_example = 0;

  constexpr T* at(Index j, Index i) const { return data + j * of_vector + i * of_example; }
  constexpr Maps from_example(Index i) const { return {data + i * of_example, of_vector, of_example}; }
};

/// Everything known of one map. What has no memory is zero.
template <class T>
struct Signals {
  Maps<T> value = {};          // h, or the input x
  Maps<T> delta = {};          // δa; may be value's memory
  Maps<T> bend = {};           // −2 h δh = (∂δa/∂a) / h′
  Maps<T> tangent = {};        // R{h}
  Maps<T> delta_tangent = {};  // R{δa}; may be tangent's memory
};

/// One layer between the signals of two maps. The linear layer at the top is a 1×1 convolution of the pooled map.
template <class T>
struct Layer {
  Convolution shape = {};
  bool tanh_below = false, tanh_above = true;  // whether the maps are values of tanh
  Index pooled = 1;                            // pixels of the map below that make one of the layer's input
  MatrixView<const T> parameters = {};         // θ: [k][p], or one for all with stride 0
  MatrixView<const T> vectors = {};            // v: [k][p], or none
  Signals<T> input = {};                       // what the layer reads
  Signals<T> below = {};                       // the map that its deltas go down to: `input` where nothing is pooled
  Signals<T> above = {};                       // what it writes
  Index examples = 0;                          // m
};

/// h = tanh(W ∗ h + b) for k vectors.  2 m k F_l flops.
template <class T>
void layer_value(CudaDevice& device, const Layer<T>& layer, Index vectors);

/// R{h} = h′ (V ∗ h + W ∗ R{h} + v_b).
template <class T>
void layer_tangent(CudaDevice& device, const Layer<T>& layer, Index vectors);

/// δa = h′ δh with δh = Wᵀ ∗ δa of the layer above, and the bend where it is asked for.
template <class T>
void layer_delta(CudaDevice& device, const Layer<T>& layer, Index vectors);

/// R{δa} = h′ R{δh} − 2 h R{h} δh with R{δh} = Vᵀ ∗ δa + Wᵀ ∗ R{δa}.
template <class T>
void layer_delta_tangent(CudaDevice& device, const Layer<T>& layer, Index vectors);

/// The means over `pixels` neighbours of m maps for k vectors.
template <class T>
void pool(CudaDevice& device, Maps<T> map, Maps<T> means, Index channels, Index pixels, Index examples, Index vectors);

/// Sums over pixels and examples for the layer's parameters: row (j · m/each + g) of `sums` is of vector j and the
/// examples g·each, …: Σ δa ⊗ patch(h), or with tangents Σ R{δa} ⊗ patch(h) + δa ⊗ patch(R{h}).
template <class T, class Sum>
struct FilterGradient {
  Layer<T> layer;
  bool of_tangents = false;
  bool adds = false;  // to what is there
  Index each = 0;     // examples per row
  Index vectors = 1;
  MatrixView<Sum> sums;  // [k·m/each][p]
};
template <class T, class Sum>
void filter_gradient(CudaDevice& device, const FilterGradient<T, Sum>& op);

/// R{h} of unit vectors: vector j is 1 at the layer's parameter first + j, and 0 elsewhere. Nothing is multiplied.
template <class T>
void unit_tangent(CudaDevice& device, const Layer<T>& layer, Index first, Index vectors);

}  // namespace clout::cuda
