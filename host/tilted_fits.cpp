#include <fmt/format.h>

#include <algorithm>
#include <clout/host/side_by_side.hpp>
#include <clout/host/tilted_fits.hpp>
#include <clout/kernels/error.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout {
namespace {

constexpr int kMostSteps = 60, kMostHalvings = 30;
// A direction's residual, in parts of the gradient: Newton's own error is larger until the last step.
constexpr double kForcing = 1e-2;
// What the last step aims at, in parts of the tolerance.
constexpr double kMargin = 0.25;

}  // namespace

/// Those that are under way: rows of [k][p].
template <class T>
struct TiltedFits<T>::Columns {
  Index size = 0;                               // p
  std::vector<std::size_t> which;               // their numbers
  std::vector<double> tilts, theta, gradients;  // [which][p]
  std::vector<double> norms;

  Index count() const { return std::ssize(which); }
  std::span<double> row(std::vector<double>& rows, std::size_t j) const {
    return std::span(rows).subspan(j * static_cast<std::size_t>(size), static_cast<std::size_t>(size));
  }
  /// Leaves out those within the tolerance.
  void drop(double tolerance) {
    std::size_t kept = 0;
    for (std::size_t j = 0; j < which.size(); ++j) {
      if (norms[j] <= tolerance) continue;
      which[kept] = which[j];
      norms[kept] = norms[j];
      for (std::vector<double>* rows : {&tilts, &theta, &gradients}) std::ranges::copy(row(*rows, j), row(*rows, kept).begin());
      ++kept;
    }
    which.resize(kept);
    norms.resize(kept);
    for (std::vector<double>* rows : {&tilts, &theta, &gradients}) rows->resize(kept * static_cast<std::size_t>(size));
  }
};

template <class T>
std::vector<double> TiltedFits<T>::gradients(const Columns& columns) {
  Device& device = exact_.device();
  const Index k = columns.count();
  const Removals nothing(device, std::vector<std::vector<Index>>(columns.which.size()), exact_.examples());
  const Buffer<double> theta(device, std::span<const double>(columns.theta));
  Buffer<double> out(device, k * columns.size);
  exact_.gradients_without(nothing, theta.view(k, columns.size), out.view(k, columns.size));
  std::vector<double> all = out.to_host();
  for (std::size_t i = 0; i < all.size(); ++i) all[i] += columns.tilts[i];
  return all;
}

template <class T>
std::vector<double> TiltedFits<T>::directions(const Columns& columns) {
  Device& device = fast_.device();
  const Index k = columns.count(), p = columns.size, n = fast_.examples(), width = k * fast_.shape().classes;
  const Removals nothing(device, std::vector<std::vector<Index>>(columns.which.size()), n);
  const auto as_fast = [](const std::vector<double>& values) { return std::vector<T>(values.begin(), values.end()); };
  const std::vector<T> points = as_fast(columns.theta);
  const Buffer<T> theta(device, std::span<const T>(points));
  Buffer<T> curvatures(device, n * width), in(device, k * p), out(device, k * p);
  fast_.curvatures_at(theta.view(k, p), curvatures.view(n, width));
  const RowsMap multiply = [&](const std::vector<double>& x) {
    in.upload(as_fast(x));
    fast_.hessian_products_with(curvatures.view(n, width), nothing, in.view(k, p), out.view(k, p));
    const std::vector<T> products = out.to_host();
    return std::vector<double>(products.begin(), products.end());
  };
  std::vector<double> targets;
  for (const double norm : columns.norms) targets.push_back(std::max(kForcing * norm, kMargin * tolerance_));
  SideBySideSolution solution = solve_side_by_side(multiply, columns.gradients, targets);
  products_ += solution.products;
  return std::move(solution.x);
}

template <class T>
std::vector<double> TiltedFits<T>::fit(const std::vector<double>& tilts, std::vector<double>& theta) {
  Columns columns{.size = exact_.parameters(), .which = {}, .tilts = tilts, .theta = theta, .gradients = {}, .norms = {}};
  const auto k = static_cast<Index>(theta.size()) / columns.size;
  for (std::size_t j = 0; j < static_cast<std::size_t>(k); ++j) columns.which.push_back(j);
  columns.gradients = gradients(columns);
  columns.norms = norms_of_rows(columns.gradients, k);
  std::vector<double> norms = columns.norms;
  columns.drop(tolerance_);
  for (int step = 0; columns.count() > 0; ++step) {
    if (step == kMostSteps)
      throw NotCertified(fmt::format("a fit stopped at a gradient norm of {:.3g}; expected at most {:.3g}",
                                     *std::ranges::max_element(columns.norms), tolerance_));
    const std::vector<double> direction = directions(columns);
    std::vector<double> lengths(columns.which.size(), 1.0);
    const Columns before = columns;
    // A Newton direction lowers the gradient's norm, if its step is short enough.
    for (int halving = 0;; ++halving) {
      for (std::size_t i = 0; i < direction.size(); ++i)
        columns.theta[i] = before.theta[i] - lengths[i / static_cast<std::size_t>(columns.size)] * direction[i];
      columns.gradients = gradients(columns);
      columns.norms = norms_of_rows(columns.gradients, columns.count());
      bool is_lower = true;
      for (std::size_t j = 0; j < lengths.size(); ++j)
        if (!(columns.norms[j] < before.norms[j])) {
          lengths[j] /= 2;
          is_lower = false;
        }
      if (is_lower) break;
      if (halving == kMostHalvings)
        throw NotCertified(fmt::format("a fit's gradient norm stopped falling at {:.3g}; expected at most {:.3g}",
                                       *std::ranges::max_element(before.norms), tolerance_));
    }
    for (std::size_t j = 0; j < columns.which.size(); ++j) {
      norms[columns.which[j]] = columns.norms[j];
      std::ranges::copy(columns.row(columns.theta, j), theta.begin() + static_cast<Index>(columns.which[j]) * columns.size);
    }
    columns.drop(tolerance_);
  }
  return norms;
}

template class TiltedFits<float>;
template class TiltedFits<double>;

}  // namespace clout
