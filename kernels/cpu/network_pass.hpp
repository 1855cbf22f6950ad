#pragma once
// The passes of math.md over one group of examples, layer by layer, and where the numbers of a group lie.

#include <clout/kernels/cpu/network_convolution.hpp>
#include <clout/kernels/cpu/network_lanes.hpp>

namespace clout::cpu {

/// Where the numbers of one group lie, in elements of T: input | map of each convolution | pooled | logits. The same
/// for values h, for δ, and for their tangents.
template <class T>
struct NetworkLayout {
  NetworkShape shape;
  Convolution head;                                     // the linear layer
  Index map[NetworkShape::kMostConvolutions + 1] = {};  // map[l]: input of convolution l; map[L]: what is pooled
  Index pooled = 0, logits = 0, size = 0;

  explicit NetworkLayout(const NetworkShape& network) : shape(network), head(head_of(network)) {
    for (int l = 0; l < shape.convolutions; ++l) map[l + 1] = map[l] + shape.convolution[l].in_size() * kLanes<T>;
    pooled = map[shape.convolutions] + shape.convolution[shape.convolutions - 1].out_size() * kLanes<T>;
    logits = pooled + Index{shape.pooled} * kLanes<T>;
    size = logits + Index{shape.classes} * kLanes<T>;
  }
  Index logits_size() const { return Index{shape.classes} * kLanes<T>; }
  Index sums_size() const { return shape.parameters() * kLanes<T>; }
};

/// h of all layers and the logits' softmax.
template <class T>
void forward(const NetworkLayout<T>&, const T* parameters, T* values);

/// δ of all layers above the input from δ of the logits; where `sums` is not null, sums += ∇θ, lane by lane.
/// `deltas` may be `values`: each δ then takes the place of its layer's h.
template <class T>
void backward(const NetworkLayout<T>&, const T* parameters, const T* values, T* deltas, T* sums);

/// Where tangents begin: maps below `map` have none, and of `map` only `channels` have one.
struct TangentSource {
  int map = 0;
  Channels channels;
};

/// R{h} of all maps above the source's and R{a} of the logits in the direction `vector`, which may be null for 0. Where
/// `deltas` is not null, delta_tangents becomes −2 h R{a} δa = −2 h R{h} δh, the part of R{δa} that tanh's curvature
/// makes.
template <class T>
void tangent_forward(const NetworkLayout<T>&, const T* parameters, const T* vector, TangentSource, const T* values,
                     T* tangents, const T* deltas, T* delta_tangents);

/// R{δ} of all maps above the source's from R{δ} of the logits, after tangent_forward; where `sums` is not null,
/// sums += R{∇θ} of the layers above the source, lane by lane.
template <class T>
void tangent_backward(const NetworkLayout<T>&, const T* parameters, const T* vector, TangentSource, const T* values,
                      const T* tangents, const T* deltas, T* delta_tangents, T* sums);

/// R{δ} of the source's map alone, in channels source.channels.first and above, after tangent_backward.
template <class T>
void source_delta_tangent(const NetworkLayout<T>&, const T* parameters, TangentSource, const T* values,
                          T* delta_tangents);

/// ∇ₓ(v·∇θℓ) = R{δ} of the input, after tangent_backward.
template <class T>
void input_tangent(const NetworkLayout<T>&, const T* parameters, const T* vector, const T* deltas,
                   const T* delta_tangents, T* out);

}  // namespace clout::cpu
