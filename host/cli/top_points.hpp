#pragma once
// The candidates with the largest scores of each sign, kept while scores come by.

#include <clout/kernels/matrix_view.hpp>
#include <span>
#include <vector>

namespace clout::cli {

/// Of one test example. Ties go to the smaller candidate, so that the order in which they come does not matter.
class TopPoints {
 public:
  struct Point {
    double score;
    Index candidate;
  };

  explicit TopPoints(Index most) : most_(static_cast<std::size_t>(most)) {}

  void add(Index candidate, double score) {
    if (score > 0) keep(positive_, {score, candidate}, 1);
    else if (score < 0) keep(negative_, {score, candidate}, -1);
  }

  /// The largest first; the most negative first.
  std::vector<Point> largest() const { return sorted(positive_, 1); }
  std::vector<Point> smallest() const { return sorted(negative_, -1); }

  /// As numbers for a journal, appended to `values`; and back, from `at` on, which moves behind them.
  void pack(std::vector<double>& values) const;
  void unpack(std::span<const double>& at);

 private:
  void keep(std::vector<Point>& points, Point point, int sign);
  static std::vector<Point> sorted(std::vector<Point> points, int sign);

  std::size_t most_;
  std::vector<Point> positive_, negative_;  // heaps, the first to go in front
};

}  // namespace clout::cli
