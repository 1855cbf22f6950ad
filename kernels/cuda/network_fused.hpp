#pragma once
// The paper's network on the chip: what a block keeps of one example in shared memory, and the passes over it, layer by
// layer with a barrier between two. Included by network_gradient.cu, network_tangents.cu and network_hessian.cu.

#include <clout/kernels/cuda/network_batch.hpp>
#include <clout/kernels/cuda/network_tiles.hpp>
#include <utility>

namespace clout::cuda::fused {

inline constexpr int kInputs = static_cast<int>(paper_network().input_size());
inline constexpr int kParameters = static_cast<int>(paper_network().parameters());
inline constexpr int kConvolutions = paper_network().convolutions;
inline constexpr int kHead = kConvolutions, kClasses = Layer<kHead>::kOut, kPooled = Layer<kHead>::kIn;
inline constexpr int kPixels = Layer<kHead - 1>::kOutPixels;
static_assert(kClasses <= kWarpSize && kPooled <= kWarpSize);

/// Where map m, 1 … 6, begins: map m is what layer m − 1 writes and layer m reads; map 0 is the input.
constexpr int map_at(int m) {
  Index at = 0;
  for (int l = 0; l + 1 < m; ++l) at += paper_network().convolution[l].out_size();
  return static_cast<int>(at);
}
inline constexpr int kFirstMap = map_at(2), kNumbers = map_at(kConvolutions + 1), kUpperNumbers = kNumbers - kFirstMap;
inline constexpr int kRow = (kPooled + 3) / 4 * 4;

/// One parameter vector and one example's values.
template <class T>
struct alignas(16) Primal {
  T parameters[kParameters];  // θ, weights as [c][u][v][o]
  T input[kInputs];
  T maps[kNumbers];         // h of maps 1 … 6; on the gradient's way back, map 1 becomes δa
  T deltas[kUpperNumbers];  // δa of maps 2 … 6
  T pooled[kRow], probabilities[kRow], residuals[kRow];  // p and the weighted p − e_y
};

/// And one tangent's.
template <class T>
struct alignas(16) Dual {
  Primal<T> primal;
  T vector[kParameters];            // v, as θ
  T bends[kUpperNumbers];           // −2 h δh of maps 2 … 6
  T maps[kNumbers];                 // R{h}; on the way back, map 1 becomes R{δa}
  T deltas[kUpperNumbers];          // R{δa} of maps 2 … 6
  T pooled[kRow], residuals[kRow];  // R{δ} of the logits
};
static_assert(2 * (sizeof(Dual<float>) + 1024) <= 228 * 1024, "two blocks on a multiprocessor");
static_assert(sizeof(Dual<double>) <= 227 * 1024, "more than a block of sm_90 may have");

/// Blocks on a multiprocessor, at least: what the registers of a thread are cut for.
template <class T>
inline constexpr int kBlocksAtOnce = sizeof(T) == 4 ? 2 : 1;

/// Map l as layer l reads it.
template <int l, class T>
__device__ __forceinline__ T* below(Primal<T>& s) {
  if constexpr (l == 0) return s.input;
  else if constexpr (l == kHead) return s.pooled;
  else return s.maps + map_at(l);
}
template <int l, class T>
__device__ __forceinline__ T* below(Dual<T>& s) {
  if constexpr (l == kHead) return s.pooled;
  else return s.maps + map_at(l);
}
/// The deltas above layer l: those of map l + 1.
template <int l, class Storage>
__device__ __forceinline__ auto* deltas_above(Storage& s) {
  if constexpr (l == kHead) return s.residuals;
  else if constexpr (l == 0) return s.maps;
  else return s.deltas + (map_at(l + 1) - kFirstMap);
}

/// Calls work(layer) for layers first … last, down where first > last.
template <int first, int last, class Work>
__device__ __forceinline__ void for_layers(const Work& work) {
  work(std::integral_constant<int, first>());
  if constexpr (first != last) for_layers<first + (first < last ? 1 : -1), last>(work);
}

/// h′ of h = tanh(a).
template <class T>
__device__ __forceinline__ T slope_at(T h) {
  return std::fma(-h, h, T(1));
}

/// A parameter vector into shared memory, weights [o][c][u][v] → [c][u][v][o].
template <class T>
__device__ void load_parameters(const T* source, T* target) {
  for_layers<0, kHead>([&](auto layer) {
    using L = Layer<layer()>;
    constexpr int kOfChannel = L::kIn * L::kTaps;
    const int thread = opaque(thread_in_block());
#pragma unroll 1
    for (int i = thread; i < L::kOut * kOfChannel; i += kBlockThreads)
      target[L::kWeight + i % kOfChannel * L::kOut + i / kOfChannel] = source[L::kWeight + i];
    for (int i = thread; i < L::kOut; i += kBlockThreads) target[L::kBias + i] = source[L::kBias + i];
  });
}

template <class T>
__device__ void load_input(const NetworkBatch<T>& batch, Index example, T* target) {
  for (int i = opaque(thread_in_block()); i < kInputs; i += kBlockThreads) target[i] = batch.features(example, i);
}

// h = tanh(W ∗ h + b) of all maps. Ends with a barrier.
template <class T>
__device__ __forceinline__ void value_of_layer(Primal<T>& s, auto layer) {
  constexpr int l = layer();
  using L = Layer<l>;
  const Factors<T> terms[] = {{s.parameters, below<l>(s)}};
  convolve<l>(terms, [&](int o, int pixel, T sum) {
    s.maps[map_at(l + 1) + o * L::kOutPixels + pixel] = std::tanh(sum + s.parameters[L::kBias + o]);
  });
  __syncthreads();
}

/// The means of the last map, and with them what the linear layer makes of one or two terms, by the first warp: lane c
/// is left with Σ_terms (W h̄)_c, without bias.
template <class T>
__device__ __forceinline__ void pool_map(const T* maps, T* pooled) {
  const int lane = lane_in_warp();
  if (lane < kPooled) {
    T sum = 0;
    for (int i = 0; i < kPixels; ++i) sum += maps[map_at(kHead) + lane * kPixels + i];
    pooled[lane] = sum / kPixels;
  }
  __syncwarp();
}
template <class T>
__device__ __forceinline__ T head_sum(const T* parameters, const T* pooled, T sum) {
  using L = Layer<kHead>;
  if (lane_in_warp() < kClasses)
    for (int c = 0; c < kPooled; ++c)
      sum = std::fma(parameters[L::kWeight + c * kClasses + lane_in_warp()], pooled[c], sum);
  return sum;
}

/// The logit of the lane's class, by one warp; lanes without a class have −∞.
template <class T>
__device__ __forceinline__ T logit_of_lane(Primal<T>& s) {
  const int lane = lane_in_warp();
  pool_map(s.maps, s.pooled);
  return head_sum(s.parameters, s.pooled,
                  lane < kClasses ? s.parameters[Layer<kHead>::kBias + lane] : -std::numeric_limits<T>::infinity());
}

/// p and the weighted δ = p − e_y from the lanes' logits, by one warp; as softmax_residual.
template <class T>
__device__ __forceinline__ void residual_of_lane(Primal<T>& s, T logit, Truth<T> truth, T weight) {
  const int lane = lane_in_warp();
  const T part = std::exp(logit - group_max<kWarpSize>(logit));
  const T others = warp_sum(lane == truth.label ? T(0) : part), own = warp_sum(lane == truth.label ? part : T(0));
  const T sum = own + others, p = part / sum;
  if (lane >= kClasses) return;
  s.probabilities[lane] = p;
  s.residuals[lane] = weight == 0 ? T(0) : weight * truth.residual(lane, p, others / sum);
}

// Forward, and the logits' p and weighted δ. Ends with a barrier.
template <class T>
__device__ __forceinline__ void primal_forward(Primal<T>& s, Truth<T> truth, T weight) {
  for_layers<0, kHead - 1>([&](auto layer) { value_of_layer(s, layer); });
  if (warp_in_block() == 0) residual_of_lane(s, logit_of_lane(s), truth, weight);
  __syncthreads();
}

// finish(number of the last map, Σ Wᵀ δ / pixels over the first kSums terms): δh of the map that is pooled.
template <class T, int kTerms, class Finish>
__device__ __forceinline__ void spread_head(const Factors<T> (&terms)[kTerms], const Finish& finish) {
  const int i = opaque(thread_in_block()), c = i / kPixels;
  if (i >= kPooled * kPixels) return;
  T sum = 0;
#pragma unroll
  for (int term = 0; term < kTerms; ++term)
    for (int k = 0; k < kClasses; ++k)
      sum = std::fma(terms[term].parameters[Layer<kHead>::kWeight + c * kClasses + k], terms[term].map[k], sum);
  finish(map_at(kHead) + i, sum / kPixels);
}

/// Adds a layer's sums to a row of partial sums; every number always by the same thread.
template <class T>
struct RowSums {
  T* row;
  __device__ void operator()(int number, T sum) const { row[number] += sum; }
};

/// Zeros to begin with.
template <class T>
__device__ void clear_row(T* row) {
  for (int i = opaque(thread_in_block()); i < kParameters; i += kBlockThreads) row[i] = 0;
}

/// A partition of the batch: examples [begin, end), which an int can number.
struct Partition {
  int begin, end;
  __device__ Partition(Index each, Index count)
      : begin(static_cast<int>(blockIdx.x * each)), end(static_cast<int>(min(begin + each, count))) {}
};

/// How many partitions `count` examples make when `groups` of blocks share each: about eight blocks for each
/// multiprocessor that a large GPU has, a constant of the problem.
inline Index partitions_of(Index count, Index groups) {
  constexpr Index kBlocks = 1056, kMost = 264, kFewest = 8;
  const Index most = std::clamp(kBlocks / std::max(groups, Index{1}), kFewest, kMost);
  return count == 0 ? 0 : divide_up(count, divide_up(count, most));
}

}  // namespace clout::cuda::fused
