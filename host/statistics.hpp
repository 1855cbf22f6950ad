#pragma once
// Agreement of predicted with actual changes.

#include <clout/kernels/philox.hpp>
#include <span>
#include <vector>

namespace clout {

/// y ≈ slope · x + intercept by least squares, and the correlations. NaN where a side has no spread.
struct Agreement {
  double pearson = 0, spearman = 0, slope = 0, intercept = 0;
  double median_relative_error = 0;  ///< of |x − y| / |y|
  double sign_agreement = 0;         ///< share of pairs with the same sign
};
Agreement agreement(std::span<const double> predicted, std::span<const double> actual);

double pearson(std::span<const double> x, std::span<const double> y);
/// Least squares of y on x, with intercept.
double slope(std::span<const double> x, std::span<const double> y);
/// Ties get the mean of their ranks.
double spearman(std::span<const double> x, std::span<const double> y);

struct Interval {
  double low = 0, high = 0;
};
/// 95 % percentile bootstrap intervals over pairs. A resample that has no spread on one side, where the pairs have, is
/// drawn again.
struct BootstrapIntervals {
  Interval pearson, slope;
};
BootstrapIntervals bootstrap(std::span<const double> predicted, std::span<const double> actual, int resamples,
                             RandomSequence& random);

/// The same of the slope where every row stands in a pair with every test (rows of one test together), so that neither the
/// pairs of a row nor those of a test are independent: resamples draw rows and tests (Owen 2007, "The pigeonhole bootstrap").
Interval crossed_bootstrap_of_slope(std::span<const double> predicted, std::span<const double> actual, std::size_t tests,
                                    int resamples, RandomSequence& random);

/// Places by falling value, ties by place.
std::vector<Index> descending(std::span<const double> values);

/// The q-quantile (linear interpolation) of unsorted values; NaN where one of them is.
double quantile(std::vector<double> values, double q);

}  // namespace clout
