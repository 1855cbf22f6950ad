#pragma once
// Sets of examples that models are retrained without.

#include <clout/kernels/device.hpp>
#include <clout/kernels/operations.hpp>
#include <vector>

namespace clout {

/// k sets of examples, one for each of k models that are retrained side by side; sets may be empty (padding).
class Removals {
 public:
  /// Throws InvalidInput where an index is outside 0…examples−1 or stands twice in a set.
  Removals(Device& device, std::vector<std::vector<Index>> groups, Index examples);

  Index models() const { return static_cast<Index>(groups_.size()); }
  const std::vector<Index>& group(Index model) const { return groups_[static_cast<std::size_t>(model)]; }
  /// As the kernels take it: (row, model) pairs sorted by row.
  Exclusions exclusions() const;

 private:
  std::vector<std::vector<Index>> groups_;
  Buffer<Index> rows_;
  Buffer<std::int32_t> models_;
};

}  // namespace clout
