#pragma once
// The convolutions of one network known at compile time, by the threads of a block on maps in shared memory: sums over
// patches (value and tangent), their transpose (deltas), and sums over pixels (parameters' gradients). Each thread has
// a tile of sums in registers; where there are more threads than tiles, neighbouring lanes share out a tile's sum.

#include <clout/kernels/cuda/device_code.hpp>
#include <clout/kernels/network.hpp>
#include <cmath>

namespace clout::cuda::fused {

inline constexpr int kBlockThreads = 256;

/// Layer l of the paper's network; the linear layer comes last, as a 1×1 convolution of the pooled map.
template <int l>
struct Layer {
  static constexpr NetworkShape kNetwork = paper_network();
  static constexpr bool kIsHead = l == kNetwork.convolutions;
  static constexpr Convolution kShape = kNetwork.convolution[kIsHead ? 0 : l];
  static constexpr int kIn = kIsHead ? kNetwork.pooled : kShape.in, kOut = kIsHead ? kNetwork.classes : kShape.out;
  static constexpr int kKernel = kIsHead ? 1 : kShape.kernel, kTaps = kKernel * kKernel;
  static constexpr int kStride = kIsHead ? 1 : kShape.stride;
  static constexpr int kInHeight = kIsHead ? 1 : kShape.in_height, kInWidth = kIsHead ? 1 : kShape.in_width;
  static constexpr int kOutHeight = kIsHead ? 1 : kShape.out_height, kOutWidth = kIsHead ? 1 : kShape.out_width;
  static constexpr int kWeight = static_cast<int>(kIsHead ? kNetwork.weight : kShape.weight);
  static constexpr int kBias = static_cast<int>(kIsHead ? kNetwork.bias : kShape.bias);
  static constexpr int kInPixels = kInHeight * kInWidth, kOutPixels = kOutHeight * kOutWidth;
};

/// How a layer's sums are cut for convolve(): a thread has all output channels of `run` neighbouring pixels; `lanes`
/// threads share out the input channels.
struct PatchTile {
  int run, lanes;
};
inline constexpr PatchTile kPatchTiles[] = {{3, 1}, {3, 4}, {2, 4}, {1, 8}, {1, 8}, {1, 8}};

/// For spread(): `channels` input channels of `run` neighbouring cells of stride × stride pixels; the lanes share out
/// the output channels.
struct SpreadTile {
  int channels, run, lanes;
};
inline constexpr SpreadTile kSpreadTiles[] = {{1, 4, 1}, {2, 2, 1}, {8, 3, 4}, {4, 1, 4}, {4, 1, 4}, {2, 1, 4}};

/// For sum_products(): all taps of `channels` output channels and one input channel; the lanes share out the pixels, as
/// `down` × `across` slabs, `run` neighbouring pixels at a time. `unrolled`: rows whose loads may be shared.
struct ProductTile {
  int channels, down, across, run, unrolled;
};
inline constexpr ProductTile kProductTiles[] = {{1, 1, 32, 1, 13}, {4, 4, 4, 1, 1}, {2, 4, 2, 5, 1}, {2, 4, 2, 2, 1},
                                                {2, 2, 2, 1, 1},   {2, 2, 2, 1, 1}, {2, 1, 1, 1, 1}};

constexpr int ceiling(int value, int by) { return (value + by - 1) / by; }

/// Neighbouring numbers that are loaded at once.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Together {
  T value[kWidth];
};

/// What sum_over_lanes leaves to a lane of kCount sums: kOwn of them, the same as kTwins − 1 of its neighbours.
template <int kLanes, int kCount>
struct LaneShare {
  static constexpr bool kHalves = kLanes > 1 && kCount % 2 == 0;
  using Next = LaneShare<kLanes / 2, kCount / (kHalves ? 2 : 1)>;
  static constexpr int kOwn = Next::kOwn, kTwins = kHalves ? Next::kTwins : 2 * Next::kTwins;
};
template <int kCount>
struct LaneShare<1, kCount> {
  static constexpr int kOwn = kCount, kTwins = 1;
};

/// Sums kCount values over kLanes neighbouring lanes: halves change hands as long as there are halves, then each lane
/// gets all. The lane's own sums stand at the front of `values`; the number of the first of them is returned.
template <int kLanes, int kCount, class T, int kSize>
__device__ __forceinline__ int sum_over_lanes(T (&values)[kSize], int first = 0) {
  if constexpr (kLanes == 1) {
    return first;
  } else if constexpr (kCount % 2 == 0) {
    constexpr int kHalf = kCount / 2;
    const bool upper = (lane_in_warp() & (kLanes / 2)) != 0;
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const T given = upper ? values[i] : values[i + kHalf], kept = upper ? values[i + kHalf] : values[i];
      values[i] = kept + shuffle_xor(given, kLanes / 2);
    }
    return sum_over_lanes<kLanes / 2, kHalf>(values, upper ? first + kHalf : first);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] += shuffle_xor(values[i], kLanes / 2);
    return sum_over_lanes<kLanes / 2, kCount>(values, first);
  }
}

/// Calls work(unit, lane, active) until all of kUnits tiles are done, kLanes lanes each: by whole warps, so that all
/// lanes meet the shuffles; lanes without a tile get the last one and must not write.
template <int kUnits, int kLanes, class Work>
__device__ __forceinline__ void for_each_tile(const Work& work) {
  const int thread = opaque(thread_in_block());
#pragma unroll 1
  for (int base = 0; base + thread / kWarpSize * kWarpSize / kLanes < kUnits; base += kBlockThreads / kLanes) {
    const int unit = base + thread / kLanes;
    work(unit < kUnits ? unit : kUnits - 1, thread % kLanes, unit < kUnits);
  }
}

/// One factor pair of a sum: parameters [c][u][v][o] of all layers, and the map that they meet.
template <class T>
struct Factors {
  const T* parameters;
  const T* map;
};

/// Term number `i` of one or two: a choice, where an index would put the terms into local memory.
template <class Term, int kTerms>
__device__ __forceinline__ Term chosen(const Term (&terms)[kTerms], int i) {
  static_assert(kTerms <= 2);
  return i == 0 ? terms[0] : terms[kTerms - 1];
}

/// sums[o][run] += Σ_uv W[o][c][u][v] h[c][s y + u][s x + v] for one input channel, whose weights and map these are.
template <class L, int kRun, class T>
__device__ __forceinline__ void add_patches(const T* weights, const T* map, T (&sums)[L::kOut * kRun]) {
  constexpr int kWidth = L::kOut % (16 / sizeof(T)) == 0 ? 16 / sizeof(T) : 2,
                kSegment = (kRun - 1) * L::kStride + L::kKernel;
#pragma unroll 1
  for (int u = 0; u < L::kKernel; ++u) {
    T segment[kSegment];
#pragma unroll
    for (int x = 0; x < kSegment; ++x) segment[x] = map[u * L::kInWidth + x];
#pragma unroll
    for (int v = 0; v < L::kKernel; ++v)
#pragma unroll
      for (int o = 0; o < L::kOut; o += kWidth) {
        const auto weight = *reinterpret_cast<const Together<T, kWidth>*>(weights + (u * L::kKernel + v) * L::kOut + o);
#pragma unroll
        for (int w = 0; w < kWidth; ++w)
#pragma unroll
          for (int x = 0; x < kRun; ++x) {
            T& sum = sums[(o + w) * kRun + x];
            sum = std::fma(weight.value[w], segment[x * L::kStride + v], sum);
          }
      }
  }
}

// finish(o, pixel, Σ_terms W ∗ h) for every number of layer l's map.  F_l multiply-adds per term.
template <int l, int kTerms, class T, class Finish>
__device__ __forceinline__ void convolve(const Factors<T> (&terms)[kTerms], const Finish& finish) {
  using L = Layer<l>;
  constexpr int kRun = kPatchTiles[l].run, kLanes = kPatchTiles[l].lanes, kRuns = ceiling(L::kOutWidth, kRun);
  using Share = LaneShare<kLanes, L::kOut * kRun>;
  for_each_tile<L::kOutHeight * kRuns, kLanes>([&](int unit, int lane, bool active) {
    const int y = unit / kRuns, own_x = unit % kRuns * kRun;
    const int x = own_x < L::kOutWidth - kRun ? own_x : L::kOutWidth - kRun;  // the last run may overlap the one before
    T sums[L::kOut * kRun] = {};
#pragma unroll 1
    for (int term = 0; term < kTerms; ++term) {
      const auto [parameters, map] = chosen(terms, term);
#pragma unroll 1
      for (int c = lane; c < L::kIn; c += kLanes)
        add_patches<L, kRun>(parameters + L::kWeight + c * L::kTaps * L::kOut,
                             map + (c * L::kInHeight + L::kStride * y) * L::kInWidth + L::kStride * x, sums);
    }
    const int first = sum_over_lanes<kLanes, L::kOut * kRun>(sums);
    if (!active || lane % Share::kTwins != 0) return;
#pragma unroll
    for (int i = 0; i < Share::kOwn; ++i) {
      const int o = (first + i) / kRun, at = x + (first + i) % kRun;
      if (at >= own_x) finish(o, y * L::kOutWidth + at, sums[i]);
    }
  });
}

/// Two output channels of a row of δ, from column `x` on: zeros where there is no pixel.
template <class L, int kCount, class T>
__device__ __forceinline__ void load_deltas(const T* row, int x, T (&values)[2][kCount]) {
#pragma unroll
  for (int o = 0; o < 2; ++o)
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      values[o][i] = x + i >= 0 && x + i < L::kOutWidth ? row[o * L::kOutPixels + x + i] : T(0);
}

/// sums[c][run][a][b] += Σ_o W[o][c][u][v] δ[o][q − t][r − t′] over two output channels and one row of δ, with
/// u = s t + a, v = s t′ + b: the cell's pixel (s q + a, s r + b). `weights` are those of the first channel.
template <class L, int kChannels, int kRun, int kColumns, class T, int kCount>
__device__ __forceinline__ void add_spread(const T* weights, int t, const T (&deltas)[2][kColumns], T (&sums)[kCount]) {
  constexpr int s = L::kStride, kReach = kColumns - kRun;
#pragma unroll
  for (int c = 0; c < kChannels; ++c)
#pragma unroll
    for (int a = 0; a < s; ++a)
#pragma unroll
      for (int v = 0; v < L::kKernel; ++v) {
        if (s * t + a >= L::kKernel) continue;
        const auto weight =
            *reinterpret_cast<const Together<T, 2>*>(weights + (c * L::kTaps + (s * t + a) * L::kKernel + v) * L::kOut);
#pragma unroll
        for (int run = 0; run < kRun; ++run) {
          T& sum = sums[((c * kRun + run) * s + a) * s + v % s];
          sum = std::fma(weight.value[0], deltas[0][run + kReach - v / s], sum);
          sum = std::fma(weight.value[1], deltas[1][run + kReach - v / s], sum);
        }
      }
}

// finish(c, pixel, Σ Wᵀ ∗ δ over the first kSums terms, the same over the others) for every number of the map below
// layer l. Stride 2 by parity: the four pixels of a cell meet 4, 2, 2 and 1 of the 9 taps, all cells the same.
// F_l multiply-adds per term.
template <int l, int kSums, int kTerms, class T, class Finish>
__device__ __forceinline__ void spread(const Factors<T> (&terms)[kTerms], const Finish& finish) {
  using L = Layer<l>;
  constexpr int kChannels = kSpreadTiles[l].channels, kRun = kSpreadTiles[l].run, kLanes = kSpreadTiles[l].lanes;
  constexpr int s = L::kStride, kReach = ceiling(L::kKernel, s) - 1, kColumns = kRun + kReach;
  constexpr int kRuns = ceiling(ceiling(L::kInWidth, s), kRun), kRows = ceiling(L::kInHeight, s);
  constexpr int kCount = kChannels * kRun * s * s, kGroups = L::kIn / kChannels;
  using Share = LaneShare<kLanes, kCount>;
  for_each_tile<kGroups * kRows * kRuns, kLanes>([&](int unit, int lane, bool active) {
    const int c = unit / (kRows * kRuns) * kChannels, q = unit / kRuns % kRows, r = unit % kRuns * kRun;
    T sums[2][kCount] = {};
#pragma unroll 1
    for (int o = 2 * lane; o < L::kOut; o += 2 * kLanes)
#pragma unroll 1
      for (int t = 0; t <= kReach; ++t) {
        if (q < t || q - t >= L::kOutHeight) continue;
#pragma unroll
        for (int term = 0; term < kTerms; ++term) {
          T deltas[2][kColumns];
          load_deltas<L>(terms[term].map + o * L::kOutPixels + (q - t) * L::kOutWidth, r - kReach, deltas);
          add_spread<L, kChannels, kRun>(terms[term].parameters + L::kWeight + c * L::kTaps * L::kOut + o, t, deltas,
                                         sums[term < kSums ? 0 : 1]);
        }
      }
    const int first = sum_over_lanes<kLanes, kCount>(sums[0]);
    if constexpr (kTerms > kSums) sum_over_lanes<kLanes, kCount>(sums[1]);
    if (!active || lane % Share::kTwins != 0) return;
#pragma unroll
    for (int i = 0; i < Share::kOwn; ++i) {
      const int at = first + i, b = at % s, a = at / s % s, run = at / (s * s) % kRun;
      const int y = s * q + a, x = s * (r + run) + b;
      if (y < L::kInHeight && x < L::kInWidth)
        finish(c + at / (s * s * kRun), y * L::kInWidth + x, sums[0][i], sums[1][i]);
    }
  });
}

/// sums[o][tap] += Σ δ[o][y][x] h[c][s y + u][s x + v] over kCount pixels of one row; the last of the taps is the bias.
template <class L, int kCount, class T, int kChannels>
__device__ __forceinline__ void add_products(const T* deltas, const T* map, bool inside, bool with_bias,
                                             T (&sums)[kChannels * (L::kTaps + 1)]) {
  constexpr int kSegment = (kCount - 1) * L::kStride + L::kKernel;
  T delta[kChannels][kCount];
#pragma unroll
  for (int o = 0; o < kChannels; ++o)
#pragma unroll
    for (int x = 0; x < kCount; ++x) {
      delta[o][x] = inside ? deltas[o * L::kOutPixels + x] : T(0);
      if (with_bias) sums[o * (L::kTaps + 1) + L::kTaps] += delta[o][x];
    }
#pragma unroll
  for (int u = 0; u < L::kKernel; ++u) {
    T segment[kSegment];
#pragma unroll
    for (int x = 0; x < kSegment; ++x) segment[x] = map[u * L::kInWidth + x];
#pragma unroll
    for (int o = 0; o < kChannels; ++o)
#pragma unroll
      for (int v = 0; v < L::kKernel; ++v)
#pragma unroll
        for (int x = 0; x < kCount; ++x) {
          T& sum = sums[o * (L::kTaps + 1) + u * L::kKernel + v];
          sum = std::fma(delta[o][x], segment[x * L::kStride + v], sum);
        }
  }
}

/// A sum over pixels: δ, and the map h whose patches it multiplies.
template <class T>
struct Products {
  const T* deltas;
  const T* map;
};

// finish(number of the parameter, Σ Σ_pixels δ ⊗ patch(h)) over the first `count` terms for layer l's parameters;
// the biases' are of the first term alone.  F_l multiply-adds per term.
template <int l, int kTerms, class T, class Finish>
__device__ __forceinline__ void sum_products(const Products<T> (&terms)[kTerms], int count, const Finish& finish) {
  using L = Layer<l>;
  constexpr ProductTile kTile = kProductTiles[l];
  constexpr int kColumns = ceiling(L::kOutWidth, kTile.across), kRows = ceiling(L::kOutHeight, kTile.down);
  static_assert(L::kOutWidth % kColumns == 0, "a slab is all inside, or outside");
  constexpr int kLanes = kTile.down * kTile.across, kGroups = L::kOut / kTile.channels;
  constexpr int kCount = kTile.channels * (L::kTaps + 1);
  using Share = LaneShare<kLanes, kCount>;
  for_each_tile<kGroups * L::kIn, kLanes>([&](int unit, int lane, bool active) {
    const int c = unit / kGroups, o = unit % kGroups * kTile.channels;
    const int slab_x = lane % kTile.across * kColumns, first_y = lane / kTile.across * kRows;
    const bool is_across = slab_x < L::kOutWidth;
    const int x = is_across ? slab_x : 0;
    T sums[kCount] = {};
#pragma unroll 1
    for (int term = 0; term < count; ++term) {
      const auto [deltas, map] = chosen(terms, term);
#pragma unroll(kTile.unrolled)
      for (int row = 0; row < kRows; ++row) {
        const bool inside = is_across && first_y + row < L::kOutHeight;
        const int y = inside ? first_y + row : 0;
#pragma unroll 1
        for (int run = x; run < x + kColumns; run += kTile.run)
          add_products<L, kTile.run, T, kTile.channels>(
              deltas + o * L::kOutPixels + y * L::kOutWidth + run,
              map + (c * L::kInHeight + L::kStride * y) * L::kInWidth + L::kStride * run, inside, term == 0, sums);
      }
    }
    const int first = sum_over_lanes<kLanes, kCount>(sums);
    if (!active || lane % Share::kTwins != 0) return;
#pragma unroll
    for (int i = 0; i < Share::kOwn; ++i) {
      const int channel = o + (first + i) / (L::kTaps + 1), tap = (first + i) % (L::kTaps + 1);
      if (tap < L::kTaps) finish(L::kWeight + (channel * L::kIn + c) * L::kTaps + tap, sums[i]);
      else if (c == 0) finish(L::kBias + channel, sums[i]);
    }
  });
}

}  // namespace clout::cuda::fused
