#include <algorithm>
#include <clout/host/cli/top_points.hpp>
#include <clout/kernels/error.hpp>

namespace clout::cli {
namespace {

/// Whether one point comes before another, the largest sign·score first.
auto before(int sign) {
  return [sign](const TopPoints::Point& a, const TopPoints::Point& b) {
    if (a.score != b.score) return sign > 0 ? a.score > b.score : a.score < b.score;
    return a.candidate < b.candidate;
  };
}

double take(std::span<const double>& at) {
  require(!at.empty(), "journal: a block of scores is cut off; expected the same request as before");
  const double value = at.front();
  at = at.subspan(1);
  return value;
}

}  // namespace

void TopPoints::keep(std::vector<Point>& points, Point point, int sign) {
  const auto order = before(sign);
  if (points.size() == most_) {
    if (!order(point, points.front())) return;
    std::pop_heap(points.begin(), points.end(), order);
    points.pop_back();
  }
  points.push_back(point);
  std::push_heap(points.begin(), points.end(), order);
}

std::vector<TopPoints::Point> TopPoints::sorted(std::vector<Point> points, int sign) {
  std::sort(points.begin(), points.end(), before(sign));
  return points;
}

void TopPoints::pack(std::vector<double>& values) const {
  for (const std::vector<Point>* points : {&positive_, &negative_}) {
    values.push_back(static_cast<double>(points->size()));
    for (const Point& point : *points) {
      values.push_back(static_cast<double>(point.candidate));
      values.push_back(point.score);
    }
  }
}

void TopPoints::unpack(std::span<const double>& at) {
  for (const int sign : {1, -1}) {
    const double count = take(at);
    for (double i = 0; i < count; ++i) {
      const Index candidate = static_cast<Index>(take(at));
      keep(sign > 0 ? positive_ : negative_, {take(at), candidate}, sign);
    }
  }
}

}  // namespace clout::cli
