#pragma once
// X without its zeros, in device memory.

#include <clout/kernels/device.hpp>
#include <clout/kernels/operations.hpp>

namespace clout {

/// How many of the `numbers` are not zero.
template <class V>
Index count_entries(std::span<const V> numbers);

/// Owner of what SparseFeatures points to, for numbers stored as V: float, double or bytes.
template <class V>
class SparseStorage {
 public:
  /// `x`: [rows][columns], on the host. −0 is a zero.
  SparseStorage(Device& device, std::span<const V> x, Index rows, Index columns);

  /// For operations in T: V itself, or either precision for bytes.
  template <class T>
  SparseFeatures<T> view() const;
  /// Device memory for so many entries, in bytes.
  static std::size_t bytes_for(Index rows, Index columns, Index entries);

 private:
  struct Lines {
    Buffer<Index> starts;
    Buffer<std::uint16_t> narrow;
    Buffer<std::uint32_t> wide;
    Buffer<V> stored;
  };
  Lines rows_, columns_;
};

}  // namespace clout
