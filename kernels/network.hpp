#pragma once
// The geometry of an all-convolutional network: what every pass over it takes. Plain structs that any compiler reads.

#include <clout/kernels/matrix_view.hpp>

namespace clout {

/// A valid (unpadded) convolution with a square kernel, then a bias and tanh. Maps are [channels][height][width].
struct Convolution {
  int in = 0, out = 0;  // channels
  int kernel = 0, stride = 1;
  int in_height = 0, in_width = 0;
  int out_height = 0, out_width = 0;
  Index weight = 0;  // offset of [out][in][kernel][kernel] in the parameter vector
  Index bias = 0;    // offset of [out]

  constexpr Index weights() const { return Index{out} * in * kernel * kernel; }
  constexpr Index in_size() const { return Index{in} * in_height * in_width; }
  constexpr Index out_size() const { return Index{out} * out_height * out_width; }
  /// Multiply-adds of one pass over one example.
  constexpr Index multiply_adds() const { return Index{out_height} * out_width * weights(); }
  constexpr bool operator==(const Convolution&) const = default;
};

/// Convolutions with tanh, one after the other, the mean over the last map's pixels, a linear layer with a bias.
/// Parameters in PyTorch's order: layer by layer, weight, then bias. Built by NetworkBuilder.
struct NetworkShape {
  static constexpr int kMostConvolutions = 16;

  int channels = 0, height = 0, width = 0;  // of the input
  int convolutions = 0;
  Convolution convolution[kMostConvolutions] = {};
  int pooled = 0;       // channels of the last map: inputs of the linear layer
  int classes = 0;      // K
  Index weight = 0;     // offset of the linear layer's [K][pooled]
  Index bias = 0;       // offset of [K]

  constexpr Index input_size() const { return Index{channels} * height * width; }  // d
  constexpr Index parameters() const { return bias + classes; }                    // p
  constexpr Index pixels() const {
    const Convolution& last = convolution[convolutions - 1];
    return Index{last.out_height} * last.out_width;
  }
  constexpr Index multiply_adds() const {
    Index sum = Index{classes} * pooled;
    for (int l = 0; l < convolutions; ++l) sum += convolution[l].multiply_adds();
    return sum;
  }
  /// The weights of every layer.
  constexpr ParameterRanges regularized() const {
    ParameterRanges ranges;
    for (int l = 0; l < convolutions; ++l) ranges.add(convolution[l].weight, convolution[l].bias);
    ranges.add(weight, bias);
    return ranges;
  }
  constexpr bool operator==(const NetworkShape&) const = default;
};

/// Puts a network together layer by layer. `add` and `finish` expect what fits: a caller that reads a specification
/// asks `fits` first.
class NetworkBuilder {
 public:
  constexpr NetworkBuilder(int channels, int height, int width) {
    shape_.channels = channels_ = channels;
    shape_.height = height_ = height;
    shape_.width = width_ = width;
  }
  /// Whether a kernel of this size has a pixel to stand on, and there is room for one more layer.
  constexpr bool fits(int kernel) const {
    return kernel <= height_ && kernel <= width_ && shape_.convolutions < NetworkShape::kMostConvolutions;
  }
  constexpr NetworkBuilder& add(int out, int kernel, int stride) {
    Convolution& layer = shape_.convolution[shape_.convolutions++];
    layer = {.in = channels_, .out = out, .kernel = kernel, .stride = stride, .in_height = height_, .in_width = width_,
             .out_height = (height_ - kernel) / stride + 1, .out_width = (width_ - kernel) / stride + 1,
             .weight = offset_, .bias = 0};
    layer.bias = offset_ + layer.weights();
    offset_ = layer.bias + out;
    channels_ = out;
    height_ = layer.out_height;
    width_ = layer.out_width;
    return *this;
  }
  constexpr NetworkShape finish(int classes) const {
    NetworkShape shape = shape_;
    shape.pooled = channels_;
    shape.classes = classes;
    shape.weight = offset_;
    shape.bias = offset_ + Index{classes} * channels_;
    return shape;
  }
  constexpr int channels() const { return channels_; }
  constexpr int height() const { return height_; }
  constexpr int width() const { return width_; }

 private:
  NetworkShape shape_;
  int channels_ = 0, height_ = 0, width_ = 0;
  Index offset_ = 0;
};

/// The network of Koh & Liang's section 4.2, from their published code: 28×28 digits, 10 classes.
constexpr NetworkShape paper_network() {
  return NetworkBuilder(1, 28, 28).add(8, 3, 1).add(8, 3, 2).add(8, 3, 1).add(8, 3, 2).add(8, 3, 1).add(10, 1, 1).finish(10);
}
static_assert(paper_network().parameters() == 2616);
static_assert(paper_network().pixels() == 4);
static_assert(paper_network().multiply_adds() == 201156);

}  // namespace clout
