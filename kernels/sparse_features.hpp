#pragma once
// X without its zeros, in device memory.

#include <clout/kernels/device.hpp>
#include <clout/kernels/operations.hpp>
#include <vector>

namespace clout {

/// How many of the `numbers` are not zero.
template <class V>
Index count_entries(std::span<const V> numbers);

/// X without its zeros on the host, row by row (CSR): row i has the entries starts[i] … starts[i + 1] − 1, ascending by
/// place, each place once.
template <class V>
struct SparseRows {
  Index columns = 0;                    // d
  std::vector<Index> starts{0};         // [n + 1]
  std::vector<std::uint32_t> places{};  // [entries] columns
  std::vector<V> values{};              // [entries]

  Index rows() const { return static_cast<Index>(starts.size()) - 1; }
};

/// Owner of what SparseFeatures points to, for numbers stored as V: float, double or bytes.
template <class V>
class SparseStorage {
 public:
  /// `x`: [rows][columns], on the host. −0 is a zero.
  SparseStorage(Device& device, std::span<const V> x, Index rows, Index columns);
  /// The same from rows, as they must be.
  SparseStorage(Device& device, const SparseRows<V>& x);

  /// For operations in T: V itself, or either precision for bytes.
  template <class T>
  SparseFeatures<T> view() const;
  /// Device memory for so many entries, at most, in bytes.
  static std::size_t bytes_for(Index rows, Index columns, Index entries);

 private:
  struct Lines {
    Buffer<Index> starts;
    Buffer<std::uint16_t> narrow;
    Buffer<std::uint32_t> wide;
    Buffer<V> stored;
  };
  static Lines upload(Device& device, const SparseRows<V>& lines);

  Lines rows_, columns_;
  Index block_rows_ = kSparseBlockRows;
};

}  // namespace clout
