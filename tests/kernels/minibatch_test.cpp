// sample_rows, gather_examples.

#include <array>

#include "problem.hpp"

namespace clout::test {
namespace {

template <class C>
using MinibatchTest = KernelTest<C>;
TYPED_TEST_SUITE(MinibatchTest, Cases, CaseName);

__extension__ using Wide = unsigned __int128;

/// ⌊u · population⌋ with u = word[0].word[1] of the generator's block, in 128 bits.
Index reference_draw(std::uint64_t seed, RandomStream stream, std::uint64_t sequence, std::uint64_t draw,
                     Index population) {
  const PhiloxBlock block = philox(seed, stream, (sequence << 40) + draw);
  const auto u = static_cast<Wide>(std::uint64_t{block.word[0]} << 32 | block.word[1]);
  return static_cast<Index>((u * static_cast<std::uint64_t>(population)) >> 64);
}

// The same numbers on every backend: those of the reference.
TYPED_TEST(MinibatchTest, SamplesAreTheGeneratorsNumbers) {
  struct Request {
    std::uint64_t seed, sequence, draw;
    Index population, sequences, count;
  };
  for (const Request& r :
       std::vector<Request>{{0, 0, 0, 1, 1, 1},
                            {7, 3, 1000, 55'000, 3, 101},
                            {~std::uint64_t{0}, (1u << 24) - 2, (std::uint64_t{1} << 40) - 5, 13, 2, 5},
                            {1, 2, 3, Index{1} << 32, 1, 300}}) {
    Guarded<Index> rows(this->device(), r.sequences * r.count);
    this->kernels().sample_rows(this->device(), {.seed = r.seed,
                                                 .stream = RandomStream::minibatches,
                                                 .first_sequence = r.sequence,
                                                 .first_draw = r.draw,
                                                 .population = r.population,
                                                 .sequences = r.sequences,
                                                 .count = r.count,
                                                 .rows = rows.data()});
    const auto got = rows.to_host();
    for (Index s = 0; s < r.sequences; ++s)
      for (Index i = 0; i < r.count; ++i)
        ASSERT_EQ(got[static_cast<std::size_t>(s * r.count + i)],
                  reference_draw(r.seed, RandomStream::minibatches, r.sequence + static_cast<std::uint64_t>(s),
                                 r.draw + static_cast<std::uint64_t>(i), r.population));
  }
}

TYPED_TEST(MinibatchTest, SamplesAreUniformAndSequencesDiffer) {
  const Index population = 10, count = kSmall ? 2'000 : 20'000;
  Guarded<Index> rows(this->device(), 2 * count);
  this->kernels().sample_rows(
      this->device(), {.seed = 5, .population = population, .sequences = 2, .count = count, .rows = rows.data()});
  const auto got = rows.to_host();
  std::array<double, 10> counts{};
  Index same = 0;
  for (Index i = 0; i < count; ++i) {
    ++counts[static_cast<std::size_t>(got[static_cast<std::size_t>(i)])];
    same += got[static_cast<std::size_t>(i)] == got[static_cast<std::size_t>(count + i)];
  }
  // Six standard deviations of a binomial count, √(n · 0.1 · 0.9).
  const double expected = static_cast<double>(count) / 10, bound = 6 * std::sqrt(expected * 0.9);
  for (const double c : counts) EXPECT_NEAR(c, expected, bound);
  EXPECT_NEAR(static_cast<double>(same), expected, bound);
}

TYPED_TEST(MinibatchTest, GatheredExamplesAreCopies) {
  using T = typename TypeParam::Number;
  for (const Shape& full : kShapes)
    for (const bool bytes : {true, false})
      for (const bool weighted : {true, false}) {
        const Shape shape = full.scaled();
        const Problem<T> problem = random_problem<T>(shape, {.bytes = bytes, .weights = weighted});
        const OnDevice<T> on_device(this->device(), problem);
        std::mt19937 random(3);
        std::vector<Index> rows(static_cast<std::size_t>(shape.n + 2));  // some twice
        for (Index& row : rows) row = static_cast<Index>(random() % static_cast<unsigned>(shape.n));
        const auto row_memory = this->upload(rows);
        const Index m = static_cast<Index>(rows.size()), d = shape.d, classes = shape.classes;
        Guarded<T> values(this->device(), bytes ? 0 : m * d), p(this->device(), m * classes);
        Guarded<T> weights(this->device(), weighted ? m : 0);
        Guarded<std::uint8_t> raw(this->device(), bytes ? m * d : 0);
        this->kernels().gather_examples(
            this->device(),
            {on_device.features, on_device.probability_view, weighted ? on_device.weights.data() : nullptr,
             row_memory.data(), m, bytes ? nullptr : values.data(), bytes ? raw.data() : nullptr, p.view(m, classes),
             weighted ? weights.data() : nullptr});
        const auto got_values = values.to_host(), got_p = p.to_host(), got_weights = weights.to_host();
        const auto got_raw = raw.to_host();
        for (Index at = 0; at < m; ++at) {
          const Index row = rows[static_cast<std::size_t>(at)];
          for (Index f = 0; f < d; ++f) {
            if (bytes) ASSERT_EQ(got_raw[at * d + f], problem.bytes[row * d + f]) << shape;
            else ASSERT_EQ(got_values[at * d + f], problem.values[row * d + f]) << shape;
          }
          for (Index c = 0; c < classes; ++c)
            ASSERT_EQ(got_p[at * classes + c], problem.probabilities[row * classes + c]) << shape;
          if (weighted) {
            ASSERT_EQ(got_weights[at], problem.weights[row]) << shape;
          }
        }
      }
}

}  // namespace
}  // namespace clout::test
