// Statistics against values worked out by hand.

#include <clout/host/statistics.hpp>
#include <clout/kernels/error.hpp>
#include <cmath>

#include "gtest/gtest.h"

namespace clout::test {
namespace {

const std::vector<double> kX{1, 2, 3, 4, 5}, kY{2, 4, 5, 4, 5};

TEST(Statistics, HandValues) {
  // Σdx² = 10, Σdy² = 6, Σdxdy = 6; ranks of y: 0, 1.5, 3.5, 1.5, 3.5 with Σ² = 9, product 7.
  EXPECT_NEAR(pearson(kX, kY), 6 / std::sqrt(60.0), 1e-15);
  EXPECT_NEAR(slope(kX, kY), 0.6, 1e-15);
  EXPECT_NEAR(spearman(kX, kY), 7 / std::sqrt(90.0), 1e-15);
  const Agreement a = agreement(kX, kY);
  EXPECT_NEAR(a.pearson, 6 / std::sqrt(60.0), 1e-15);
  EXPECT_NEAR(a.spearman, 7 / std::sqrt(90.0), 1e-15);
  EXPECT_NEAR(a.slope, 0.6, 1e-15);
  EXPECT_NEAR(a.intercept, 2.2, 1e-14);
  EXPECT_NEAR(a.median_relative_error, 0.4, 1e-15);  // of 1/2, 1/2, 2/5, 0, 0
  EXPECT_EQ(a.sign_agreement, 1);
}

TEST(Statistics, SlopeIsOfActualOnPredicted) {
  const std::vector<double> predicted{1, 2, 3}, actual{2, 4, 6};
  EXPECT_NEAR(agreement(predicted, actual).slope, 2, 1e-15);
  EXPECT_NEAR(agreement(predicted, actual).intercept, 0, 1e-14);
}

TEST(Statistics, Signs) {
  const std::vector<double> falling{-1, -2, -3, -4, -5};
  EXPECT_NEAR(pearson(kX, falling), -1, 1e-15);
  EXPECT_NEAR(spearman(kX, falling), -1, 1e-15);
  const std::vector<double> predicted{1, -1, 0, 2}, actual{2, 1, 0, -1};
  EXPECT_EQ(agreement(predicted, actual).sign_agreement, 0.5);  // the first, and zero with zero
}

TEST(Statistics, RanksSeeOrderAlone) {
  const std::vector<double> cubes{1, 8, 27, 64, 1e9};
  EXPECT_NEAR(spearman(kX, cubes), 1, 1e-15);
  EXPECT_LT(pearson(kX, cubes), 0.9);
  const std::vector<double> ties{3, 3, 3, 3, 4};  // ranks 1.5 × 4 and 4: Σd² = 5, product with 0 … 4: 5
  EXPECT_NEAR(spearman(kX, ties), 5 / std::sqrt(50.0), 1e-15);
}

TEST(Statistics, NoSpreadIsNotANumber) {
  const std::vector<double> flat(5, 2.0);
  EXPECT_TRUE(std::isnan(pearson(kX, flat)));
  EXPECT_TRUE(std::isnan(spearman(flat, kX)));
  EXPECT_TRUE(std::isnan(slope(flat, kX)));
  const std::vector<double> one{1};
  EXPECT_TRUE(std::isnan(agreement(one, one).pearson));
}

TEST(Statistics, LargeOffsetsDoNotCancel) {
  std::vector<double> x, y;
  for (const double value : kX) x.push_back(1e9 + value);
  for (const double value : kY) y.push_back(-1e9 + value);
  EXPECT_NEAR(pearson(x, y), 6 / std::sqrt(60.0), 1e-12);
  EXPECT_NEAR(slope(x, y), 0.6, 1e-12);
}

TEST(Statistics, Quantiles) {
  EXPECT_EQ(quantile({3, 1, 2}, 0), 1);
  EXPECT_EQ(quantile({3, 1, 2}, 0.25), 1.5);
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({3, 1, 2}, 1), 3);
  EXPECT_EQ(quantile({7}, 0.975), 7);
  EXPECT_THROW(quantile({}, 0.5), InvalidInput);
}

TEST(Statistics, ListsOfDifferentLengthAreRefused) {
  const std::vector<double> short_one{1, 2};
  EXPECT_THROW(pearson(kX, short_one), InvalidInput);
  EXPECT_THROW(slope(short_one, kX), InvalidInput);
  EXPECT_THROW(agreement({}, {}), InvalidInput);
}

TEST(Statistics, BootstrapOfALineHasNoWidth) {
  const std::vector<double> twice{2, 4, 6, 8, 10};
  RandomSequence random(1, RandomStream::bootstrap);
  const BootstrapIntervals b = bootstrap(kX, twice, 200, random);
  for (const double value : {b.slope.low, b.slope.high}) EXPECT_NEAR(value, 2, 1e-12);
  for (const double value : {b.pearson.low, b.pearson.high}) EXPECT_NEAR(value, 1, 1e-12);
}

TEST(Statistics, BootstrapOfFewPairsHasNoResampleWithoutSpread) {
  // Of five pairs one in 625 resamples is five times the same: 0/0.
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    RandomSequence random(seed, RandomStream::bootstrap);
    const BootstrapIntervals b = bootstrap(kX, kY, 1000, random);
    for (const double value : {b.slope.low, b.slope.high, b.pearson.low, b.pearson.high}) EXPECT_TRUE(std::isfinite(value));
    EXPECT_LE(b.pearson.low, b.pearson.high);
    EXPECT_LE(b.slope.low, b.slope.high);
  }
  // With no spread at all there is nothing to wait for.
  const std::vector<double> flat{1, 1, 1, 1, 1};
  RandomSequence random(1, RandomStream::bootstrap);
  EXPECT_TRUE(std::isnan(bootstrap(flat, kY, 10, random).slope.low));
  EXPECT_TRUE(std::isnan(quantile({1, std::nan(""), 0}, 0)));
}

// y_rt = (1 + a_r + b_t) x_rt: the pooled slope varies with the rows drawn and with the tests drawn, so that an interval over
// tests alone is too narrow.
TEST(Statistics, CrossedBootstrapKnowsOfRowsAndTests) {
  constexpr std::size_t kRows = 30, kTests = 100;
  constexpr double kSpread = 0.5;
  int covered = 0;
  constexpr int kRounds = 60;
  for (int round = 0; round < kRounds; ++round) {
    RandomSequence noise(static_cast<std::uint64_t>(round), RandomStream::vectors), random(7, RandomStream::bootstrap);
    std::vector<double> a(kRows), b(kTests), x, y;
    for (double& value : a) value = kSpread * (2 * noise.uniform() - 1);
    for (double& value : b) value = 0.1 * kSpread * (2 * noise.uniform() - 1);
    for (std::size_t t = 0; t < kTests; ++t)
      for (std::size_t r = 0; r < kRows; ++r) {
        x.push_back(2 * noise.uniform() - 1);
        y.push_back((1 + a[r] + b[t]) * x.back());
      }
    const Interval interval = crossed_bootstrap_of_slope(x, y, kTests, 300, random);
    covered += interval.low < 1 && 1 < interval.high;
    // The slope's deviation is that of a mean of 30 uniform numbers, 0.5/√(3·30) = 0.053, and little more: 2 · 1.96 of it.
    EXPECT_NEAR(interval.high - interval.low, 0.21, 0.09);
  }
  // 95 % of 60 is 57, with a deviation of 1.7. Drawing tests alone covers 10 of 60, with a tenth of the width.
  EXPECT_GE(covered, 51);
}

TEST(Statistics, BootstrapCoversTheSlopeAndNarrowsWithMorePairs) {
  double widths[2];
  const std::size_t counts[] = {50, 5000};
  for (int round = 0; round < 2; ++round) {
    RandomSequence noise(5, RandomStream::vectors), random(5, RandomStream::bootstrap);
    std::vector<double> x, y;
    for (std::size_t i = 0; i < counts[round]; ++i) {
      x.push_back(noise.uniform());
      y.push_back(3 * x.back() + noise.uniform() - 0.5);
    }
    const BootstrapIntervals b = bootstrap(x, y, 400, random);
    EXPECT_LT(b.slope.low, slope(x, y));
    EXPECT_GT(b.slope.high, slope(x, y));
    EXPECT_LE(b.pearson.high, 1);
    widths[round] = b.slope.high - b.slope.low;
    // 2 · 1.96 σ_noise / (σ_x √n), both uniform with the same σ: 3.92 / √n. The interval is itself random.
    EXPECT_NEAR(widths[round] * std::sqrt(static_cast<double>(counts[round])), 3.92, 1.2);
    RandomSequence again(5, RandomStream::bootstrap);
    EXPECT_EQ(bootstrap(x, y, 400, again).slope.low, b.slope.low);
  }
}

}  // namespace
}  // namespace clout::test
