// Random numbers: Philox4x32-10 against the known-answer vectors of Random123 (Salmon et al. 2011).

#include <algorithm>
#include <array>
#include <clout/kernels/philox.hpp>
#include <cmath>
#include <set>

#include "gtest/gtest.h"

namespace clout::test {
namespace {

using Words = std::array<std::uint32_t, 4>;

/// The generator once more, round by round as in the paper, with all of its counter.
Words reference(Words c, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return c;
}
Words product(std::uint64_t seed, std::uint32_t stream, std::uint64_t counter) {
  const PhiloxBlock block = philox(seed, static_cast<RandomStream>(stream), counter);
  return {block.word[0], block.word[1], block.word[2], block.word[3]};
}

TEST(Philox, ReferenceGivesThePublishedVectors) {
  EXPECT_EQ(reference({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(reference({ones, ones, ones, ones}, {ones, ones}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(reference({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, IsTheReferenceAtEveryCounterSeedAndStream) {
  EXPECT_EQ(product(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  for (const std::uint64_t seed : {0ull, 1ull, 0x299f31d0a4093822ull, ~0ull})
    for (const std::uint32_t stream : {0u, 1u, 4u, 0x13198a2eu, 0xffffffffu})
      for (const std::uint64_t counter : {0ull, 1ull, 0xffffffffull, 0x100000000ull, 0x85a308d3243f6a88ull, ~0ull})
        EXPECT_EQ(product(seed, stream, counter),
                  reference({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), stream, 0},
                            {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}));
}

TEST(Philox, ASequenceIsTheBlocksInOrder) {
  RandomSequence random(7, RandomStream::bootstrap);
  for (std::uint64_t block = 0; block < 3; ++block)
    for (const std::uint32_t word : product(7, static_cast<std::uint32_t>(RandomStream::bootstrap), block))
      EXPECT_EQ(random.next(), word);
}

TEST(Philox, StreamsAndSeedsDiffer) {
  std::set<std::uint32_t> firsts;
  for (const std::uint64_t seed : {0ull, 1ull})
    for (const RandomStream stream :
         {RandomStream::test_examples, RandomStream::training_examples, RandomStream::bootstrap, RandomStream::vectors})
      firsts.insert(RandomSequence(seed, stream).next());
  EXPECT_EQ(firsts.size(), 8u);
}

TEST(Philox, BelowIsUniform) {
  RandomSequence random(1, RandomStream::vectors);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) {
    const Index draw = random.below(7);
    ASSERT_TRUE(draw >= 0 && draw < 7);
    ++counts[static_cast<std::size_t>(draw)];
  }
  // Six standard deviations of a binomial count, √(70000 · 6/49) = 92.6.
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 6 * 92.6);
  EXPECT_EQ(RandomSequence(1, RandomStream::vectors).below(1), 0);
  const Index whole = Index{1} << 32;
  EXPECT_LT(RandomSequence(1, RandomStream::vectors).below(whole), whole);
}

TEST(Philox, UniformIsInItsIntervalWithTheRightMoments) {
  RandomSequence random(2, RandomStream::vectors);
  double sum = 0, squares = 0;
  const int draws = 100'000;
  for (int i = 0; i < draws; ++i) {
    const double u = random.uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / draws, 0.5, 6 * 0.2887 / std::sqrt(draws));
  EXPECT_NEAR(squares / draws, 1.0 / 3, 6 * 0.2981 / std::sqrt(draws));
}

TEST(Philox, ASampleHasNoRepeatsAndEveryMember) {
  RandomSequence random(3, RandomStream::training_examples);
  const std::vector<Index> some = random.sample(1000, 100);
  EXPECT_EQ(std::set<Index>(some.begin(), some.end()).size(), 100u);
  EXPECT_TRUE(std::all_of(some.begin(), some.end(), [](Index i) { return i >= 0 && i < 1000; }));
  std::vector<Index> all = random.sample(50, 50);
  std::sort(all.begin(), all.end());
  for (Index i = 0; i < 50; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(random.sample(5, 0).empty());
}

}  // namespace
}  // namespace clout::test
