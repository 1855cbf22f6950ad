// The paper's network, passes along tangents: the values and deltas of an example are made once, on the chip, and used
// for a group of tangents one after the other.
#include <clout/kernels/cuda/network_dual.hpp>
#include <clout/kernels/cuda/network_paths.hpp>

namespace clout::cuda::fused {

/// What a pass along tangents is for.
enum class Along {
  hessian,       ///< Σ w (∇²ℓ)v
  gauss_newton,  ///< Σ w Jᵀ(diag p − ppᵀ)Jv: the deltas themselves are not needed
  loss,          ///< R{ℓ}: forward only
  input,         ///< ∇ₓ R{ℓ}
};
constexpr bool needs_deltas(Along along) { return along == Along::hessian || along == Along::input; }

constexpr bool sums_up(Along along) { return along == Along::hessian || along == Along::gauss_newton; }

/// k tangents in groups, the batch in partitions.
template <class T>
struct TangentWork {
  NetworkBatch<T> batch;
  MatrixView<const T> parameters;  // [1][p]
  MatrixView<const T> vectors;     // [k][p]
  Index group = 1;                 // tangents of a block
  Index each = 1;                  // examples of a partition
  MatrixView<T> out;               // sums [partitions·k][p], or R{ℓ} [m][k], or ∇ₓR{ℓ} [k][m·d]
};

// R{h} = h′ (V ∗ h + W ∗ R{h} + v_b) of all maps. Ends with a barrier.
template <class T>
__device__ __forceinline__ void tangent_forward(Dual<T>& s) {
  for_layers<0, kHead - 1>([&](auto layer) {
    constexpr int l = layer();
    using L = Layer<l>;
    const auto finish = [&](int o, int pixel, T sum) {
      const int at = map_at(l + 1) + o * L::kOutPixels + pixel;
      s.maps[at] = slope_at(s.primal.maps[at]) * (sum + s.vector[L::kBias + o]);
    };
    if constexpr (l == 0) {
      const Factors<T> terms[] = {{s.vector, s.primal.input}};
      convolve<l>(terms, finish);
    } else {
      const Factors<T> terms[] = {{s.vector, below<l>(s.primal)}, {s.primal.parameters, below<l>(s)}};
      convolve<l>(terms, finish);
    }
    __syncthreads();
  });
}

/// R{a} of the logits, a class per lane of one warp.
template <class T>
__device__ __forceinline__ T logit_tangent_of_lane(Dual<T>& s) {
  const int lane = lane_in_warp();
  pool_map(s.maps, s.pooled);
  const T sum = head_sum(s.vector, s.primal.pooled, lane < kClasses ? s.vector[Layer<kHead>::kBias + lane] : T(0));
  return head_sum(s.primal.parameters, s.pooled, sum);
}

/// R{ℓ} = p·(R{a} − R{a}_y 1), by one warp.
template <class T>
__device__ __forceinline__ T loss_tangent_of_lane(Dual<T>& s, T tangent, int label) {
  const T at_label = warp_sum(lane_in_warp() == label ? tangent : T(0));
  return mean_over_classes(s.primal, tangent - at_label);
}

// From the logits' R{δ} down: R{δa} of every map, and the parameters' sums on the way. Ends without a barrier.
template <Along kAlong, class T>
__device__ __forceinline__ void tangent_backward(Dual<T>& s, const RowSums<T>& add) {
  constexpr DeltaTerms kTerms{needs_deltas(kAlong), needs_deltas(kAlong)};
  constexpr int kProducts = needs_deltas(kAlong) ? 2 : 1;
  for_layers<kHead, 2>([&](auto layer) {
    constexpr int l = layer();
    if constexpr (sums_up(kAlong)) add_gradient_tangent<l>(s, kProducts, add);
    upper_delta_tangent<l, kTerms>(s);
    __syncthreads();
  });
  if constexpr (sums_up(kAlong)) {
    add_gradient_tangent<1>(s, kProducts, add);
    __syncthreads();  // R{h} gives way to R{δa}
  }
  first_delta_tangent<kTerms>(s, [&](int at, T slope, T delta) {
    if constexpr (kAlong == Along::input) s.primal.maps[at] = slope * delta;  // δa: h is made again
  });
  __syncthreads();
  if constexpr (sums_up(kAlong)) add_gradient_tangent<0>(s, 1, add);
}

/// ∇ₓ = V_1ᵀ ∗ δa + W_1ᵀ ∗ R{δa}.
template <class T>
__device__ __forceinline__ void write_input_gradient(Dual<T>& s, T* out) {
  const Factors<T> terms[] = {{s.vector, s.primal.maps}, {s.primal.parameters, s.maps}};
  spread<0, 2>(terms, [&](int, int pixel, T sum, T) { out[pixel] = sum; });
}

// A partition of examples and a group of tangents per block. (4F − 2F₁) flops per example and group, and per tangent
// 12F − 8F₁ + 2F₂ (first map's bends are summed again); reads an example's inputs and v, adds p sums.
template <class T, Along kAlong>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce<T>) tangents_kernel(TangentWork<T> op) {
  auto& s = shared_storage<Dual<T>>();
  const Partition partition(op.each, op.batch.count);
  const int tangents = static_cast<int>(op.vectors.rows), group = static_cast<int>(op.group);
  const int begin = static_cast<int>(blockIdx.y) * group, end = min(begin + group, tangents);
  load_parameters(op.parameters.row(0), s.primal.parameters);
  if constexpr (sums_up(kAlong))
    for (int j = begin; j < end; ++j) clear_row(op.out.row(Index{blockIdx.x} * tangents + j));
#pragma unroll 1
  for (int at = partition.begin; at < partition.end; ++at) {
    const Index example = example_in(op.batch, at);
    __syncthreads();  // x has been used
    load_input(op.batch, example, s.primal.input);
    __syncthreads();
    const Truth<T> truth =
        kAlong == Along::input ? truth_of(op.batch, example, kClasses) : Truth<T>{op.batch.labels[example]};
    primal_forward(s.primal, truth, weight_of(op.batch, Exclusions{}, example, 0));
    if constexpr (needs_deltas(kAlong)) primal_backward(s);
#pragma unroll 1
    for (int j = begin; j < end; ++j) {
      if (kAlong == Along::input && j > begin) value_of_layer(s.primal, std::integral_constant<int, 0>());
      load_parameters(op.vectors.row(j), s.vector);
      __syncthreads();
      tangent_forward(s);
      if (warp_in_block() == 0) {
        const T tangent = logit_tangent_of_lane(s);
        if constexpr (kAlong == Along::loss) {
          const T of_loss = loss_tangent_of_lane(s, tangent, op.batch.labels[example]);
          if (lane_in_warp() == 0) op.out(at, j) = of_loss;
        } else {
          residual_tangent_of_lane(s, tangent, weight_of(op.batch, Exclusions{}, example, 0));
        }
      }
      __syncthreads();
      if constexpr (kAlong == Along::input) {
        tangent_backward<kAlong>(s, RowSums<T>{});
        write_input_gradient(s, op.out.row(j) + Index{at} * kInputs);
      } else if constexpr (sums_up(kAlong)) {
        tangent_backward<kAlong>(s, RowSums<T>{op.out.row(Index{blockIdx.x} * tangents + j)});
      }
      __syncthreads();  // v and the first map's R{δa} have been used
    }
  }
}

namespace {

/// Tangents that share an example's own values, and the most that pass side by side.
constexpr Index kGroup = 8, kMostTangents = 128;

/// How the tangents and the batch of an operation are cut.
struct Cut {
  Index at_once, groups, partitions, each;
  Cut(Index tangents, Index examples)
      : at_once(std::min(tangents, kMostTangents)),
        groups(divide_up(at_once, kGroup)),
        partitions(partitions_of(examples, groups)),
        each(divide_up(examples, std::max(partitions, Index{1}))) {}
};

template <Along kAlong, class T>
void launch_tangents(CudaDevice& device, const TangentWork<T>& op, Index partitions) {
  const Grid grid{partitions, divide_up(op.vectors.rows, op.group)};
  launch(device, {grid, kBlockThreads, sizeof(Dual<T>)}, tangents_kernel<T, kAlong>, op);
}

}  // namespace

template <class T>
void hessian_product(CudaDevice& device, const NetworkHessianProduct<T>& op) {
  const Index tangents = op.vectors.rows;
  const Cut cut(tangents, op.batch.count);
  const MatrixView<T> all(reinterpret_cast<T*>(op.scratch.data()), cut.partitions * cut.at_once, kParameters);
  const auto start =
      op.curvature == Curvature::hessian ? launch_tangents<Along::hessian, T> : launch_tangents<Along::gauss_newton, T>;
  for_each_block(tangents, cut.at_once, [&](Index first, Index count) {
    const auto sums = all.rows_from(0, cut.partitions * count);
    start(device, {op.batch, op.parameters, op.vectors.rows_from(first, count), kGroup, cut.each, sums},
          cut.partitions);
    add_partitions<T, T>(device, {.sums = sums, .scale = op.scale, .out = op.out.rows_from(first, count)});
  });
}

template <class T>
void loss_tangents(CudaDevice& device, const NetworkLossTangents<T>& op) {
  const Cut cut(op.vectors.rows, op.batch.count);
  for_each_block(op.vectors.rows, cut.at_once, [&](Index first, Index count) {
    const MatrixView<T> out(op.out.data + first, op.out.rows, count, op.out.stride);
    launch_tangents<Along::loss, T>(
        device, {unweighted(op.batch), op.parameters, op.vectors.rows_from(first, count), kGroup, cut.each, out},
        cut.partitions);
  });
}

template <class T>
void input_gradients(CudaDevice& device, const NetworkInputGradients<T>& op) {
  const Cut cut(op.vectors.rows, op.batch.count);
  for_each_block(op.vectors.rows, cut.at_once, [&](Index first, Index count) {
    launch_tangents<Along::input, T>(device,
                                     {unweighted(op.batch), op.parameters, op.vectors.rows_from(first, count), kGroup,
                                      cut.each, op.out.rows_from(first, count)},
                                     cut.partitions);
  });
}

template <class T>
std::size_t scratch(const NetworkHessianProduct<T>& op) {
  const Cut cut(op.vectors.rows, op.batch.count);
  return static_cast<std::size_t>(cut.partitions * cut.at_once * kParameters) * sizeof(T);
}
template <class T>
std::size_t scratch(const NetworkLossTangents<T>&) {
  return 0;
}
template <class T>
std::size_t scratch(const NetworkInputGradients<T>&) {
  return 0;
}

template void hessian_product(CudaDevice&, const NetworkHessianProduct<float>&);
template std::size_t scratch(const NetworkHessianProduct<float>&);
template void loss_tangents(CudaDevice&, const NetworkLossTangents<float>&);
template std::size_t scratch(const NetworkLossTangents<float>&);
template void input_gradients(CudaDevice&, const NetworkInputGradients<float>&);
template std::size_t scratch(const NetworkInputGradients<float>&);
template void hessian_product(CudaDevice&, const NetworkHessianProduct<double>&);
template std::size_t scratch(const NetworkHessianProduct<double>&);
template void loss_tangents(CudaDevice&, const NetworkLossTangents<double>&);
template std::size_t scratch(const NetworkLossTangents<double>&);
template void input_gradients(CudaDevice&, const NetworkInputGradients<double>&);
template std::size_t scratch(const NetworkInputGradients<double>&);

}  // namespace clout::cuda::fused
