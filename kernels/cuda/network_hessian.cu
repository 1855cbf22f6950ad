// The paper's network, explicit Hessian: the values and deltas of an example are made once, on the chip, and unit
// vectors go through the layers where their tangents are not zero.
#include <clout/kernels/cuda/network_dual.hpp>
#include <clout/kernels/cuda/network_paths.hpp>

namespace clout::cuda::fused {

/// Unit vectors of one layer in groups, the batch in partitions.
template <class T>
struct UnitWork {
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  int layer = 0;                   // whose parameters the units are
  int first = 0, count = 0;        // of them, from the layer's first weight
  int group = 1;                   // units of a block
  Index each = 1;                  // examples of a partition
  MatrixView<T> sums;              // [partitions·count][p], numbers of this layer and those above
};

/// A layer's parameter: R{a} of its unit vector is the patch that it multiplies, in its own channel.
template <int l>
struct Unit {
  using L = Layer<l>;
  int channel, c = 0, u = 0, v = 0;
  bool is_bias;

  __device__ explicit Unit(int number) : is_bias(number >= L::kOut * L::kIn * L::kTaps) {
    channel = is_bias ? number - L::kOut * L::kIn * L::kTaps : number / (L::kIn * L::kTaps);
    if (is_bias) return;
    c = number / L::kTaps % L::kIn;
    u = number % L::kTaps / L::kKernel;
    v = number % L::kKernel;
  }
  template <class T>
  __device__ T patch(const T* map, int pixel) const {
    const int y = L::kStride * (pixel / L::kOutWidth) + u, x = L::kStride * (pixel % L::kOutWidth) + v;
    return is_bias ? T(1) : map[c * L::kInPixels + y * L::kInWidth + x];
  }
};

/// R{h} of the map above the unit's layer: out_size numbers, nothing is multiplied but by h′.
template <int l, class T>
__device__ __forceinline__ void unit_map(Dual<T>& s, int number) {
  using L = Layer<l>;
  const Unit<l> unit(number);
  for (int i = opaque(thread_in_block()); i < L::kOut * L::kOutPixels; i += kBlockThreads) {
    const int at = map_at(l + 1) + i;
    const bool own = i / L::kOutPixels == unit.channel;
    s.maps[at] = own ? slope_at(s.primal.maps[at]) * unit.patch(below<l>(s.primal), i % L::kOutPixels) : T(0);
  }
}

// R{h} of all maps above layer `from`: R{h} = h′ W ∗ R{h}. Ends with a barrier.
template <class T>
__device__ __forceinline__ void unit_forward(Dual<T>& s, int from, int number) {
  for_layers<0, kHead - 1>([&](auto layer) {
    constexpr int l = layer();
    if (l < from) return;
    if (l == from) unit_map<l>(s, number);
    if constexpr (l > 0) {
      const Factors<T> terms[] = {{s.primal.parameters, below<l>(s)}};
      if (l > from)
        convolve<l>(terms, [&](int o, int pixel, T sum) {
          const int at = map_at(l + 1) + o * Layer<l>::kOutPixels + pixel;
          s.maps[at] = slope_at(s.primal.maps[at]) * sum;
        });
    }
    __syncthreads();
  });
}

/// R{a} of the logits, a class per lane of one warp.
template <class T>
__device__ __forceinline__ T unit_logit_of_lane(Dual<T>& s, int from, int number) {
  if (from == kHead) {
    const Unit<kHead> unit(number);
    return lane_in_warp() == unit.channel ? unit.is_bias ? T(1) : s.primal.pooled[unit.c] : T(0);
  }
  pool_map(s.maps, s.pooled);
  return head_sum(s.primal.parameters, s.pooled, T(0));
}

// From the logits' R{δ} down to layer `from`: of its own tangents only R{δa} ⊗ patch(h) is not zero. Ends without a
// barrier.
template <class T>
__device__ __forceinline__ void unit_backward(Dual<T>& s, int from, const RowSums<T>& add) {
  constexpr DeltaTerms kTerms{false, true};
  for_layers<kHead, 2>([&](auto layer) {
    constexpr int l = layer();
    if (l < from) return;
    add_gradient_tangent<l>(s, l == from ? 1 : 2, add);
    if (l > from) upper_delta_tangent<l, kTerms>(s);
    __syncthreads();
  });
  if (from > 1) return;
  add_gradient_tangent<1>(s, from == 1 ? 1 : 2, add);
  if (from == 1) return;
  __syncthreads();  // R{h} gives way to R{δa}
  first_delta_tangent<kTerms>(s, [](int, T, T) {});
  __syncthreads();
  add_gradient_tangent<0>(s, 1, add);
}

// A partition of examples and a group of units of layer l per block. (4F − 2F₁) flops per example and group, and
// 2F_l + 8 Σ_{m>l} F_m per unit (2F₂ more for those of the first layer).
template <class T>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce<T>) hessian_kernel(UnitWork<T> op) {
  auto& s = shared_storage<Dual<T>>();
  const Partition partition(op.each, op.batch.count);
  const int begin = static_cast<int>(blockIdx.y) * op.group, end = min(begin + op.group, op.count);
  load_parameters(op.parameters.row(0), s.primal.parameters);
  for (int j = begin; j < end; ++j) clear_row(op.sums.row(Index{blockIdx.x} * op.count + j));
#pragma unroll 1
  for (int at = partition.begin; at < partition.end; ++at) {
    const Index example = example_in(op.batch, at);
    const T weight = weight_of(op.batch, Exclusions{}, example, 0);
    __syncthreads();  // x has been used
    load_input(op.batch, example, s.primal.input);
    __syncthreads();
    primal_forward(s.primal, truth_of(op.batch, example, kClasses), weight);
    primal_backward(s);
#pragma unroll 1
    for (int j = begin; j < end; ++j) {
      unit_forward(s, op.layer, op.first + j);
      if (warp_in_block() == 0) residual_tangent_of_lane(s, unit_logit_of_lane(s, op.layer, op.first + j), weight);
      __syncthreads();
      unit_backward(s, op.layer, RowSums<T>{op.sums.row(Index{blockIdx.x} * op.count + j)});
      __syncthreads();  // the tangents have been used
    }
  }
}

namespace {

/// Units that share an example's own values, and the most that pass side by side.
constexpr int kGroup = 16, kMostUnits = 128;

/// Half as many blocks as a product's tangents make: the sums' rows stay below 256 MiB.
Index partitions_for_units(Index examples) { return partitions_of(examples, 2 * (kMostUnits / kGroup)); }

template <class T>
void hessian_of_layer(CudaDevice& device, const NetworkHessian<T>& op, int layer, const Convolution& shape) {
  const Index partitions = partitions_for_units(op.batch.count);
  for_each_block(shape.weights() + shape.out, kMostUnits, [&](Index first, Index count) {
    const MatrixView<T> sums(reinterpret_cast<T*>(op.scratch.data()), partitions * count, kParameters);
    const UnitWork<T> work{op.batch,
                           op.parameters,
                           layer,
                           static_cast<int>(first),
                           static_cast<int>(count),
                           kGroup,
                           divide_up(op.batch.count, std::max(partitions, Index{1})),
                           sums};
    launch(device, {Grid{partitions, divide_up(count, kGroup)}, kBlockThreads, sizeof(Dual<T>)}, hessian_kernel<T>,
           work);
    hessian_rows<T, T>(device, {sums, count, shape.weight + first, op.scale, op.out});
  });
}

}  // namespace

template <class T>
void hessian(CudaDevice& device, const NetworkHessian<T>& op) {
  for (int l = 0; l < kHead; ++l) hessian_of_layer(device, op, l, op.shape.convolution[l]);
  hessian_of_layer(device, op, kHead, head_of(op.shape));
}

template <class T>
std::size_t scratch(const NetworkHessian<T>& op) {
  return static_cast<std::size_t>(partitions_for_units(op.batch.count) * kMostUnits * kParameters) * sizeof(T);
}

template void hessian(CudaDevice&, const NetworkHessian<float>&);
template void hessian(CudaDevice&, const NetworkHessian<double>&);
template std::size_t scratch(const NetworkHessian<float>&);
template std::size_t scratch(const NetworkHessian<double>&);

}  // namespace clout::cuda::fused
