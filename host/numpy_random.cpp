#include <bit>
#include <clout/host/numpy_random.hpp>
#include <clout/kernels/error.hpp>
#include <limits>
#include <numeric>

namespace clout {

std::uint32_t NumpyRandom::at_most(std::uint32_t largest) {
  if (largest == 0) return 0;
  const std::uint32_t mask = std::numeric_limits<std::uint32_t>::max() >> std::countl_zero(largest);
  for (;;)
    if (const auto value = static_cast<std::uint32_t>(generator_()) & mask; value <= largest) return value;
}

std::vector<Index> NumpyRandom::choose(Index population, Index count) {
  ensure(count <= population, "more chosen than there are");
  std::vector<Index> items(static_cast<std::size_t>(population));
  std::iota(items.begin(), items.end(), Index{0});
  shuffle(items);
  items.resize(static_cast<std::size_t>(count));
  return items;
}

}  // namespace clout
