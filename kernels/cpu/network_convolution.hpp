#pragma once
// Convolution, its transpose and its weights' gradient on a group of examples, one example a lane: a map is
// [channels][height][width] of Vector<T>, weights are broadcast. Each is a loop over tiles that stay in registers.
// Names as in math.md: a = W ∗ h + b on layer's input h, δ the gradient with respect to a.

#include <algorithm>
#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/network_geometry.hpp>
#include <span>

namespace clout::cpu {

/// A tile is so many channels by so many pixels: of 16 registers, 12 accumulate.
inline constexpr int kTileChannels = kVectorBytes == 64 ? 8 : 4, kTilePixels = 3;

/// Channels first…last−1.
struct Channels {
  int first = 0, last = 0;
};

/// One operand pair of a sum of convolutions (or of transposed ones): weights and the maps they are applied to, of
/// which only `channels` are not zero.
template <class T>
struct ConvolutionTerm {
  const T* weights;  // [out][in][kernel][kernel]
  const T* maps;
  Channels channels;
};

/// body(first, std::integral_constant<int, width>) over 0…size−1 in tiles of at most Limit, widths differing by one at
/// most; where the compiler knows `size`, it knows the widths.
template <int Limit, class Body>
[[gnu::always_inline]] inline void for_even_tiles(int size, Body&& body) {
  if (size <= 0) return;
  const int tiles = (size + Limit - 1) / Limit, width = size / tiles, wider = size % tiles;
  const int start = wider * (width + 1);
  if (wider > 0)
    with_constant<Limit>(width + 1, [&](auto constant) {
      for (int first = 0; first < start; first += constant) body(first, constant);
    });
  with_constant<Limit>(width, [&](auto constant) {
    for (int first = start; first < size; first += constant) body(first, constant);
  });
}

template <class T, int Rows, int Columns>
struct PixelTile {
  Vector<T> sum[Rows][Columns];

  /// sum[r][c] = bias[r], or 0 without.
  [[gnu::always_inline]] void start(const T* bias) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector<T> value = bias ? broadcast(bias[r]) : Vector<T>{};
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) sum[r][c] = value;
    }
  }
  /// sum[r][c] += weights[r·weight_step] · maps[c·pixel_step].
  [[gnu::always_inline]] void multiply_add(const T* weights, Index weight_step, const T* maps, Index pixel_step) {
    Vector<T> pixel[Columns];
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) pixel[c] = load(maps + c * pixel_step);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector<T> weight = broadcast(weights[r * weight_step]);
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) sum[r][c] += weight * pixel[c];
    }
  }
  /// sum[r][c] += left[r·left_step] · right[c][at].
  [[gnu::always_inline]] void multiply_add(const T* left, Index left_step, const T* const (&right)[Columns], Index at) {
    Vector<T> pixel[Columns];
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) pixel[c] = load(right[c] + at);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector<T> value = load(left + r * left_step);
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) sum[r][c] += value * pixel[c];
    }
  }
  /// finish(index, sum[r][c]), index = first + r·row_step + c·column_step.
  template <class Finish>
  [[gnu::always_inline]] void finish(const Finish& finish, Index first, Index row_step, Index column_step) const {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) finish(first + r * row_step + c * column_step, sum[r][c]);
  }
};

/// finish(o·pixels + pixel, a) with a = Σ_terms W ∗ h + b for the output channels `out`.
template <class T, class Geometry, class Finish>
[[gnu::noinline]] void convolve(const Geometry& g, std::span<const ConvolutionTerm<T>> terms, const T* bias,
                                Channels out, const Finish& finish) {
  const Index in_map = Index{g.in_height} * g.in_width, out_map = Index{g.out_height} * g.out_width;
  const Index taps = Index{g.kernel} * g.kernel, filter = g.in * taps;
  const auto tile_at = [&](int o, int y, int x, auto rows, auto columns) {
    PixelTile<T, rows, columns> tile;
    tile.start(bias ? bias + o : nullptr);
    for (const auto& [weights, maps, channels] : terms) {
      const T* in = maps + (channels.first * in_map + Index{y} * g.stride * g.in_width + x * g.stride) * kLanes<T>;
      const T* w = weights + o * filter + channels.first * taps;
      for (int i = channels.first; i < channels.last; ++i, in += in_map * kLanes<T>, w += taps)
#pragma GCC unroll 3
        for (int ky = 0; ky < g.kernel; ++ky)
#pragma GCC unroll 3
          for (int kx = 0; kx < g.kernel; ++kx)
            tile.multiply_add(w + ky * g.kernel + kx, filter, in + (Index{ky} * g.in_width + kx) * kLanes<T>,
                              Index{g.stride} * kLanes<T>);
    }
    tile.finish(finish, o * out_map + Index{y} * g.out_width + x, out_map, 1);
  };
  for (int y = 0; y < g.out_height; ++y)
    for_even_tiles<kTileChannels>(out.last - out.first, [&](int o, auto rows) {
      for_even_tiles<kTilePixels>(g.out_width,
                                  [&](int x, auto columns) { tile_at(out.first + o, y, x, rows, columns); });
    });
}

/// Where x = first + t·stride in 0…width−1 meets the kernel: taps j at kernel column `first` + j·stride, output
/// column t − j. All taps meet an output for t in inside_first…inside_last−1.
struct TransposedLine {
  int pixels, taps, inside_first, inside_last;

  template <class Geometry>
  constexpr TransposedLine(const Geometry& g, int first)
      : pixels((g.in_width - first + g.stride - 1) / g.stride),
        taps((g.kernel - first + g.stride - 1) / g.stride),
        inside_first(std::clamp(taps - 1, 0, pixels)),
        inside_last(std::clamp(g.out_width, inside_first, pixels)) {}
};

/// finish(i·pixels + pixel, Σ_terms Wᵀ ∗ δ) for the input channels `in`: gathered pixel by pixel, and only where the
/// kernel meets the output. Pixels x of equal x mod stride meet the same columns of the kernel.
template <class T, class Geometry, class Finish>
[[gnu::noinline]] void convolve_transposed(const Geometry& g, std::span<const ConvolutionTerm<T>> terms, Channels in,
                                           const Finish& finish) {
  const Index in_map = Index{g.in_height} * g.in_width, out_map = Index{g.out_height} * g.out_width;
  const Index taps = Index{g.kernel} * g.kernel, filter = g.in * taps;
  // Pixels phase + t·stride of row y, with taps first_tap…last_tap−1 of them.
  const auto tile_at = [&](int i, int y, int phase, int t, int first_tap, int last_tap, auto rows, auto columns) {
    PixelTile<T, rows, columns> tile;
    tile.start(nullptr);
    for (const auto& [weights, maps, channels] : terms)
      for (int ky = y % g.stride; ky < g.kernel && ky <= y; ky += g.stride) {
        const int line = (y - ky) / g.stride;
        if (line >= g.out_height) continue;
        const T* delta = maps + (channels.first * out_map + Index{line} * g.out_width + t) * kLanes<T>;
        const T* w = weights + channels.first * filter + i * taps + Index{ky} * g.kernel + phase;
        for (int o = channels.first; o < channels.last; ++o, delta += out_map * kLanes<T>, w += filter)
#pragma GCC unroll 3
          for (int j = first_tap; j < last_tap; ++j)
            tile.multiply_add(w + j * g.stride, taps, delta - j * kLanes<T>, kLanes<T>);
      }
    tile.finish(finish, i * in_map + Index{y} * g.in_width + phase + t * g.stride, in_map, g.stride);
  };
  for (int y = 0; y < g.in_height; ++y)
    for_even_tiles<kTileChannels>(in.last - in.first, [&](int c, auto rows) {
      const int i = in.first + c;
#pragma GCC unroll 2
      for (int phase = 0; phase < g.stride; ++phase) {
        const TransposedLine line(g, phase);
        const auto edge = [&](int t) {
          tile_at(i, y, phase, t, std::max(0, t - g.out_width + 1), std::min(line.taps, t + 1), rows,
                  std::integral_constant<int, 1>{});
        };
        for (int t = 0; t < line.inside_first; ++t) edge(t);
        for_even_tiles<kTilePixels>(line.inside_last - line.inside_first, [&](int t, auto columns) {
          tile_at(i, y, phase, line.inside_first + t, 0, line.taps, rows, columns);
        });
        for (int t = line.inside_last; t < line.pixels; ++t) edge(t);
      }
    });
}

/// sums[o][i][ky][kx] += Σ_pixels δ[o] ⊗ patch(h)[i][ky][kx] for the output channels `out` and the input channels
/// `in`, lane by lane.
template <class T, class Geometry>
[[gnu::noinline]] void add_weight_gradient(const Geometry& g, const T* delta, Channels out, const T* maps, Channels in,
                                           T* sums) {
  const Index in_map = Index{g.in_height} * g.in_width, out_map = Index{g.out_height} * g.out_width;
  const int taps = g.kernel * g.kernel, filter = g.in * taps;
  // Tap number t of a filter reads the input at this distance from the pixel's corner.
  const auto distance = [&](int t) {
    const int tap = t % taps;
    return (t / taps * in_map + Index{tap / g.kernel} * g.in_width + tap % g.kernel) * kLanes<T>;
  };
  const auto tile_at = [&](int o, int t, auto rows, auto columns) {
    constexpr int kColumns = columns;
    const T* corner[kColumns];
    for (int c = 0; c < kColumns; ++c) corner[c] = maps + distance(t + c);
    PixelTile<T, rows, columns> tile;
    tile.start(nullptr);
    for (int y = 0; y < g.out_height; ++y) {
      const T* d = delta + (o * out_map + Index{y} * g.out_width) * kLanes<T>;
      const Index line = Index{y} * g.stride * g.in_width * kLanes<T>;
      for (int x = 0; x < g.out_width; ++x)
        tile.multiply_add(d + x * kLanes<T>, out_map * kLanes<T>, corner, line + Index{x} * g.stride * kLanes<T>);
    }
    const auto add = [&](Index at, Vector<T> value) {
      store(sums + at * kLanes<T>, load(sums + at * kLanes<T>) + value);
    };
    tile.finish(add, Index{o} * filter + t, filter, 1);
  };
  for_even_tiles<kTileChannels>(out.last - out.first, [&](int o, auto rows) {
    for_even_tiles<kTilePixels>((in.last - in.first) * taps, [&](int t, auto columns) {
      tile_at(out.first + o, in.first * taps + t, rows, columns);
    });
  });
}

/// sums[o] += Σ_pixels δ[o].
template <class T, class Geometry>
void add_bias_gradient(const Geometry& g, const T* delta, Channels out, T* sums) {
  const Index pixels = Index{g.out_height} * g.out_width;
  for (int o = out.first; o < out.last; ++o) {
    constexpr int kChains = 4;
    Vector<T> sum[kChains] = {};
    const T* d = delta + o * pixels * kLanes<T>;
    for (Index pixel = 0; pixel < pixels; ++pixel) sum[pixel % kChains] += load(d + pixel * kLanes<T>);
    T* at = sums + o * kLanes<T>;
    store(at, load(at) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
}

}  // namespace clout::cpu
