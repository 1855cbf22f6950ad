// The layers of a network of any shape: value, tangent, delta, the delta's tangent, and the parameters' gradient, as
// direct convolutions with a thread for every number (gradients: a warp). Activations go through memory.
#include <clout/kernels/cuda/network_layers.hpp>

namespace clout::cuda {
namespace {

/// The number of a map that is this thread's: example, channel, row, column. (A chunk's maps have fewer than 2³¹.)
struct Place {
  Index example;
  int channel, y, x;
  bool inside;

  __device__ Place(Index examples, int channels, int height, int width) {
    const int thread = static_cast<int>(thread_in_grid()), size = channels * height * width;
    example = thread / size;
    inside = example < examples;
    const int at = thread % size;
    channel = at / (height * width);
    y = at / width % height;
    x = at % width;
  }
};

constexpr int input_at(const Convolution& layer, int c, int y, int x) {
  return (c * layer.in_height + y) * layer.in_width + x;
}
constexpr int output_at(const Convolution& layer, int o, int y, int x) {
  return (o * layer.out_height + y) * layer.out_width + x;
}

/// sum + Σ_c Σ_uv W[o][c][u][v] h[c][s y + u][s x + v]
template <class T>
__device__ T patch_sum(const Convolution& layer, const T* parameters, const T* map, const Place& at, T sum) {
  const T* weight = parameters + layer.weight + Index{at.channel} * layer.in * layer.kernel * layer.kernel;
  for (int c = 0; c < layer.in; ++c)
    for (int u = 0; u < layer.kernel; ++u)
      for (int v = 0; v < layer.kernel; ++v)
        sum = std::fma(*weight++, map[input_at(layer, c, layer.stride * at.y + u, layer.stride * at.x + v)], sum);
  return sum;
}

/// sum + Σ_o Σ_uv W[o][c][u][v] δ[o][(y − u)/s][(x − v)/s], over the pixels that there are.
template <class T>
__device__ T spread_sum(const Convolution& layer, const T* parameters, const T* delta, int c, int y, int x, T sum) {
  const int s = layer.stride;
  for (int u = y % s; u < layer.kernel && u <= y; u += s) {
    const int out_y = (y - u) / s;
    if (out_y >= layer.out_height) continue;
    for (int v = x % s; v < layer.kernel && v <= x; v += s) {
      const int out_x = (x - v) / s;
      if (out_x >= layer.out_width) continue;
      for (int o = 0; o < layer.out; ++o) {
        const Index at = ((Index{o} * layer.in + c) * layer.kernel + u) * layer.kernel + v;
        sum = std::fma(parameters[layer.weight + at], delta[output_at(layer, o, out_y, out_x)], sum);
      }
    }
  }
  return sum;
}

/// h′ of h = tanh(a).
template <class T>
__device__ __forceinline__ T slope(T h) {
  return std::fma(-h, h, T(1));
}

/// Where a thread of the delta kernels stands in the map below, and where that is in the layer's input.
template <class T>
__device__ Place place_below(const Layer<T>& layer) {
  return {layer.examples, layer.shape.in, layer.shape.in_height, layer.shape.in_width * static_cast<int>(layer.pooled)};
}
template <class T>
__device__ T from_above(const Layer<T>& layer, const T* parameters, const T* delta, const Place& at, T sum) {
  return spread_sum(layer.shape, parameters, delta, at.channel, at.y, layer.pooled > 1 ? 0 : at.x, sum);
}

template <class T>
Shape over_maps(const Layer<T>& layer, Index numbers, Index vectors,
                std::source_location where = std::source_location::current()) {
  return {Grid{divide_up(layer.examples * numbers, kThreads), vectors}, kThreads, 0, where};
}

}  // namespace

// h = tanh(W ∗ h + b), along y the vectors.  2F_l flops and out_size tanh per example and vector; reads W and the map
// below from cache, writes the map above.
template <class T>
__global__ void __launch_bounds__(kThreads) layer_value_kernel(Layer<T> layer) {
  const auto& shape = layer.shape;
  const Place at(layer.examples, shape.out, shape.out_height, shape.out_width);
  if (!at.inside) return;
  const Index j = blockIdx.y;
  const T* theta = layer.parameters.row(j);
  const T a = patch_sum(shape, theta, layer.input.value.at(j, at.example), at, theta[shape.bias + at.channel]);
  layer.above.value.at(j, at.example)[output_at(shape, at.channel, at.y, at.x)] = layer.tanh_above ? std::tanh(a) : a;
}

template <class T>
void layer_value(CudaDevice& device, const Layer<T>& layer, Index vectors) {
  launch(device, over_maps(layer, layer.shape.out_size(), vectors), layer_value_kernel<T>, layer);
}

// R{h} = h′ (V ∗ h + W ∗ R{h} + v_b); without v, or without R{h} below, those terms are zero.  4F_l flops.
template <class T>
__global__ void __launch_bounds__(kThreads) layer_tangent_kernel(Layer<T> layer) {
  const auto& shape = layer.shape;
  const Place at(layer.examples, shape.out, shape.out_height, shape.out_width);
  if (!at.inside) return;
  const Index j = blockIdx.y, i = at.example;
  T sum = 0;
  if (layer.vectors.data) {
    const T* v = layer.vectors.row(j);
    sum = patch_sum(shape, v, layer.input.value.at(j, i), at, v[shape.bias + at.channel]);
  }
  if (layer.input.tangent.data) sum = patch_sum(shape, layer.parameters.row(j), layer.input.tangent.at(j, i), at, sum);
  const int number = output_at(shape, at.channel, at.y, at.x);
  if (layer.tanh_above) sum *= slope(layer.above.value.at(j, i)[number]);
  layer.above.tangent.at(j, i)[number] = sum;
}

template <class T>
void layer_tangent(CudaDevice& device, const Layer<T>& layer, Index vectors) {
  launch(device, over_maps(layer, layer.shape.out_size(), vectors), layer_tangent_kernel<T>, layer);
}

// δa = h′ δh, bend = −2 h δh, δh = Wᵀ ∗ δa of the map above, shared among the pixels that were pooled.  2F_l flops.
template <class T>
__global__ void __launch_bounds__(kThreads) layer_delta_kernel(Layer<T> layer) {
  const Place at = place_below(layer);
  if (!at.inside) return;
  const Index j = blockIdx.y, i = at.example, number = thread_in_grid() - i * layer.shape.in_size() * layer.pooled;
  T delta = from_above(layer, layer.parameters.row(j), layer.above.delta.at(j, i), at, T(0));
  if (layer.pooled > 1) delta /= static_cast<T>(layer.pooled);
  if (layer.tanh_below) {
    const T h = layer.below.value.at(j, i)[number];
    if (layer.below.bend.data) layer.below.bend.at(j, i)[number] = -2 * h * delta;
    delta *= slope(h);
  }
  layer.below.delta.at(j, i)[number] = delta;
}

template <class T>
void layer_delta(CudaDevice& device, const Layer<T>& layer, Index vectors) {
  launch(device, over_maps(layer, layer.shape.in_size() * layer.pooled, vectors), layer_delta_kernel<T>, layer);
}

// R{δa} = h′ R{δh} + bend R{h}, R{δh} = Vᵀ ∗ δa + Wᵀ ∗ R{δa}.  4F_l flops.
template <class T>
__global__ void __launch_bounds__(kThreads) layer_delta_tangent_kernel(Layer<T> layer) {
  const Place at = place_below(layer);
  if (!at.inside) return;
  const Index j = blockIdx.y, i = at.example, number = thread_in_grid() - i * layer.shape.in_size() * layer.pooled;
  T sum = from_above(layer, layer.parameters.row(j), layer.above.delta_tangent.at(j, i), at, T(0));
  if (layer.vectors.data && layer.above.delta.data)
    sum = from_above(layer, layer.vectors.row(j), layer.above.delta.at(j, i), at, sum);
  if (layer.pooled > 1) sum /= static_cast<T>(layer.pooled);
  if (layer.tanh_below) {
    sum *= slope(layer.below.value.at(j, i)[number]);
    if (layer.below.bend.data)
      sum = std::fma(layer.below.bend.at(j, i)[number], layer.below.tangent.at(j, i)[number], sum);
  }
  layer.below.delta_tangent.at(j, i)[number] = sum;
}

template <class T>
void layer_delta_tangent(CudaDevice& device, const Layer<T>& layer, Index vectors) {
  launch(device, over_maps(layer, layer.shape.in_size() * layer.pooled, vectors), layer_delta_tangent_kernel<T>, layer);
}

// mean_c = (1/pixels) Σ h[c][…], a thread each.
template <class T>
__global__ void __launch_bounds__(kThreads)
    pool_kernel(Maps<T> map, Maps<T> means, Index channels, Index pixels, Index examples) {
  const Index thread = thread_in_grid(), j = blockIdx.y, i = thread / channels, c = thread - i * channels;
  if (i >= examples) return;
  T sum = 0;
  for (Index pixel = 0; pixel < pixels; ++pixel) sum += map.at(j, i)[c * pixels + pixel];
  means.at(j, i)[c] = sum / static_cast<T>(pixels);
}

template <class T>
void pool(CudaDevice& device, Maps<T> map, Maps<T> means, Index channels, Index pixels, Index examples, Index vectors) {
  launch(device, {Grid{divide_up(examples * channels, kThreads), vectors}}, pool_kernel<T>, map, means, channels,
         pixels, examples);
}

namespace {

/// A parameter of a layer: what its gradient multiplies δa[o][y][x] with is h[c][s y + u][s x + v], or 1 for a bias.
struct Parameter {
  int o, c, u, v;
  bool is_bias;

  __device__ Parameter(const Convolution& layer, int at) : c(0), u(0), v(0) {
    const int square = layer.kernel * layer.kernel, weights = layer.out * layer.in * square;
    is_bias = at >= weights;
    o = is_bias ? at - weights : at / (layer.in * square);
    if (is_bias) return;
    c = at / square % layer.in;
    u = at % square / layer.kernel;
    v = at % layer.kernel;
  }
  template <class T>
  __device__ T patch(const Convolution& layer, const T* map, int y, int x) const {
    return map[input_at(layer, c, layer.stride * y + u, layer.stride * x + v)];
  }
};

/// Products that are added in T before they join a sum in double.
constexpr int kProductsOfLane = 64;

/// One pixel's product for the gradient or its tangent.
template <class T, class Sum>
__device__ T pixel_product(const FilterGradient<T, Sum>& op, const Parameter& parameter, Index j, Index i, int pixel) {
  const auto& shape = op.layer.shape;
  const auto& input = op.layer.input;
  const auto& above = op.layer.above;
  const int y = pixel / shape.out_width, x = pixel % shape.out_width;
  const int at = output_at(shape, parameter.o, y, x);
  const T h = parameter.is_bias ? T(1) : parameter.patch(shape, input.value.at(j, i), y, x);
  if (!op.of_tangents) return above.delta.at(j, i)[at] * h;
  T product = above.delta_tangent.at(j, i)[at] * h;
  if (!parameter.is_bias && input.tangent.data && above.delta.data)
    product = std::fma(above.delta.at(j, i)[at], parameter.patch(shape, input.tangent.at(j, i), y, x), product);
  return product;
}

}  // namespace

// A warp per parameter, vector and group of `each` examples: its lanes share out the pixels of the group.
// 2F_l flops per example, 4F_l with tangents; sums in double beyond kProductsOfLane products.
template <class T, class Sum>
__global__ void __launch_bounds__(kThreads) filter_gradient_kernel(FilterGradient<T, Sum> op) {
  const auto& shape = op.layer.shape;
  const int warp = static_cast<int>(thread_in_grid() / kWarpSize);
  const int each = static_cast<int>(op.each), groups = static_cast<int>(op.layer.examples) / each;
  const int number = warp / groups, group = warp % groups;
  const Index j = blockIdx.y;
  const bool active = number < shape.weights() + shape.out;
  const Parameter parameter(shape, active ? number : 0);
  const int pixels = shape.out_height * shape.out_width, count = active ? each * pixels : 0;
  double sum = 0;
  for (int at = lane_in_warp(); at < count;) {
    T part = 0;
    for (int turn = 0; turn < kProductsOfLane && at < count; ++turn, at += kWarpSize) {
      part += pixel_product(op, parameter, j, group * each + at / pixels, at % pixels);
    }
    sum += static_cast<double>(part);
  }
  sum = warp_sum(sum);
  if (active && lane_in_warp() == 0) {
    Sum& target = op.sums(j * groups + group, shape.weight + number);
    target = static_cast<Sum>(op.adds ? static_cast<double>(target) + sum : sum);
  }
}

template <class T, class Sum>
void filter_gradient(CudaDevice& device, const FilterGradient<T, Sum>& op) {
  const Index warps = (op.layer.shape.weights() + op.layer.shape.out) * (op.layer.examples / op.each);
  launch(device, {Grid{divide_up(warps * kWarpSize, kThreads), op.vectors}}, filter_gradient_kernel<T, Sum>, op);
}

// R{a} of a unit vector is the patch that its parameter multiplies, in its own channel.  A copy: out_size numbers.
template <class T>
__global__ void __launch_bounds__(kThreads) unit_tangent_kernel(Layer<T> layer, Index first) {
  const auto& shape = layer.shape;
  const Place at(layer.examples, shape.out, shape.out_height, shape.out_width);
  if (!at.inside) return;
  const Index j = blockIdx.y, i = at.example;
  const Parameter parameter(shape, static_cast<int>(first + j));
  const int number = output_at(shape, at.channel, at.y, at.x);
  T tangent = 0;
  if (parameter.o == at.channel) {
    tangent = parameter.is_bias ? T(1) : parameter.patch(shape, layer.input.value.at(j, i), at.y, at.x);
    if (layer.tanh_above) tangent *= slope(layer.above.value.at(j, i)[number]);
  }
  layer.above.tangent.at(j, i)[number] = tangent;
}

template <class T>
void unit_tangent(CudaDevice& device, const Layer<T>& layer, Index first, Index vectors) {
  launch(device, over_maps(layer, layer.shape.out_size(), vectors), unit_tangent_kernel<T>, layer, first);
}

template void layer_value(CudaDevice&, const Layer<float>&, Index);
template void layer_tangent(CudaDevice&, const Layer<float>&, Index);
template void layer_delta(CudaDevice&, const Layer<float>&, Index);
template void layer_delta_tangent(CudaDevice&, const Layer<float>&, Index);
template void pool(CudaDevice&, Maps<float>, Maps<float>, Index, Index, Index, Index);
template void unit_tangent(CudaDevice&, const Layer<float>&, Index, Index);
template void layer_value(CudaDevice&, const Layer<double>&, Index);
template void layer_tangent(CudaDevice&, const Layer<double>&, Index);
template void layer_delta(CudaDevice&, const Layer<double>&, Index);
template void layer_delta_tangent(CudaDevice&, const Layer<double>&, Index);
template void pool(CudaDevice&, Maps<double>, Maps<double>, Index, Index, Index, Index);
template void unit_tangent(CudaDevice&, const Layer<double>&, Index, Index);
template void filter_gradient(CudaDevice&, const FilterGradient<float, float>&);
template void filter_gradient(CudaDevice&, const FilterGradient<float, double>&);
template void filter_gradient(CudaDevice&, const FilterGradient<double, double>&);

}  // namespace clout::cuda
