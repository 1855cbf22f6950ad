#include <array>
#include <clout/kernels/cpu/network_pass.hpp>

namespace clout::cpu {
namespace {

template <class T>
using Terms = std::span<const ConvolutionTerm<T>>;

// Means of the last map's channels.
template <class T>
void pool(const NetworkLayout<T>& layout, Range channels, T* values) {
  const Index pixels = layout.shape.pixels();
  const T* map = values + layout.map[layout.shape.convolutions] + channels.first * pixels * kLanes<T>;
  for (int c = channels.first; c < channels.last; ++c) {
    Vector<T> sum{};
    for (Index pixel = 0; pixel < pixels; ++pixel, map += kLanes<T>) sum += load(map);
    store(values + layout.pooled + c * kLanes<T>, sum / static_cast<T>(pixels));
  }
}

// δ of the last map's channels first_channel and above from δ of their means.
template <class T>
void spread(const NetworkLayout<T>& layout, int first_channel, const T* pooled, const StoreDelta<T>& finish) {
  const Index pixels = layout.shape.pixels();
  for (int c = first_channel; c < layout.shape.pooled; ++c) {
    const Vector<T> value = load(pooled + c * kLanes<T>) / static_cast<T>(pixels);
    finish.choose((c + 1) * pixels - 1, [&](const auto& use) {
      for (Index pixel = 0; pixel < pixels; ++pixel) use(c * pixels + pixel, value);
    });
  }
}

// δ of a map's channels first_channel and above: through what stands above it, then through its tanh. `terms(layer,
// at)` are the operands where the layer's output lies at `at`; the first `curved` channels add what is there.
template <class T>
void delta_of_map(const NetworkLayout<T>& layout, int map, int first_channel, int curved, const T* values, T* deltas,
                  const auto& terms) {
  const auto& [shape, head, maps, pooled, logits, size] = layout;
  const Convolution& below = shape.convolution[map - 1];
  const Index adds_until = Index{curved} * below.out_height * below.out_width;
  const StoreDelta<T> finish{deltas + maps[map], values + maps[map], adds_until};
  if (map == shape.convolutions) {
    convolve_transposed<T>(head, terms(head, logits), first_channel, {deltas + pooled});
    spread(layout, first_channel, deltas + pooled, finish);
  } else {
    const Convolution& above = shape.convolution[map];
    convolve_transposed<T>(above, terms(above, maps[map + 1]), first_channel, finish);
  }
}

template <class T>
void add_weights(const Convolution& layer, const T* delta, const T* maps, Range in, T* sums) {
  add_weight_gradient(layer, delta, 0, maps, in, sums + layer.weight * kLanes<T>);
}

template <class T>
void add_bias(const Convolution& layer, const T* delta, T* sums) {
  add_bias_gradient(layer, delta, 0, sums + layer.bias * kLanes<T>);
}

}  // namespace

template <class T>
void forward(const NetworkLayout<T>& layout, const T* parameters, T* values) {
  for (int l = 0; l < layout.shape.convolutions; ++l) {
    const Convolution& layer = layout.shape.convolution[l];
    const std::array terms{ConvolutionTerm<T>{parameters + layer.weight, values + layout.map[l], {0, layer.in}}};
    convolve<T>(layer, terms, parameters + layer.bias, {.out = values + layout.map[l + 1], .activates = true});
  }
  const Convolution& head = layout.head;
  pool(layout, {0, head.in}, values);
  const std::array terms{ConvolutionTerm<T>{parameters + head.weight, values + layout.pooled, {0, head.in}}};
  convolve<T>(head, terms, parameters + head.bias, {values + layout.logits});
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
    delta_of_map(layout, map, 0, 0, values, deltas, terms);
    add(below, layout.map[map - 1], layout.map[map]);
  }
}

template <class T>
void tangent_forward(const NetworkLayout<T>& layout, const T* parameters, const T* vector, TangentSource source,
                     const T* values, T* tangents, const T* deltas, T* delta_tangents) {
  const int last = layout.shape.convolutions;
  const auto convolve_both = [&](const Convolution& layer, int map, Index in, const StoreTangent<T>& finish) {
    const Range live = map == source.map ? source.channels : Range{0, layer.in};
    const std::array terms{ConvolutionTerm<T>{parameters + layer.weight, tangents + in, live},
                           ConvolutionTerm<T>{vector + (vector ? layer.weight : 0), values + in, {0, layer.in}}};
    convolve<T>(layer, Terms<T>(terms).first(vector ? 2 : 1), vector ? vector + layer.bias : nullptr, finish);
  };
  for (int l = source.map; l < last; ++l) {
    const Index next = layout.map[l + 1];
    convolve_both(
        layout.shape.convolution[l], l, layout.map[l],
        {tangents + next, values + next, deltas ? deltas + next : nullptr, deltas ? delta_tangents + next : nullptr});
  }
  pool(layout, source.map == last ? source.channels : Range{0, layout.head.in}, tangents);
  convolve_both(layout.head, last, layout.pooled, {tangents + layout.logits});
}

template <class T>
void tangent_backward(const NetworkLayout<T>& layout, const T* parameters, const T* vector, TangentSource source,
                      const T* values, const T* tangents, const T* deltas, T* delta_tangents, T* sums) {
  const int last = layout.shape.convolutions;
  const auto add = [&](const Convolution& layer, int map, Index in, Index out) {
    if (!sums) return;
    add_weights(layer, delta_tangents + out, values + in, {0, layer.in}, sums);
    const Range live = map == source.map ? source.channels : Range{0, layer.in};
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
    delta_of_map(layout, map, 0, below.out, values, delta_tangents, terms);
    add(below, map - 1, layout.map[map - 1], layout.map[map]);
  }
}

template <class T>
void source_delta_tangent(const NetworkLayout<T>& layout, const T* parameters, TangentSource source, const T* values,
                          T* delta_tangents) {
  const auto terms = [&](const Convolution& layer, Index out) {
    return std::array{ConvolutionTerm<T>{parameters + layer.weight, delta_tangents + out, {0, layer.out}}};
  };
  const int first = source.channels.first / kTileChannels * kTileChannels;
  delta_of_map(layout, source.map, first, source.channels.last, values, delta_tangents, terms);
}

template <class T>
void input_tangent(const NetworkLayout<T>& layout, const T* parameters, const T* vector, const T* deltas,
                   const T* delta_tangents, T* out) {
  const Convolution& layer = layout.shape.convolution[0];
  const std::array terms{ConvolutionTerm<T>{parameters + layer.weight, delta_tangents + layout.map[1], {0, layer.out}},
                         ConvolutionTerm<T>{vector + layer.weight, deltas + layout.map[1], {0, layer.out}}};
  convolve_transposed<T>(layer, terms, 0, {out});
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
