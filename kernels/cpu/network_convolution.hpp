#pragma once
// Convolution, its transpose and its weights' gradient on a group of examples, one example a lane: a map is
// [channels][height][width] of Vector<T>, weights are broadcast. Names as in math.md: a = W ∗ h + b on a layer's input
// h, δ the gradient with respect to a, h′ = 1 − h² of tanh.

#include <clout/kernels/cpu/simd.hpp>
#include <clout/kernels/network.hpp>
#include <span>

namespace clout::cpu {

/// Channels come in tiles of so many, pixels too: of 16 registers, 12 accumulate.
inline constexpr int kTileChannels = kVectorBytes == 64 ? 8 : 4, kTilePixels = 3;

/// first…last−1, of channels and the like.
struct Range {
  int first = 0, last = 0;
};

/// One operand pair of a sum of convolutions (or of transposed ones): weights and the maps they are applied to, of
/// which only `channels` are not zero.
template <class T>
struct ConvolutionTerm {
  const T* weights;  // [out][in][kernel][kernel]
  const T* maps;
  Range channels;
};

/// What becomes of a convolution's result: itself, its tanh or, with the layer's h, R{h} = h′ R{a}, and −2 h R{a} δa
/// where δ is there.
template <class T>
struct StoreTangent {
  T* out;
  const T *h = nullptr, *delta = nullptr;
  T* delta_tangent = nullptr;
  bool activates = false;

  /// use(f), f(index, value) being what is done with each result: the choice is made once for all of a tile.
  template <class Use>
  [[gnu::always_inline]] void choose(const Use& use) const {
    const auto tangent = [this](Index at, Vector<T> value, auto has_delta) __attribute__((always_inline)) {
      at *= kLanes<T>;
      const Vector<T> h_at = load(h + at), product = h_at * value;
      store(out + at, value - h_at * product);
      if constexpr (has_delta) store(delta_tangent + at, T(-2) * product * load(delta + at));
    };
    if (!h) use([this](Index at, Vector<T> value) { store(out + at * kLanes<T>, value); });
    else if (!delta) use([&](Index at, Vector<T> value) { tangent(at, value, std::false_type{}); });
    else use([&](Index at, Vector<T> value) { tangent(at, value, std::true_type{}); });
  }
};

/// What becomes of a transposed convolution's result: itself, or, with the map's h, δa = h′ δh, or R{δa} = h′ R{δh} +
/// what is there, as far as `adds_until`.
template <class T>
struct StoreDelta {
  T* out;
  const T* h = nullptr;
  Index adds_until = 0;

  /// use(f) for results of which `last` has the largest index.
  template <class Use>
  [[gnu::always_inline]] void choose(Index last, const Use& use) const {
    const auto delta = [this](Index at, Vector<T> value, bool adds) __attribute__((always_inline)) {
      T* to = out + at * kLanes<T>;
      const Vector<T> h_at = load(h + at * kLanes<T>);
      value -= h_at * (h_at * value);
      if (adds) value += load(to);
      store(to, value);
    };
    if (!h) use([this](Index at, Vector<T> value) { store(out + at * kLanes<T>, value); });
    else if (last < adds_until) use([&](Index at, Vector<T> value) { delta(at, value, true); });
    else use([&](Index at, Vector<T> value) { delta(at, value, at < adds_until); });
  }
};

/// finish(o·pixels + pixel, a) with a = Σ_terms W ∗ h + b; the bias may be null for 0.
template <class T>
void convolve(const Convolution& layer, std::span<const ConvolutionTerm<T>> terms, const T* bias,
              const StoreTangent<T>& finish);

/// finish(i·pixels + pixel, Σ_terms Wᵀ ∗ δ) for the input channels first_channel and above, a multiple of
/// kTileChannels.
template <class T>
void convolve_transposed(const Convolution& layer, std::span<const ConvolutionTerm<T>> terms, int first_channel,
                         const StoreDelta<T>& finish);

/// sums[o][i][ky][kx] += Σ_pixels δ[o] ⊗ patch(h)[i][ky][kx], lane by lane, for the output channels first_channel and
/// above, a multiple of kTileChannels, and the input channels `in`.
template <class T>
void add_weight_gradient(const Convolution& layer, const T* delta, int first_channel, const T* maps, Range in, T* sums);

/// sums[o] += Σ_pixels δ[o] for the output channels first_channel and above.
template <class T>
void add_bias_gradient(const Convolution& layer, const T* delta, int first_channel, T* sums);

}  // namespace clout::cpu
