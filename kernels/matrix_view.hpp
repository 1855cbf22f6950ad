#pragma once
// Shapes: what every entry point of the kernel table takes. Plain structs that any compiler, nvcc included, reads.

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace clout {

using Index = std::int64_t;

/// Non-owning view of a row-major matrix, [rows][columns] with `stride` elements from row to row.
/// The memory is the device's: views are dereferenced inside kernels only (and on the host where the device is the CPU).
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index columns = 0;
  Index stride = 0;

  constexpr MatrixView() = default;
  constexpr MatrixView(T* memory, Index height, Index width) : MatrixView(memory, height, width, width) {}
  constexpr MatrixView(T* memory, Index height, Index width, Index row_stride)
      : data(memory), rows(height), columns(width), stride(row_stride) {}
  /// A view of constants from a view of variables.
  template <class U>
    requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>)
  constexpr MatrixView(const MatrixView<U>& other)  // NOLINT(google-explicit-constructor): as pointers convert
      : MatrixView(other.data, other.rows, other.columns, other.stride) {}

  constexpr T& operator()(Index row, Index column) const { return data[row * stride + column]; }
  constexpr T* row(Index index) const { return data + index * stride; }
  constexpr Index size() const { return rows * columns; }
  constexpr bool is_empty() const { return rows == 0 || columns == 0; }
  constexpr bool is_contiguous() const { return stride == columns || rows <= 1; }

  /// Rows [first, first + count).
  constexpr MatrixView rows_from(Index first, Index count) const {
    return {data + first * stride, count, columns, stride};
  }
};

/// The parts of a flat parameter vector that a regulariser acts on: ranges in order, which do not touch.
struct ParameterRanges {
  static constexpr int kMost = 20;
  struct Range {
    Index begin = 0, end = 0;
  };
  Range range[kMost] = {};
  int count = 0;

  constexpr void add(Index begin, Index end) { range[count++] = {begin, end}; }
  constexpr bool contains(Index i) const {
    for (int r = 0; r < count; ++r)
      if (i >= range[r].begin && i < range[r].end) return true;
    return false;
  }
};

}  // namespace clout
