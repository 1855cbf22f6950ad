#pragma once
// The geometry of one layer as the convolutions take it: known to the compiler for the layers of the paper's network,
// read at run time for all others. Both have the members of Convolution, so that one algorithm serves both.

#include <clout/kernels/network.hpp>

namespace clout::cpu {

template <Convolution kLayer>
struct FixedGeometry {
  static constexpr int in = kLayer.in, out = kLayer.out, kernel = kLayer.kernel, stride = kLayer.stride;
  static constexpr int in_height = kLayer.in_height, in_width = kLayer.in_width;
  static constexpr int out_height = kLayer.out_height, out_width = kLayer.out_width;
};

/// A layer without its place in the parameter vector.
constexpr Convolution without_offsets(Convolution layer) {
  layer.weight = layer.bias = 0;
  return layer;
}

/// f(geometry).
template <int kLayer = 0, class F>
void with_geometry(const Convolution& layer, F&& f) {
  constexpr NetworkShape kPaper = paper_network();
  if constexpr (kLayer == kPaper.convolutions) {
    f(layer);
  } else {
    constexpr Convolution kGeometry = without_offsets(kPaper.convolution[kLayer]);
    if (without_offsets(layer) == kGeometry) f(FixedGeometry<kGeometry>{});
    else with_geometry<kLayer + 1>(layer, f);
  }
}

/// The linear layer: a convolution of one pixel.
constexpr Convolution head_of(const NetworkShape& shape) {
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

}  // namespace clout::cpu
