#include <array>
#include <clout/kernels/cpu/network_pass.hpp>
#include <clout/kernels/cpu/network_tanh.hpp>

namespace clout::cpu {
namespace {

template <class T>
using Terms = std::span<const ConvolutionTerm<T>>;

// Means of the last map's channels.
template <class T>
void pool(const NetworkLayout<T>& layout, Channels channels, T* values) {
  const Index pixels = layout.shape.pixels();
  const T* map = values + layout.map[layout.shape.convolutions] + channels.first * pixels * kLanes<T>;
  for (int c = channels.first; c < channels.last; ++c) {
    Vector<T> sum{};
    for (Index pixel = 0; pixel < pixels; ++pixel, map += kLanes<T>) sum += load(map);
    store(values + layout.pooled + c * kLanes<T>, sum / static_cast<T>(pixels));
  }
}

// δ of the last map's channels from δ of their means.
template <class T>
void spread(const NetworkLayout<T>& layout, Channels channels, const T* pooled, const StoreDelta<T>& finish) {
  const Index pixels = layout.shape.pixels();
  for (int c = channels.first; c < channels.last; ++c) {
    const Vector<T> value = load(pooled + c * kLanes<T>) / static_cast<T>(pixels);
    for (Index pixel = 0; pixel < pixels; ++pixel) finish(c * pixels + pixel, value);
  }
}

template <class T>
void convolve_layer(const Convolution& layer, Terms<T> terms, const T* bias, const auto& finish) {
  with_geometry(layer, [&](const auto& g) { convolve(g, terms, bias, {0, g.out}, finish); });
}

template <class T>
void convolve_transposed_layer(const Convolution& layer, Terms<T> terms, Channels in, const auto& finish) {
  with_geometry(layer, [&](const auto& g) { convolve_transposed(g, terms, in, finish); });
}

// δ of a map's channels: through what stands above it, then through its tanh. `terms(layer, at)` are the operands where
// the layer's output lies at `at`; the first `curved` channels add what is there.
template <class T>
void delta_of_map(const NetworkLayout<T>& layout, int map, Channels channels, int curved, const T* values, T* deltas,
                  const auto& terms) {
  const auto& [shape, head, maps, pooled, logits, size] = layout;
  const Convolution& below = shape.convolution[map - 1];
  const StoreDelta<T> finish{values + maps[map], deltas + maps[map],
                             Index{curved} * below.out_height * below.out_width};
  if (map == shape.convolutions) {
    convolve_transposed_layer<T>(head, terms(head, logits), channels, Store<T>{deltas + pooled});
    spread(layout, channels, deltas + pooled, finish);
  } else {
    const Convolution& above = shape.convolution[map];
    convolve_transposed_layer<T>(above, terms(above, maps[map + 1]), channels, finish);
  }
}

template <class T>
void add_weights(const Convolution& layer, const T* delta, const T* maps, Channels in, T* sums) {
  with_geometry(layer, [&](const auto& g) {
    add_weight_gradient(g, delta, {0, g.out}, maps, in, sums + layer.weight * kLanes<T>);
  });
}

template <class T>
void add_bias(const Convolution& layer, const T* delta, T* sums) {
  add_bias_gradient(layer, delta, {0, layer.out}, sums + layer.bias * kLanes<T>);
}

}  // namespace

template <class T>
void forward(const NetworkLayout<T>& layout, const T* parameters, T* values) {
  for (int l = 0; l < layout.shape.convolutions; ++l) {
    const Convolution& layer = layout.shape.convolution[l];
    const std::array terms{ConvolutionTerm<T>{parameters + layer.weight, values + layout.map[l], {0, layer.in}}};
    T* map = values + layout.map[l + 1];
    convolve_layer<T>(layer, terms, parameters + layer.bias, Store<T>{map});
    for (Index at = 0; at < layer.out_size() * kLanes<T>; at += kLanes<T>)
      store(map + at, hyperbolic_tangent<T>(load(map + at)));
  }
  const Convolution& head = layout.head;
  pool(layout, {0, head.in}, values);
  const std::array terms{ConvolutionTerm<T>{parameters + head.weight, values + layout.pooled, {0, head.in}}};
  convolve_layer<T>(head, terms, parameters + head.bias, Store<T>{values + layout.logits});
}

template <class T>
void backward(const NetworkLayout<T>& layout, const T* parameters, const T* values, T* deltas, T* sums) {
  const auto add = [&](const Convolution& layer, Index in, Index out) {
    if (!sums) return;
    add_weights(layer, deltas + out, values + in, {0, layer.in}, sums);
    add_bias(layer, deltas + out, sums);
  };
  const auto terms = [&](const Convolution& layer, Index out) {
    return std::array{ConvolutionTerm<T>{parameters + layer.weight, deltas + out, {0, layer.out}}};
  };
  add(layout.head, layout.pooled, layout.logits);
  for (int map = layout.shape.convolutions; map > 0; --map) {
    const Convolution& below = layout.shape.convolution[map - 1];
    delta_of_map(layout, map, {0, below.out}, 0, values, deltas, terms);
    add(below, layout.map[map - 1], layout.map[map]);
  }
}

template <class T>
void tangent_forward(const NetworkLayout<T>& layout, const T* parameters, const T* vector, TangentSource source,
                     const T* values, T* tangents, const T* deltas, T* delta_tangents) {
  const int last = layout.shape.convolutions;
  const auto convolve_both = [&](const Convolution& layer, int map, Index in, const auto& finish) {
    const Channels live = map == source.map ? source.channels : Channels{0, layer.in};
    const std::array terms{ConvolutionTerm<T>{parameters + layer.weight, tangents + in, live},
                           ConvolutionTerm<T>{vector + (vector ? layer.weight : 0), values + in, {0, layer.in}}};
    convolve_layer<T>(layer, Terms<T>(terms).first(vector ? 2 : 1), vector ? vector + layer.bias : nullptr, finish);
  };
  for (int l = source.map; l < last; ++l) {
    const Index next = layout.map[l + 1];
    convolve_both(layout.shape.convolution[l], l, layout.map[l],
                  StoreTangent<T>{values + next, deltas ? deltas + next : nullptr, tangents + next,
                                  deltas ? delta_tangents + next : nullptr});
  }
  pool(layout, source.map == last ? source.channels : Channels{0, layout.head.in}, tangents);
  convolve_both(layout.head, last, layout.pooled, Store<T>{tangents + layout.logits});
}

template <class T>
void tangent_backward(const NetworkLayout<T>& layout, const T* parameters, const T* vector, TangentSource source,
                      const T* values, const T* tangents, const T* deltas, T* delta_tangents, T* sums) {
  const int last = layout.shape.convolutions;
  const auto add = [&](const Convolution& layer, int map, Index in, Index out) {
    if (!sums) return;
    add_weights(layer, delta_tangents + out, values + in, {0, layer.in}, sums);
    const Channels live = map == source.map ? source.channels : Channels{0, layer.in};
    add_weights(layer, deltas + out, tangents + in, live, sums);
    add_bias(layer, delta_tangents + out, sums);
  };
  std::array<ConvolutionTerm<T>, 2> both;
  const auto terms = [&](const Convolution& layer, Index out) {
    both = {ConvolutionTerm<T>{parameters + layer.weight, delta_tangents + out, {0, layer.out}},
            ConvolutionTerm<T>{vector + (vector ? layer.weight : 0), deltas + out, {0, layer.out}}};
    return Terms<T>(both).first(vector ? 2 : 1);
  };
  add(layout.head, last, layout.pooled, layout.logits);
  for (int map = last; map > source.map; --map) {
    const Convolution& below = layout.shape.convolution[map - 1];
    delta_of_map(layout, map, {0, below.out}, below.out, values, delta_tangents, terms);
    add(below, map - 1, layout.map[map - 1], layout.map[map]);
  }
}

template <class T>
void source_delta_tangent(const NetworkLayout<T>& layout, const T* parameters, TangentSource source, const T* values,
                          T* delta_tangents) {
  const auto terms = [&](const Convolution& layer, Index out) {
    return std::array{ConvolutionTerm<T>{parameters + layer.weight, delta_tangents + out, {0, layer.out}}};
  };
  const int out = layout.shape.convolution[source.map - 1].out;
  delta_of_map(layout, source.map, {source.channels.first, out}, source.channels.last, values, delta_tangents, terms);
}

template <class T>
void input_tangent(const NetworkLayout<T>& layout, const T* parameters, const T* vector, const T* deltas,
                   const T* delta_tangents, T* out) {
  const Convolution& layer = layout.shape.convolution[0];
  const std::array terms{ConvolutionTerm<T>{parameters + layer.weight, delta_tangents + layout.map[1], {0, layer.out}},
                         ConvolutionTerm<T>{vector + layer.weight, deltas + layout.map[1], {0, layer.out}}};
  convolve_transposed_layer<T>(layer, terms, {0, layer.in}, Store<T>{out});
}

#define CLOUT_INSTANTIATE(T)                                                                                        \
  template void forward(const NetworkLayout<T>&, const T*, T*);                                                     \
  template void backward(const NetworkLayout<T>&, const T*, const T*, T*, T*);                                      \
  template void tangent_forward(const NetworkLayout<T>&, const T*, const T*, TangentSource, const T*, T*, const T*, \
                                T*);                                                                                \
  template void tangent_backward(const NetworkLayout<T>&, const T*, const T*, TangentSource, const T*, const T*,    \
                                 const T*, T*, T*);                                                                 \
  template void source_delta_tangent(const NetworkLayout<T>&, const T*, TangentSource, const T*, T*);               \
  template void input_tangent(const NetworkLayout<T>&, const T*, const T*, const T*, const T*, T*);
CLOUT_INSTANTIATE(float)
CLOUT_INSTANTIATE(double)
#undef CLOUT_INSTANTIATE

}  // namespace clout::cpu
