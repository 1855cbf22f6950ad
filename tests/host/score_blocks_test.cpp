// The lists of the largest scores, and what a journal keeps of a block.

#include <gtest/gtest.h>

#include <algorithm>
#include <clout/host/cli/score_blocks.hpp>
#include <numeric>
#include <random>

namespace clout::test {
namespace {

using cli::ScoredBlock;
using cli::TopPoints;

std::vector<std::pair<double, Index>> pairs(const std::vector<TopPoints::Point>& points) {
  std::vector<std::pair<double, Index>> all;
  for (const auto& [score, candidate] : points) all.emplace_back(score, candidate);
  return all;
}

TEST(TopPoints, AreTheSortedEndsInAnyOrderOfArrival) {
  std::mt19937_64 random(1);
  std::vector<double> scores;
  for (int i = 0; i < 200; ++i) scores.push_back(static_cast<double>(random() % 41) - 20);  // ties, and zeros
  std::vector<Index> order(scores.size());
  std::iota(order.begin(), order.end(), Index{0});
  for (const Index most : {1, 7, 500}) {
    std::vector<std::pair<double, Index>> largest, smallest;
    for (const Index i : order) {
      const double score = scores[static_cast<std::size_t>(i)];
      if (score > 0) largest.emplace_back(-score, i);
      if (score < 0) smallest.emplace_back(score, i);
    }
    std::sort(largest.begin(), largest.end()), std::sort(smallest.begin(), smallest.end());
    for (auto& [score, unused] : largest) score = -score;
    largest.resize(std::min<std::size_t>(largest.size(), static_cast<std::size_t>(most)));
    smallest.resize(std::min<std::size_t>(smallest.size(), static_cast<std::size_t>(most)));
    for (int shuffle = 0; shuffle < 3; ++shuffle) {
      std::shuffle(order.begin(), order.end(), random);
      TopPoints top(most);
      for (const Index i : order) top.add(i, scores[static_cast<std::size_t>(i)]);
      EXPECT_EQ(pairs(top.largest()), largest);
      EXPECT_EQ(pairs(top.smallest()), smallest);
    }
    std::sort(order.begin(), order.end());
  }
}

TEST(ScoredBlock, ComesBackFromNumbers) {
  cli::Options options;
  options.top = 3;
  ScoredBlock block;
  block.report.products = 7;
  block.report.certifying_products = 9;
  block.report.seconds = 0.5;
  block.report.rounding = 1e-14;
  for (int t = 0; t < 2; ++t) {
    ColumnReport& column = block.report.columns.emplace_back();
    column.status = ColumnStatus::converged;
    column.iterations = 10 + t;
    column.refinements = 1;
    column.relative_residual = 1e-12 / (t + 1);  // the eigenvalues stay NaN, the quotient infinite
    TopPoints& top = block.tops.emplace_back(3);
    for (Index i = 0; i < 5 + t; ++i) top.add(i, static_cast<double>(i - 2) / 3);
  }
  const std::vector<double> numbers = block.pack();
  const ScoredBlock back = ScoredBlock::unpack(numbers, 2, options, 1e-10);
  EXPECT_EQ(back.report.products, 7);
  EXPECT_EQ(back.report.certifying_products, 9);
  EXPECT_TRUE(back.report.certified());
  EXPECT_EQ(back.report.max_relative_residual(), block.report.max_relative_residual());
  EXPECT_EQ(back.report.columns[1].iterations, 11);
  EXPECT_TRUE(std::isnan(back.report.columns[0].smallest_eigenvalue));
  for (std::size_t t = 0; t < 2; ++t) {
    EXPECT_EQ(pairs(back.tops[t].largest()), pairs(block.tops[t].largest()));
    EXPECT_EQ(pairs(back.tops[t].smallest()), pairs(block.tops[t].smallest()));
  }
  const auto unpack = [&](std::span<const double> values, Index tests) {
    return [=] { ScoredBlock::unpack(values, tests, options, 1e-10); };
  };
  EXPECT_THROW(unpack(std::span(numbers).first(numbers.size() - 1), 2)(), InvalidInput);
  EXPECT_THROW(unpack(numbers, 1)(), InvalidInput);
}

}  // namespace
}  // namespace clout::test
