#include <algorithm>
#include <chrono>
#include <clout/host/quasi_newton.hpp>
#include <cmath>
#include <deque>

namespace clout {
namespace {

using Vector = std::vector<double>;

constexpr double kSlopeLeft = 0.5;   // of the slope at the start: a step is long enough
constexpr int kMostTrials = 20;      // of a step's length
constexpr double kLongest = 64;      // step, where the slope keeps falling
constexpr double kLeastShare = 0.1;  // of a bracket, that a trial keeps from its ends

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
void add_scaled(double a, const Vector& x, Vector& y) {
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += a * x[i];
}

class QuasiNewton {
 public:
  QuasiNewton(Retrainable<double>& objective, const Removals& removals, const HessianFactor<double>& factor, Index memory)
      : objective_(objective), removals_(removals), factor_(factor), memory_(static_cast<std::size_t>(memory)) {}

  Vector gradient(const Vector& theta) {
    const Index p = objective_.parameters();
    const Buffer<double> at(objective_.device(), std::span<const double>(theta));
    Buffer<double> out(objective_.device(), p);
    objective_.gradients_without(removals_, at.view(1, p), out.view(1, p));
    return out.to_host();
  }

  /// −H⁻¹ g by the two loops, the factor's solve between them.
  Vector direction(const Vector& g) const {
    Vector d = g;
    std::vector<double> share(pairs_.size());
    for (std::size_t k = pairs_.size(); k-- > 0;) {
      share[k] = dot(pairs_[k].step, d) / pairs_[k].curvature;
      add_scaled(-share[k], pairs_[k].change, d);
    }
    Buffer<double> solved(objective_.device(), std::span<const double>(d));
    factor_.solve(solved.view(1, objective_.parameters()));
    d = solved.to_host();
    for (std::size_t k = 0; k < pairs_.size(); ++k)
      add_scaled(share[k] - dot(pairs_[k].change, d) / pairs_[k].curvature, pairs_[k].step, d);
    for (double& value : d) value = -value;
    return d;
  }

  /// Moves along d to where the slope has fallen to half or less of what it was; false where no length does.
  bool search(const Vector& d, Vector& theta, Vector& g) {
    const double slope = dot(g, d);
    double low = 0, low_slope = slope, high = 0, high_slope = 0, length = 1;
    for (int trial = 0; trial < kMostTrials; ++trial) {
      Vector there = theta;
      add_scaled(length, d, there);
      Vector g_there = gradient(there);
      const double slope_there = dot(g_there, d);
      if (std::abs(slope_there) <= kSlopeLeft * std::abs(slope)) {
        remember(d, length, g, g_there);
        theta = std::move(there);
        g = std::move(g_there);
        return true;
      }
      if (slope_there < 0) low = length, low_slope = slope_there;
      else high = length, high_slope = slope_there;
      if (high == 0) {
        if ((length *= 2) > kLongest) return false;
        continue;
      }
      const double share = std::isfinite(high_slope) ? low_slope / (low_slope - high_slope) : kLeastShare;
      length = low + std::clamp(share, kLeastShare, 1 - kLeastShare) * (high - low);
    }
    return false;
  }

  bool has_memory() const { return !pairs_.empty(); }
  void forget() { pairs_.clear(); }

 private:
  struct Pair {
    Vector step, change;
    double curvature;  // stepᵀ change
  };

  void remember(const Vector& d, double length, const Vector& g, const Vector& g_there) {
    Pair pair{Vector(d.size()), g_there, 0};
    add_scaled(length, d, pair.step);
    add_scaled(-1, g, pair.change);
    pair.curvature = dot(pair.step, pair.change);
    if (!(pair.curvature > 0)) return;
    pairs_.push_back(std::move(pair));
    if (pairs_.size() > memory_) pairs_.pop_front();
  }

  Retrainable<double>& objective_;
  const Removals& removals_;
  const HessianFactor<double>& factor_;
  std::size_t memory_;
  std::deque<Pair> pairs_;
};

}  // namespace

TrainingReport minimize(Retrainable<double>& objective, const Removals& removals, const HessianFactor<double>& factor,
                        std::vector<double>& theta, const QuasiNewtonOptions& options) {
  require(options.tolerance > 0, "quasi-Newton tolerance: expected a positive gradient norm");
  require(removals.models() == 1, "quasi-Newton: expected one model");
  const auto start = std::chrono::steady_clock::now();
  QuasiNewton method(objective, removals, factor, options.memory);
  TrainingReport report;
  Vector g = method.gradient(theta);
  while (!(std::sqrt(dot(g, g)) <= options.tolerance) && static_cast<Index>(report.steps.size()) < options.max_steps) {
    const Vector d = method.direction(g);
    if (!(dot(g, d) < 0) || !method.search(d, theta, g)) {
      if (!method.has_memory()) break;  // not even along the factor's own direction
      method.forget();
      continue;
    }
    report.steps.push_back({std::nan(""), std::sqrt(dot(g, g)), 1, 0});
  }
  report.gradient_norm = std::sqrt(dot(g, g));
  report.converged = report.gradient_norm <= options.tolerance;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace clout
