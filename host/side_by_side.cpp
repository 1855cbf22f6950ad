#include <clout/host/side_by_side.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

}  // namespace

std::vector<double> norms_of_rows(std::span<const double> rows, Index k) {
  const std::size_t p = rows.size() / static_cast<std::size_t>(k);
  std::vector<double> norms;
  for (std::size_t first = 0; first < rows.size(); first += p)
    norms.push_back(std::sqrt(dot(rows.subspan(first, p), rows.subspan(first, p))));
  return norms;
}

SideBySideSolution solve_side_by_side(const RowsMap& multiply, std::span<const double> b, std::span<const double> targets,
                                      const SideBySideOptions& options) {
  const std::size_t k = targets.size(), p = b.size() / k;
  SideBySideSolution solution{std::vector<double>(b.size()), norms_of_rows(b, static_cast<Index>(k)), 0};
  std::vector<double> r(b.begin(), b.end()), direction(b.size()), rho(k);
  const auto is_done = [&](std::size_t j) { return solution.left[j] <= targets[j]; };
  const auto row = [p](std::vector<double>& all, std::size_t j) { return std::span(all).subspan(j * p, p); };
  const auto any_left = [&] {
    for (std::size_t j = 0; j < k; ++j)
      if (!is_done(j)) return true;
    return false;
  };
  while (solution.products < options.max_iterations && any_left()) {
    std::vector<double> z = options.precondition ? options.precondition(r) : r;
    for (std::size_t j = 0; j < k; ++j) {
      const double next = dot(row(r, j), row(z, j)), beta = rho[j] > 0 ? next / rho[j] : 0;
      const auto own = row(direction, j), step = row(z, j);
      for (std::size_t i = 0; i < p; ++i) own[i] = step[i] + beta * own[i];
      rho[j] = next;
    }
    std::vector<double> q = multiply(direction);
    ++solution.products;
    for (std::size_t j = 0; j < k; ++j) {
      const auto own = row(direction, j), image = row(q, j), x = row(solution.x, j), residual = row(r, j);
      const double curvature = dot(own, image);
      if (is_done(j) || !(curvature > 0)) continue;
      const double alpha = rho[j] / curvature;
      for (std::size_t i = 0; i < p; ++i) {
        x[i] += alpha * own[i];
        residual[i] -= alpha * image[i];
      }
      solution.left[j] = std::sqrt(dot(residual, residual));
    }
  }
  return solution;
}

}  // namespace clout
