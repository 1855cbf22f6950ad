#include <algorithm>
#include <clout/host/statistics.hpp>
#include <clout/kernels/error.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

struct Moments {
  double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
};

/// Two passes: central moments without cancellation.
template <class At>
Moments moments(std::size_t count, At at) {
  Moments m;
  for (std::size_t i = 0; i < count; ++i) {
    const auto [x, y] = at(i);
    m.mean_x += x;
    m.mean_y += y;
  }
  m.mean_x /= static_cast<double>(count);
  m.mean_y /= static_cast<double>(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto [x, y] = at(i);
    m.xx += (x - m.mean_x) * (x - m.mean_x);
    m.yy += (y - m.mean_y) * (y - m.mean_y);
    m.xy += (x - m.mean_x) * (y - m.mean_y);
  }
  return m;
}

Moments moments(std::span<const double> x, std::span<const double> y) {
  require(x.size() == y.size() && !x.empty(), "statistics: two lists of the same length, not empty, are needed");
  return moments(x.size(), [&](std::size_t i) { return std::pair{x[i], y[i]}; });
}

std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first;
    while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]]) ++last;
    for (std::size_t i = first; i <= last; ++i) rank[order[i]] = 0.5 * static_cast<double>(first + last);
    first = last + 1;
  }
  return rank;
}

bool has_spread(std::span<const double> values) {
  return std::any_of(values.begin(), values.end(), [&](double value) { return value != values[0]; });
}

/// 95 % of the values.
Interval middle(const std::vector<double>& values) { return {quantile(values, 0.025), quantile(values, 0.975)}; }

}  // namespace

double pearson(std::span<const double> x, std::span<const double> y) {
  const Moments m = moments(x, y);
  return m.xy / std::sqrt(m.xx * m.yy);
}

double slope(std::span<const double> x, std::span<const double> y) {
  const Moments m = moments(x, y);
  return m.xy / m.xx;
}

double spearman(std::span<const double> x, std::span<const double> y) {
  const std::vector<double> rx = ranks(x), ry = ranks(y);
  return pearson(rx, ry);
}

double quantile(std::vector<double> values, double q) {
  require(!values.empty(), "statistics: a quantile of nothing");
  for (const double value : values)
    if (std::isnan(value)) return value;  // it has no place in an order
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

Agreement agreement(std::span<const double> predicted, std::span<const double> actual) {
  const Moments m = moments(predicted, actual);
  Agreement result;
  result.pearson = m.xy / std::sqrt(m.xx * m.yy);
  result.spearman = spearman(predicted, actual);
  result.slope = m.xy / m.xx;
  result.intercept = m.mean_y - result.slope * m.mean_x;
  std::vector<double> errors;
  std::size_t same_sign = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != 0) errors.push_back(std::abs(predicted[i] - actual[i]) / std::abs(actual[i]));
    same_sign += (predicted[i] > 0) == (actual[i] > 0) && (predicted[i] < 0) == (actual[i] < 0);
  }
  result.median_relative_error = errors.empty() ? std::nan("") : quantile(errors, 0.5);
  result.sign_agreement = static_cast<double>(same_sign) / static_cast<double>(actual.size());
  return result;
}

BootstrapIntervals bootstrap(std::span<const double> predicted, std::span<const double> actual, int resamples,
                             RandomSequence& random) {
  const std::size_t count = predicted.size();
  std::vector<double> x(count), y(count), pearsons, slopes;
  const bool can_vary = has_spread(predicted) && has_spread(actual);
  for (int r = 0; r < resamples; ++r) {
    do {
      for (std::size_t i = 0; i < count; ++i) {
        const auto pick = static_cast<std::size_t>(random.below(static_cast<Index>(count)));
        x[i] = predicted[pick];
        y[i] = actual[pick];
      }
    } while (can_vary && !(has_spread(x) && has_spread(y)));
    const Moments m = moments(x, y);
    pearsons.push_back(m.xy / std::sqrt(m.xx * m.yy));
    slopes.push_back(m.xy / m.xx);
  }
  return {middle(pearsons), middle(slopes)};
}

Interval crossed_bootstrap_of_slope(std::span<const double> predicted, std::span<const double> actual, std::size_t tests,
                                    int resamples, RandomSequence& random) {
  require(tests > 0 && predicted.size() % tests == 0 && predicted.size() == actual.size(),
          "statistics: pairs of every row with every test are needed");
  const std::size_t rows = predicted.size() / tests;
  std::vector<std::size_t> drawn_rows(rows), drawn_tests(tests);
  const auto draw = [&](std::vector<std::size_t>& picks) {
    for (std::size_t& pick : picks) pick = static_cast<std::size_t>(random.below(static_cast<Index>(picks.size())));
  };
  std::vector<double> slopes, x(predicted.size()), y(actual.size());
  const bool can_vary = has_spread(predicted);
  for (int r = 0; r < resamples; ++r) {
    do {
      draw(drawn_rows);
      draw(drawn_tests);
      for (std::size_t t = 0; t < tests; ++t)
        for (std::size_t j = 0; j < rows; ++j) {
          const std::size_t from = drawn_tests[t] * rows + drawn_rows[j], to = t * rows + j;
          x[to] = predicted[from];
          y[to] = actual[from];
        }
    } while (can_vary && !has_spread(x));
    slopes.push_back(slope(x, y));
  }
  return middle(slopes);
}

std::vector<Index> descending(std::span<const double> values) {
  std::vector<Index> places(values.size());
  std::iota(places.begin(), places.end(), Index{0});
  std::stable_sort(places.begin(), places.end(), [&](Index a, Index b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  return places;
}

}  // namespace clout
