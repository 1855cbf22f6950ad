#pragma once
// Blocks of rows of X in panels, and the two products with them: Z = X Vᵀ and G += Rᵀ X.
//
// A block of X is packed once per sweep, bytes becoming T on the way, as [panel][row][kPanel]: a panel's columns are
// then one contiguous strip for the backward product (lanes over features), and kPanel numbers per row for the forward
// one (broadcast). Columns beyond d are zero, but for the bias's column of ones.

#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/operations.hpp>

namespace clout::cpu {

/// Sizes of the products of k vectors with blocks of X. A pure function of the operation's sizes.
template <class T>
struct PanelShape {
  Index features, classes, vectors;  // d, K, k
  bool bias;
  Index depth;     // d (+ 1 with a bias), rounded up to whole panels
  Index columns;   // k·K
  bool is_wide;    // forward product with lanes over columns; else lanes over features
  Index z_stride;  // of a block's Z: an odd number of cache lines, so that walking down a column meets all cache sets
  Index rows;      // of a block; a multiple of every tile's

  PanelShape(const LinearShape& shape, Index k)
      : features(shape.features), classes(shape.classes), vectors(k), bias(shape.bias) {
    depth = round_up(features + (bias ? 1 : 0), kPanel<T>);
    columns = k * classes;
    // Lanes over columns need no sums over lanes, but compute whole panels of columns.
    is_wide = 6 * columns >= 5 * round_up(columns, kPanel<T>) || columns > 6 * kPanel<T>;
    constexpr Index kLine = 64 / static_cast<Index>(sizeof(T));
    z_stride = (ceil_div(is_wide ? round_up(columns, kPanel<T>) : columns, kLine) | 1) * kLine;
    constexpr Index kCache = 416 * 1024 / static_cast<Index>(sizeof(T));  // most of a second-level cache
    rows = std::clamp<Index>(kCache / (depth + columns) / 24 * 24, 24, 96);
  }

  Index panels() const { return depth / kPanel<T>; }
  Index column_panels() const { return ceil_div(columns, kPanel<T>); }
  /// From panel to panel of a block: an odd number of cache lines.
  Index panel_stride() const { return (rows + 1) * kPanel<T>; }
  Index packed_x() const { return panel_stride() * panels(); }
  Index packed_vectors() const { return (is_wide ? column_panels() * kPanel<T> : columns) * depth; }
  Index z() const { return rows * z_stride; }
};

/// Which column of Z belongs to class c of vector j.
struct ColumnOrder {
  Index class_step, vector_step;
  Index operator()(Index c, Index j) const { return c * class_step + j * vector_step; }
};

/// Rows first…first+count−1 of X (stored values, without scale) into `block`, and zeros up to `padded` rows.
template <class T>
void pack_rows(const PanelShape<T>& shape, const FeatureView<T>& x, Index first, Index count, Index padded, T* block) {
  const Index d = shape.features, whole = d / kPanel<T>, panel_stride = shape.panel_stride();
  const auto pack = [&](const auto* from, T* to) {
    for (Index panel = 0; panel < whole; ++panel)
#pragma GCC unroll 2
      for (Index half = 0; half < kPanel<T>; half += kLanes<T>)
        store(to + panel * panel_stride + half, load_as<T>(from + panel * kPanel<T> + half));
    if (whole == shape.panels()) return;
    T* last = to + whole * panel_stride;
    for (Index lane = 0; lane < kPanel<T>; ++lane) {
      const Index column = whole * kPanel<T> + lane;
      last[lane] = column < d ? static_cast<T>(from[column]) : T(shape.bias && column == d);
    }
  };
  for (Index row = 0; row < count; ++row) {
    if (x.bytes) pack(x.bytes + (first + row) * d, block + row * kPanel<T>);
    else pack(x.values + (first + row) * d, block + row * kPanel<T>);
  }
  for (Index panel = 0; panel < shape.panels(); ++panel)
    std::fill(block + panel * panel_stride + count * kPanel<T>, block + panel * panel_stride + padded * kPanel<T>,
              T(0));
}

/// V scaled by `scale` (the bias is not), in the layout that forward() reads: wide [column panel][depth][kPanel],
/// else [column][depth].
template <class T>
void pack_vectors(const Device& device, const PanelShape<T>& shape, MatrixView<const T> vectors, T scale,
                  ColumnOrder order, T* packed) {
  const Index d = shape.features;
  std::fill(packed, packed + shape.packed_vectors(), T(0));
  parallel_tasks(device, shape.columns, [&](Index task, int) {
    const Index c = task % shape.classes, j = task / shape.classes, column = order(c, j);
    const T* weights = vectors.row(j) + c * d;
    T* to = shape.is_wide ? packed + column / kPanel<T> * shape.depth * kPanel<T> + column % kPanel<T>
                          : packed + column * shape.depth;
    const Index step = shape.is_wide ? kPanel<T> : 1;
    for (Index f = 0; f < d; ++f) to[f * step] = scale * weights[f];
    if (shape.bias) to[d * step] = vectors.row(j)[shape.classes * d + c];
  });
}

/// Z = X Vᵀ with lanes over columns: tiles of kTileRows rows × one panel of columns, over all features.
template <class T>
void forward_wide(const PanelShape<T>& shape, const T* block, const T* packed, Index padded, T* z) {
  const Index panel_stride = shape.panel_stride();
  for (Index columns = 0; columns < shape.column_panels(); ++columns)
    for (Index row = 0; row < padded; row += kTileRows) {
      Tile<T, kTileRows> tile;
      tile.clear();
      const T* x = block + row * kPanel<T>;
      const T* v = packed + columns * shape.depth * kPanel<T>;
      for (Index panel = 0; panel < shape.panels(); ++panel) {
        tile.multiply_add(x, kPanel<T>, 1, v, kPanel<T>);
        x += panel_stride;
        v += kPanel<T> * kPanel<T>;
      }
      tile.store_to(z + row * shape.z_stride + columns * kPanel<T>, shape.z_stride);
    }
}

// Z for Rows rows and Columns columns with lanes over features first…last−1, summed over the lanes at the end; added to
// what is there unless these are the first features.
template <class T, int Rows, int Columns>
void forward_narrow_tile(const PanelShape<T>& shape, const T* x, const T* v, Index first, Index last, T* z) {
  Vector<T> sums[Rows][Columns] = {};
  x += first / kPanel<T> * shape.panel_stride();
  for (Index f = first; f < last; f += kPanel<T>, x += shape.panel_stride())
#pragma GCC unroll 2
    for (Index half = 0; half < kPanel<T>; half += kLanes<T>) {
      Vector<T> rows[Rows];
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) rows[i] = load(x + i * kPanel<T> + half);
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
        const Vector<T> column = load(v + c * shape.depth + f + half);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) sums[i][c] += rows[i] * column;
      }
    }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
      T& target = z[i * shape.z_stride + c];
      target = (first > 0 ? target : T(0)) + lane_sum<T>(sums[i][c]);
    }
}

/// Z = X Vᵀ with lanes over features, for few columns: no work is spent on columns that are not there. So many features
/// at a time that their part of V stays in the first-level cache, while X comes from the second-level cache once.
template <class T>
void forward_narrow(const PanelShape<T>& shape, const T* block, const T* packed, Index padded, T* z) {
  constexpr Index kCache = 16 * 1024 / static_cast<Index>(sizeof(T));
  const Index step = std::max<Index>(1, kCache / (shape.columns * kPanel<T>)) * kPanel<T>;
  for (Index first = 0; first < shape.depth; first += step)
    for (Index row = 0; row < padded; row += 2)
      for_each_tile<5>(shape.columns, [&](Index column, auto columns) {
        forward_narrow_tile<T, 2, columns>(shape, block + row * kPanel<T>, packed + column * shape.depth, first,
                                           std::min(first + step, shape.depth), z + row * shape.z_stride + column);
      });
}

/// How many rows forward() computes for `count` of them: whole tiles.
template <class T>
Index padded_rows(Index count) {
  return round_up(count, std::max(6, kTileRows));
}

template <class T>
void forward(const PanelShape<T>& shape, const T* block, const T* packed, Index count, T* z) {
  if (shape.is_wide) forward_wide(shape, block, packed, padded_rows<T>(count), z);
  else forward_narrow(shape, block, packed, padded_rows<T>(count), z);
}

/// Where backward() leaves the sum of a column and feature (or bias).
template <class T>
Index sum_at(const PanelShape<T>& shape, Index column, Index feature) {
  const Index tiles = ceil_div(shape.columns, kTileRows), tile = ((column + 1) * tiles - 1) / shape.columns;
  const Index first = shape.columns * tile / tiles, width = shape.columns * (tile + 1) / tiles - first;
  return first * shape.depth + (feature / kPanel<T> * width + column - first) * kPanel<T> + feature % kPanel<T>;
}

/// G += Rᵀ X over `count` rows of a block; R in the place of Z. A tile's columns of R stay in the first-level cache
/// while the block's panels stream by. G is [tile][panel][column of the tile][kPanel], in the order of its use: see
/// sum_at().
template <class T>
void backward(const PanelShape<T>& shape, const T* block, const T* residuals, Index count, T* sums) {
  for_each_tile<kTileRows>(shape.columns, [&](Index column, auto rows) {
    T* at = sums + column * shape.depth;
    for (Index panel = 0; panel < shape.panels(); ++panel, at += rows * kPanel<T>) {
      Tile<T, rows> tile;
      tile.load_from(at, kPanel<T>);
      tile.multiply_add(residuals + column, 1, shape.z_stride, block + panel * shape.panel_stride(), count);
      tile.store_to(at, kPanel<T>);
    }
  });
}

}  // namespace clout::cpu
