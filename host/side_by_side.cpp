#include <clout/host/side_by_side.hpp>
#include <cmath>

namespace clout {
namespace {

// Sums side by side, so that they are not one long chain.
template <class T>
double dot(std::span<const T> a, std::span<const T> b) {
  constexpr std::size_t kSums = 8;
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= a.size(); i += kSums)
    for (std::size_t lane = 0; lane < kSums; ++lane)
      sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

template <class T>
std::vector<double> norms_of_rows(std::span<const T> rows, Index k) {
  const std::size_t p = rows.size() / static_cast<std::size_t>(k);
  std::vector<double> norms;
  for (std::size_t first = 0; first < rows.size(); first += p)
    norms.push_back(std::sqrt(dot(rows.subspan(first, p), rows.subspan(first, p))));
  return norms;
}

template <class T>
SideBySideSolution<T> solve_side_by_side(const RowsMap<T>& multiply, std::span<const T> b, std::span<const double> targets,
                                         const SideBySideOptions<T>& options) {
  const std::size_t k = targets.size(), p = b.size() / k;
  SideBySideSolution<T> solution{std::vector<T>(b.size()), norms_of_rows(b, static_cast<Index>(k)), 0};
  std::vector<T> r(b.begin(), b.end()), direction(b.size()), image(b.size()), solved(options.precondition ? b.size() : 0);
  std::vector<double> rho(k);
  const auto row = [p](std::vector<T>& all, std::size_t j) { return std::span(all).subspan(j * p, p); };
  const auto fixed = [p](const std::vector<T>& all, std::size_t j) { return std::span(all).subspan(j * p, p); };
  std::vector<bool> is_stuck(k);
  const auto is_done = [&](std::size_t j) { return is_stuck[j] || solution.left[j] <= targets[j]; };
  const auto any_left = [&] {
    for (std::size_t j = 0; j < k; ++j)
      if (!is_done(j)) return true;
    return false;
  };
  while (solution.products < options.max_iterations && any_left()) {
    if (options.precondition) options.precondition(r, solved);
    const std::vector<T>& z = options.precondition ? solved : r;
    for (std::size_t j = 0; j < k; ++j) {
      const auto step = fixed(z, j), own = row(direction, j);
      const double next = dot(fixed(r, j), step);
      const auto beta = static_cast<T>(rho[j] > 0 ? next / rho[j] : 0.0);
      for (std::size_t i = 0; i < p; ++i) own[i] = step[i] + beta * own[i];
      rho[j] = next;
    }
    multiply(direction, image);
    ++solution.products;
    for (std::size_t j = 0; j < k; ++j) {
      const auto own = fixed(direction, j), product = fixed(image, j);
      if (is_done(j)) continue;
      const double curvature = dot(own, product);
      if (!(curvature > 0)) {
        is_stuck[j] = true;
        continue;
      }
      const auto alpha = static_cast<T>(rho[j] / curvature);
      const auto x = row(solution.x, j), residual = row(r, j);
      for (std::size_t i = 0; i < p; ++i) {
        x[i] += alpha * own[i];
        residual[i] -= alpha * product[i];
      }
      solution.left[j] = std::sqrt(dot<T>(residual, residual));
    }
  }
  return solution;
}

#define CLOUT_INSTANTIATE(T)                                                                                   \
  template std::vector<double> norms_of_rows(std::span<const T>, Index);                                       \
  template SideBySideSolution<T> solve_side_by_side(const RowsMap<T>&, std::span<const T>, std::span<const double>, \
                                                    const SideBySideOptions<T>&);
CLOUT_INSTANTIATE(float)
CLOUT_INSTANTIATE(double)
#undef CLOUT_INSTANTIATE

}  // namespace clout
