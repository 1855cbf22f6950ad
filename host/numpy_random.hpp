#pragma once
// numpy.random.RandomState's draws, for the splits and choices of published code.

#include <clout/kernels/matrix_view.hpp>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace clout {

/// The legacy generator of NumPy: MT19937 (Matsumoto & Nishimura 1998), bounded numbers by masking and rejection. Its
/// streams are frozen by NumPy's policy (NEP 19).
class NumpyRandom {
 public:
  /// numpy.random.seed(seed).
  explicit NumpyRandom(std::uint32_t seed) : generator_(seed) {}

  /// numpy.random.shuffle: Fisher & Yates from the end. At most 2³² items.
  template <class Item>
  void shuffle(std::vector<Item>& items) {
    for (std::size_t i = items.size(); i-- > 1;) std::swap(items[i], items[at_most(static_cast<std::uint32_t>(i))]);
  }
  /// numpy.random.choice(population, count, replace=False): the first of a permutation.
  std::vector<Index> choose(Index population, Index count);

 private:
  /// Uniform in 0…largest.
  std::uint32_t at_most(std::uint32_t largest);

  std::mt19937 generator_;
};

}  // namespace clout
