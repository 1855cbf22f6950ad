#include <algorithm>
#include <clout/engine/solve_advice.hpp>
#include <cmath>
#include <limits>

namespace clout {
namespace {

constexpr double kWorstCondition = 1e6;  // that an advised damping leaves
constexpr Index kMostIterations = 10'000;

double damping_for(double smallest, double largest) {
  return std::max(-2 * smallest, largest / kWorstCondition - std::min(smallest, 0.0));
}

/// Iterations of CG on diag(values) + damping·I from a right-hand side with these squares; kMostIterations at most.
Index iterations(const std::vector<double>& values, const std::vector<double>& squares, double damping,
                 double tolerance) {
  std::vector<double> r, p;
  double rho = 0;
  for (const double square : squares) {
    r.push_back(std::sqrt(square));
    rho += square;
  }
  p = r;
  const double target = tolerance * tolerance * rho;
  for (Index done = 0; done < kMostIterations; ++done) {
    if (rho <= target) return done;
    double curvature = 0, next = 0;
    for (std::size_t i = 0; i < p.size(); ++i) curvature += (values[i] + damping) * p[i] * p[i];
    for (std::size_t i = 0; i < p.size(); ++i) {
      r[i] -= rho / curvature * (values[i] + damping) * p[i];
      next += r[i] * r[i];
    }
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = r[i] + next / rho * p[i];
    rho = next;
  }
  return kMostIterations;
}

}  // namespace

SpectrumEnds::Definiteness SpectrumEnds::definiteness() const {
  if (smallest < -rounding) return Definiteness::indefinite;
  if (at_least > 0) return Definiteness::definite;
  return are_all ? Definiteness::singular : Definiteness::not_known;
}

double SpectrumEnds::advised_damping() const {
  if (definiteness() == Definiteness::definite) return 0;
  return damping_for(smallest - smallest_error, std::max(largest, rounding));
}

double SpectrumEnds::sure_damping() const {
  if (definiteness() == Definiteness::definite) return 0;
  return std::max(advised_damping(), std::max(largest, rounding) / kWorstCondition - at_least);
}

double SpectrumEnds::condition(double damping) const {
  const double least = smallest + damping;
  return least > 0 ? (largest + damping) / least : std::numeric_limits<double>::infinity();
}

SpectrumEnds::Count SpectrumEnds::cg_products(double damping, double tolerance) const {
  const Index found = iterations(values, weights, damping, tolerance);
  const Index known = are_all ? kMostIterations : static_cast<Index>(values.size());
  if (found < known) return {.products = found, .is_bound = false};
  // ‖r_m‖ ≤ 2√κ ((√κ − 1)/(√κ + 1))^m ‖r₀‖.
  const double root = std::sqrt(condition(damping));
  const double most = std::log(2 * root / tolerance) / std::log1p(2 / (root - 1));
  return {.products = static_cast<Index>(std::min(std::ceil(most), 1e15)), .is_bound = true};
}

}  // namespace clout
