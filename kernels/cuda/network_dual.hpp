#pragma once
// Along a tangent of the paper's network: what the Hessian's products and its unit vectors share. Included by
// network_tangents.cu and network_hessian.cu.

#include <clout/kernels/cuda/network_fused.hpp>

namespace clout::cuda::fused {

/// Σ_c p_c z_c over the lanes of one warp.
template <class T>
__device__ __forceinline__ T mean_over_classes(const Primal<T>& s, T z) {
  return warp_sum(lane_in_warp() < kClasses ? s.probabilities[lane_in_warp()] * z : T(0));
}

/// R{δ} = w p ∘ (R{a} − (p·R{a})1) of the logits, by one warp.
template <class T>
__device__ __forceinline__ void residual_tangent_of_lane(Dual<T>& s, T tangent, T weight) {
  const int lane = lane_in_warp();
  const T p = lane < kClasses ? s.primal.probabilities[lane] : T(-1);
  const bool is_top = p == group_max<kWarpSize>(p);  // relative to it nothing cancels
  const T relative = tangent - group_max<kWarpSize>(is_top ? tangent : -std::numeric_limits<T>::infinity());
  const T mean = mean_over_classes(s.primal, relative);
  if (lane < kClasses) s.residuals[lane] = weight == 0 ? T(0) : weight * p * (relative - mean);
}

// δa and the bends of maps 6 … 2. Ends with a barrier.
template <class T>
__device__ __forceinline__ void primal_backward(Dual<T>& s) {
  const auto keep = [&](int at, T delta) {
    const T h = s.primal.maps[at];
    s.primal.deltas[at - kFirstMap] = slope_at(h) * delta;
    s.bends[at - kFirstMap] = -2 * h * delta;
  };
  const Factors<T> head[] = {{s.primal.parameters, s.primal.residuals}};
  spread_head(head, keep);
  __syncthreads();
  for_layers<kHead - 1, 2>([&](auto layer) {
    constexpr int l = layer();
    const Factors<T> terms[] = {{s.primal.parameters, deltas_above<l>(s.primal)}};
    spread<l, 1>(terms,
                 [&](int c, int pixel, T delta, T) { keep(map_at(l) + c * Layer<l>::kInPixels + pixel, delta); });
    __syncthreads();
  });
}

/// R{∂W} = Σ R{δa} ⊗ patch(h) + δa ⊗ patch(R{h}) of layer l, or the first term alone.
template <int l, class T>
__device__ __forceinline__ void add_gradient_tangent(Dual<T>& s, int count, const RowSums<T>& add) {
  if constexpr (l > 0) {
    const Products<T> terms[] = {{deltas_above<l>(s), below<l>(s.primal)}, {deltas_above<l>(s.primal), below<l>(s)}};
    sum_products<l>(terms, count, add);
  } else {
    const Products<T> terms[] = {{deltas_above<l>(s), below<l>(s.primal)}};
    sum_products<l>(terms, 1, add);
  }
}

/// Which terms R{δa} = h′ R{δh} + bend R{h}, R{δh} = Vᵀ ∗ δa + Wᵀ ∗ R{δa}, has.
struct DeltaTerms {
  bool vector;  // Vᵀ ∗ δa: v is not zero here
  bool bend;    // the network's own curvature: not for the Gauss-Newton matrix
};

/// R{δa} of map l ≥ 2 from the map above.
template <int l, DeltaTerms kTerms, class T>
__device__ __forceinline__ void upper_delta_tangent(Dual<T>& s) {
  const auto finish = [&](int at, T sum) {
    const T straight = slope_at(s.primal.maps[at]) * sum;
    s.deltas[at - kFirstMap] = kTerms.bend ? std::fma(s.bends[at - kFirstMap], s.maps[at], straight) : straight;
  };
  const auto finish_map = [&](int c, int pixel, T sum, T) { finish(map_at(l) + c * Layer<l>::kInPixels + pixel, sum); };
  const Factors<T> straight{s.primal.parameters, deltas_above<l>(s)};
  if constexpr (kTerms.vector) {
    const Factors<T> terms[] = {{s.vector, deltas_above<l>(s.primal)}, straight};
    if constexpr (l == kHead) spread_head(terms, finish);
    else spread<l, 2>(terms, finish_map);
  } else {
    const Factors<T> terms[] = {straight};
    if constexpr (l == kHead) spread_head(terms, finish);
    else spread<l, 1>(terms, finish_map);
  }
}

/// R{δa} of the first map in the place of R{h}. Its own bend is not kept but summed beside the tangent;
/// finish(place, h′, δh) is called for every number.
template <DeltaTerms kTerms, class T, class Finish>
__device__ __forceinline__ void first_delta_tangent(Dual<T>& s, const Finish& finish) {
  const auto write = [&](int c, int pixel, T sum, T delta) {
    const int at = c * Layer<1>::kInPixels + pixel;
    const T h = s.primal.maps[at], slope = slope_at(h);
    s.maps[at] = kTerms.bend ? std::fma(-2 * h * s.maps[at], delta, slope * sum) : slope * sum;
    finish(at, slope, delta);
  };
  const Factors<T> straight{s.primal.parameters, deltas_above<1>(s)};
  const Factors<T> value{s.primal.parameters, deltas_above<1>(s.primal)};
  if constexpr (kTerms.vector) {
    const Factors<T> terms[] = {{s.vector, value.map}, straight, value};
    spread<1, 2>(terms, write);
  } else if constexpr (kTerms.bend) {
    const Factors<T> terms[] = {straight, value};
    spread<1, 1>(terms, write);
  } else {
    const Factors<T> terms[] = {straight};
    spread<1, 1>(terms, write);
  }
}

}  // namespace clout::cuda::fused
