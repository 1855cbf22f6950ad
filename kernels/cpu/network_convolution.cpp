// A convolution is a loop over tiles that stay in registers, with a geometry that the compiler knows or does not
// (network_geometry.hpp). 12 multiply-adds take 3 loads and 4 broadcasts.

#include <clout/kernels/cpu/network_convolution.hpp>
#include <clout/kernels/cpu/network_geometry.hpp>
#include <clout/kernels/cpu/network_tanh.hpp>
#include <clout/kernels/cpu/network_tile.hpp>

namespace clout::cpu {
namespace {

template <class T>
using Terms = std::span<const ConvolutionTerm<T>>;

template <class T, int Rows, int Columns, class Geometry>
[[gnu::always_inline]] inline void convolve_tile(const Geometry& g, Terms<T> terms, const T* bias, int o, int y, int x,
                                                 StoreTangent<T> finish) {
  const Index in_map = Index{g.in_height} * g.in_width, out_map = Index{g.out_height} * g.out_width;
  const Index taps = Index{g.kernel} * g.kernel, filter = g.in * taps;
  PixelTile<T, Rows, Columns> tile;
  tile.start(bias ? bias + o : nullptr);
  for (const auto& [weights, maps, channels] : terms) {
    const T* in = maps + (channels.first * in_map + Index{y} * g.stride * g.in_width + x * g.stride) * kLanes<T>;
    const T* w = weights + o * filter + channels.first * taps;
    for (int i = channels.first; i < channels.last; ++i, in += in_map * kLanes<T>, w += taps)
#pragma GCC unroll 3
      for (int ky = 0; ky < g.kernel; ++ky)
#pragma GCC unroll 3
        for (int kx = 0; kx < g.kernel; ++kx)
          tile.multiply_add([&](int r) { return broadcast(w[r * filter + ky * g.kernel + kx]); },
                            in + (Index{ky} * g.in_width + kx) * kLanes<T>, Index{g.stride} * kLanes<T>);
  }
  finish.choose([&](const auto& use) __attribute__((always_inline)) {
    tile.for_each(o * out_map + Index{y} * g.out_width + x, out_map, 1, use);
  });
}

// map ← tanh(map) on line y of all channels.
template <class T, class Geometry>
[[gnu::noinline]] void activate_line(const Geometry& g, int y, T* map) {
  const Index out_map = Index{g.out_height} * g.out_width;
  for (int o = 0; o < g.out; ++o) {
    T* line = map + (o * out_map + Index{y} * g.out_width) * kLanes<T>;
    for (int x = 0; x < g.out_width; ++x, line += kLanes<T>) store(line, hyperbolic_tangent<T>(load(line)));
  }
}

// Channels innermost: they share a patch of the input.
template <class T, class Geometry>
[[gnu::noinline]] void convolve_layer(const Geometry& g, Terms<T> terms, const T* bias, const StoreTangent<T>& finish) {
  for (int y = 0; y < g.out_height; ++y) {
    for_even_tiles<kTilePixels>(
        g.out_width, [&](int x, auto columns) __attribute__((always_inline)) {
          for_tiles_from<kTileChannels>(
              0, g.out, [&](int o, auto rows) __attribute__((always_inline)) {
                convolve_tile<T, rows, columns>(g, terms, bias, o, y, x, finish);
              });
        });
    if (finish.activates) activate_line(g, y, finish.out);
  }
}

// The inputs phase + t·stride of a line, t in 0…pixels−1: their taps j stand at phase + j·stride in the kernel and
// meet output t − j. All taps meet an output for t in inside_first…inside_last−1.
struct TransposedLine {
  int phase, pixels, taps, outputs, inside_first, inside_last;

  constexpr TransposedLine(int in_size, int out_size, int kernel, int stride, int first)
      : phase(first),
        pixels((in_size - phase + stride - 1) / stride),
        taps(std::max(0, (kernel - phase + stride - 1) / stride)),
        outputs(out_size),
        inside_first(std::clamp(taps - 1, 0, pixels)),
        inside_last(std::clamp(outputs, inside_first, pixels)) {}

  // Those of pixel t that meet an output.
  constexpr Range taps_at(int t) const { return {std::max(0, t - outputs + 1), std::min(taps, t + 1)}; }
  constexpr bool is_inside(int t) const { return t >= inside_first && t < inside_last; }
};

// body(phase) for 0…stride−1, each a constant where the geometry is fixed.
template <class Geometry, class Body>
[[gnu::always_inline]] inline void for_each_phase(const Geometry& g, const Body& body) {
  if constexpr (std::is_same_v<Geometry, Convolution>) {
    for (int phase = 0; phase < g.stride; ++phase) body(phase);
  } else {
    [&]<int... phase>(std::integer_sequence<int, phase...>) __attribute__((always_inline)) {
      (body(std::integral_constant<int, phase>{}), ...);
    }
    (std::make_integer_sequence<int, Geometry::stride>{});
  }
}

// What a transposed tile computes: pixels from (v, u) on, counted as TransposedLine does, along the line or, `down`,
// from line to line, with the same taps for all.
struct TransposedTile {
  int v_phase, u_phase, v, u;
  Range v_taps, u_taps;
  bool down;
};

template <class T, int Rows, int Columns, class Geometry>
[[gnu::always_inline]] inline void transposed_tile(const Geometry& g, Terms<T> terms, int i, const TransposedTile& at,
                                                   StoreDelta<T> finish) {
  const Index in_map = Index{g.in_height} * g.in_width, out_map = Index{g.out_height} * g.out_width;
  const Index taps = Index{g.kernel} * g.kernel, filter = g.in * taps;
  const Index step = (at.down ? g.out_width : 1) * kLanes<T>;
  PixelTile<T, Rows, Columns> tile;
  tile.start(nullptr);
  for (const auto& [weights, maps, channels] : terms) {
    const T* delta = maps + (channels.first * out_map + Index{at.v} * g.out_width + at.u) * kLanes<T>;
    const T* w = weights + channels.first * filter + i * taps + at.v_phase * g.kernel + at.u_phase;
    for (int o = channels.first; o < channels.last; ++o, delta += out_map * kLanes<T>, w += filter)
#pragma GCC unroll 3
      for (int k = at.v_taps.first; k < at.v_taps.last; ++k)
#pragma GCC unroll 3
        for (int j = at.u_taps.first; j < at.u_taps.last; ++j)
          tile.multiply_add([&](int r) { return broadcast(w[r * taps + (Index{k} * g.kernel + j) * g.stride]); },
                            delta - (Index{k} * g.out_width + j) * kLanes<T>, step);
  }
  const Index line = at.v_phase + Index{at.v} * g.stride;
  const Index first = i * in_map + line * g.in_width + at.u_phase + at.u * g.stride;
  const Index pixel = (at.down ? g.in_width : 1) * g.stride;
  finish.choose(
      first + (Rows - 1) * in_map + (Columns - 1) * pixel, [&](const auto& use) __attribute__((always_inline)) {
        tile.for_each(first, in_map, pixel, use);
      });
}

template <class T, int Columns, class Geometry>
[[gnu::always_inline]] inline void transposed_tiles(const Geometry& g, Terms<T> terms, int first_channel,
                                                    const TransposedTile& at, const StoreDelta<T>& finish) {
  for_tiles_from<kTileChannels>(
      first_channel, g.in, [&](int i, auto rows) __attribute__((always_inline)) {
        transposed_tile<T, rows, Columns>(g, terms, i, at, finish);
      });
}

// Column u, where some taps meet no output: taken down, from line to line.
template <class T, class Geometry>
[[gnu::noinline]] void transposed_column(const Geometry& g, Terms<T> terms, int first_channel,
                                         const TransposedLine& down, const TransposedLine& along, int u,
                                         const StoreDelta<T>& finish) {
  const auto tiles_at = [&](int v, Range v_taps, auto columns) {
    transposed_tiles<T, columns>(g, terms, first_channel,
                                 {down.phase, along.phase, v, u, v_taps, along.taps_at(u), true}, finish);
  };
  for (int v = 0; v < down.pixels; ++v)
    if (!down.is_inside(v)) tiles_at(v, down.taps_at(v), std::integral_constant<int, 1>{});
  for_even_tiles<kTilePixels>(down.inside_last - down.inside_first, [&](int t, auto columns) {
    tiles_at(down.inside_first + t, Range{0, down.taps}, columns);
  });
}

// Gathered pixel by pixel, and only where the kernel meets the output. Pixels whose coordinates are equal mod stride
// meet the same weights; those of a line are computed one kind after the other, while what `finish` reads there is
// near.
template <class T, class Geometry>
[[gnu::noinline]] void convolve_transposed_layer(const Geometry& g, Terms<T> terms, int first_channel,
                                                 const StoreDelta<T>& finish) {
  const auto along_of = [&](int u_phase) __attribute__((always_inline)) {
    return TransposedLine(g.in_width, g.out_width, g.kernel, g.stride, u_phase);
  };
  for_each_phase(
      g, [&](auto v_phase) __attribute__((always_inline)) {
        const TransposedLine down(g.in_height, g.out_height, g.kernel, g.stride, v_phase);
        const auto line_at = [&](int v, Range v_taps) __attribute__((always_inline)) {
          for_each_phase(
              g, [&](auto u_phase) __attribute__((always_inline)) {
                const TransposedLine along = along_of(u_phase);
                const auto tiles_at = [&](int t, auto columns) __attribute__((always_inline)) {
                  transposed_tiles<T, columns>(
                      g, terms, first_channel,
                      {v_phase, u_phase, v, along.inside_first + t, v_taps, {0, along.taps}, false}, finish);
                };
                for_even_tiles<kTilePixels>(along.inside_last - along.inside_first, tiles_at);
              });
        };
        for (int v = 0; v < down.pixels; ++v)
          if (down.is_inside(v)) line_at(v, {0, down.taps});  // known to the compiler where the geometry is
          else line_at(v, down.taps_at(v));
        for_each_phase(
            g, [&](auto u_phase) __attribute__((always_inline)) {
              const TransposedLine along = along_of(u_phase);
              for (int u = 0; u < along.pixels; ++u)
                if (!along.is_inside(u)) transposed_column(g, terms, first_channel, down, along, u, finish);
            });
      });
}

// A tile: the weights of some output channels that lie together at `right`, over the lines `block` of the output.
template <class T, int Rows, int Columns, class Geometry>
[[gnu::always_inline]] inline void weight_tile(const Geometry& g, const T* delta, const T* right, Index right_step,
                                               Range block, T* sums) {
  const Index out_map = Index{g.out_height} * g.out_width * kLanes<T>, filter = Index{g.in} * g.kernel * g.kernel;
  PixelTile<T, Rows, Columns> tile;
  tile.start(nullptr);
  for (int y = block.first; y < block.last; ++y) {
    const T* d = delta + Index{y} * g.out_width * kLanes<T>;
    const T* h = right + Index{y} * g.stride * g.in_width * kLanes<T>;
    for (int x = 0; x < g.out_width; ++x, d += kLanes<T>, h += g.stride * kLanes<T>)
      tile.multiply_add([&](int r) { return load(d + r * out_map); }, h, right_step);
  }
  tile.for_each(0, filter, 1, [sums](Index at, Vector<T> value) {
    store(sums + at * kLanes<T>, load(sums + at * kLanes<T>) + value);
  });
}

// Lines of the output in blocks of about kBlockPixels, which stay in the nearest cache while all weights take them in
// turn. Weights that lie together are those of a line of the kernel or, where it has one pixel, of all inputs.
template <class T, class Geometry>
[[gnu::noinline]] void weight_gradient_layer(const Geometry& g, const T* delta, int first_channel, const T* maps,
                                             Range in, T* sums) {
  constexpr int kBlockPixels = 100;
  const Index in_map = Index{g.in_height} * g.in_width, out_map = Index{g.out_height} * g.out_width;
  const Index taps = Index{g.kernel} * g.kernel, filter = g.in * taps;
  const int lines = g.kernel == 1 ? 1 : g.kernel * (in.last - in.first);
  const int line_weights = g.kernel == 1 ? in.last - in.first : g.kernel;
  const Index step = (g.kernel == 1 ? in_map : 1) * kLanes<T>;
  const int block_lines = std::max(1, kBlockPixels / g.out_width);
  for (int y = 0; y < g.out_height; y += block_lines)
    for_tiles_from<kTileChannels>(
        first_channel, g.out, [&](int o, auto rows) __attribute__((always_inline)) {
          for (int line = 0; line < lines; ++line) {
            const T* corner =
                maps + ((in.first + line / g.kernel) * in_map + Index{line % g.kernel} * g.in_width) * kLanes<T>;
            T* line_sums = sums + (o * filter + in.first * taps + Index{line} * line_weights) * kLanes<T>;
            for_even_tiles<kTilePixels>(
                line_weights, [&](int first, auto columns) __attribute__((always_inline)) {
                  weight_tile<T, rows, columns>(g, delta + o * out_map * kLanes<T>, corner + first * step, step,
                                                {y, std::min(y + block_lines, g.out_height)},
                                                line_sums + first * kLanes<T>);
                });
          }
        });
}

}  // namespace

template <class T>
void convolve(const Convolution& layer, Terms<T> terms, const T* bias, const StoreTangent<T>& finish) {
  with_geometry(layer, [&](const auto& g) { convolve_layer(g, terms, bias, finish); });
}

template <class T>
void convolve_transposed(const Convolution& layer, Terms<T> terms, int first_channel, const StoreDelta<T>& finish) {
  with_geometry(layer, [&](const auto& g) { convolve_transposed_layer(g, terms, first_channel, finish); });
}

template <class T>
void add_weight_gradient(const Convolution& layer, const T* delta, int first_channel, const T* maps, Range in,
                         T* sums) {
  with_geometry(layer, [&](const auto& g) { weight_gradient_layer(g, delta, first_channel, maps, in, sums); });
}

template <class T>
void add_bias_gradient(const Convolution& layer, const T* delta, int first_channel, T* sums) {
  constexpr int kChains = 4;
  const Index pixels = Index{layer.out_height} * layer.out_width;
  for (int o = first_channel; o < layer.out; ++o) {
    Vector<T> sum[kChains] = {};
    const T* d = delta + o * pixels * kLanes<T>;
    Index pixel = 0;
    for (; pixel + kChains <= pixels; pixel += kChains)
#pragma GCC unroll 4
      for (int chain = 0; chain < kChains; ++chain) sum[chain] += load(d + (pixel + chain) * kLanes<T>);
    for (; pixel < pixels; ++pixel) sum[0] += load(d + pixel * kLanes<T>);
    T* at = sums + o * kLanes<T>;
    store(at, load(at) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
}

#define CLOUT_INSTANTIATE(T)                                                                  \
  template void convolve(const Convolution&, Terms<T>, const T*, const StoreTangent<T>&);     \
  template void convolve_transposed(const Convolution&, Terms<T>, int, const StoreDelta<T>&); \
  template void add_weight_gradient(const Convolution&, const T*, int, const T*, Range, T*);  \
  template void add_bias_gradient(const Convolution&, const T*, int, T*);
CLOUT_INSTANTIATE(float)
CLOUT_INSTANTIATE(double)
#undef CLOUT_INSTANTIATE

}  // namespace clout::cpu
