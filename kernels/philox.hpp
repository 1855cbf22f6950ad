#pragma once
// Philox4x32-10, a counter-based random number generator (Salmon, Moraes, Dror & Shaw 2011): the same numbers on every
// backend, in any order of evaluation.

#include <clout/kernels/matrix_view.hpp>
#include <vector>

namespace clout {

/// Purposes never share a stream, so adding draws to one does not shift another.
enum class RandomStream : std::uint32_t {
  test_examples = 1,
  training_examples = 2,
  bootstrap = 3,
  vectors = 4,
  initial_parameters = 5,
  batches = 6,
  minibatches = 7,
  probes = 8,
  coordinates = 9,
};

struct PhiloxBlock {
  std::uint32_t word[4];
};

/// The block of four 32-bit numbers at `counter` of (seed, stream).
constexpr PhiloxBlock philox(std::uint64_t seed, RandomStream stream, std::uint64_t counter) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(stream), c3 = 0;
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * c0, b = std::uint64_t{0xCD9E8D57u} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(b);
    c3 = static_cast<std::uint32_t>(a);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Draw number `draw` (below 2⁴⁰) of `sequence` (below 2²⁴), one of 0…population−1 with 0 < population ≤ 2³²: ⌊u ·
/// population⌋ for u in [0, 1) with 64 bits, so that each number's chance is right to 2⁻³².
constexpr Index philox_below(std::uint64_t seed, RandomStream stream, std::uint64_t sequence, std::uint64_t draw,
                             Index population) {
  const PhiloxBlock block = philox(seed, stream, sequence << 40 | draw);
  const std::uint64_t range = static_cast<std::uint64_t>(population);
  return static_cast<Index>((block.word[0] * range + ((block.word[1] * range) >> 32)) >> 32);
}

/// Draws from one stream in order.
class RandomSequence {
 public:
  /// `section`: one of 2³² parts of the stream that can be drawn from on their own.
  RandomSequence(std::uint64_t seed, RandomStream stream, std::uint32_t section = 0)
      : seed_(seed), stream_(stream), position_(std::uint64_t{section} << 34) {}

  std::uint32_t next() {
    if (position_ % 4 == 0) block_ = philox(seed_, stream_, position_ / 4);
    return block_.word[position_++ % 4];
  }
  /// Uniform in 0…count−1, exactly (by rejection); 0 < count ≤ 2³².
  Index below(Index count) {
    const std::uint64_t range = static_cast<std::uint64_t>(count), limit = (std::uint64_t{1} << 32) / range * range;
    std::uint64_t draw = next();
    while (draw >= limit) draw = next();
    return static_cast<Index>(draw % range);
  }
  /// Uniform in [0, 1) with 53 bits.
  double uniform() {
    const std::uint64_t high = next() >> 5, low = next() >> 6;
    return static_cast<double>(high * 67108864 + low) / 9007199254740992.0;
  }
  /// `count` different numbers of 0…population−1, in the order drawn (Fisher and Yates).
  std::vector<Index> sample(Index population, Index count) {
    std::vector<Index> all(static_cast<std::size_t>(population));
    for (Index i = 0; i < population; ++i) all[static_cast<std::size_t>(i)] = i;
    for (Index i = 0; i < count; ++i) {
      const Index j = i + below(population - i);
      const Index swapped = all[static_cast<std::size_t>(i)];
      all[static_cast<std::size_t>(i)] = all[static_cast<std::size_t>(j)];
      all[static_cast<std::size_t>(j)] = swapped;
    }
    all.resize(static_cast<std::size_t>(count));
    return all;
  }

 private:
  std::uint64_t seed_;
  RandomStream stream_;
  std::uint64_t position_ = 0;
  PhiloxBlock block_{};
};

}  // namespace clout
