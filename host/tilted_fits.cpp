#include <fmt/format.h>

#include <algorithm>
#include <clout/host/side_by_side.hpp>
#include <clout/host/tilted_fits.hpp>
#include <clout/kernels/error.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout {
namespace {

constexpr int kMostSteps = 60, kMostHalvings = 5;
// A direction's residual, in parts of the gradient: Newton's own error is larger until the last step.
constexpr double kForcing = 1e-2;
constexpr double kRoughest = 0.5;  // a residual that is no direction any more
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
  /// Leaves out the others.
  void keep(const std::vector<bool>& stays) {
    std::size_t kept = 0;
    for (std::size_t j = 0; j < which.size(); ++j) {
      if (!stays[j]) continue;
      which[kept] = which[j];
      norms[kept] = norms[j];
      for (std::vector<double>* rows : {&tilts, &theta, &gradients}) std::ranges::copy(row(*rows, j), row(*rows, kept).begin());
      ++kept;
    }
    which.resize(kept);
    norms.resize(kept);
    for (std::vector<double>* rows : {&tilts, &theta, &gradients}) rows->resize(kept * static_cast<std::size_t>(size));
  }
  void drop(double tolerance) {
    std::vector<bool> stays;
    for (const double norm : norms) stays.push_back(!(norm <= tolerance));
    keep(stays);
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
std::vector<double> TiltedFits<T>::directions(const Columns& columns, std::vector<bool>& is_found) {
  Device& device = fast_.device();
  const Index k = columns.count(), p = columns.size, n = fast_.examples(), width = k * fast_.shape().classes;
  const Removals nothing(device, std::vector<std::vector<Index>>(columns.which.size()), n);
  const auto as_fast = [](const std::vector<double>& values) { return std::vector<T>(values.begin(), values.end()); };
  const std::vector<T> points = as_fast(columns.theta);
  const Buffer<T> theta(device, std::span<const T>(points));
  Buffer<T> curvatures(device, n * width), in(device, k * p), out(device, k * p);
  fast_.curvatures_at(theta.view(k, p), curvatures.view(n, width));
  const RowsMap<T> multiply = [&](std::span<const T> x, std::span<T> product) {
    in.upload(x);
    fast_.hessian_products_with(curvatures.view(n, width), nothing, in.view(k, p), out.view(k, p));
    out.download(product);
  };
  std::vector<double> targets;
  for (const double norm : columns.norms) targets.push_back(std::max(kForcing * norm, kMargin * tolerance_));
  const std::vector<T> gradients = as_fast(columns.gradients);
  const SideBySideSolution<T> solution = solve_side_by_side<T>(multiply, gradients, targets);
  is_found.clear();
  for (std::size_t j = 0; j < columns.norms.size(); ++j)
    is_found.push_back(solution.left[j] <= kRoughest * columns.norms[j]);
  return {solution.x.begin(), solution.x.end()};
}

template <class T>
std::vector<double> TiltedFits<T>::fit(const std::vector<double>& tilts, std::vector<double>& theta) {
  Columns columns{.size = exact_.parameters(), .which = {}, .tilts = tilts, .theta = theta, .gradients = {}, .norms = {}};
  const auto k = static_cast<Index>(theta.size()) / columns.size;
  for (std::size_t j = 0; j < static_cast<std::size_t>(k); ++j) columns.which.push_back(j);
  columns.gradients = gradients(columns);
  columns.norms = norms_of_rows<double>(columns.gradients, k);
  std::vector<double> norms = columns.norms;
  Columns lost = columns;
  lost.keep(std::vector<bool>(columns.which.size()));
  columns.drop(tolerance_);
  for (int step = 0; columns.count() > 0; ++step) {
    std::vector<bool> goes_on;
    const std::vector<double> direction = directions(columns, goes_on);
    if (step == kMostSteps) goes_on.assign(goes_on.size(), false);
    const Columns before = columns;
    std::vector<double> lengths(columns.which.size(), 1.0);
    // A Newton direction lowers the gradient's norm, if its step is short enough.
    bool is_lower = false;
    for (int halving = 0; halving <= kMostHalvings && !is_lower; ++halving) {
      for (std::size_t i = 0; i < direction.size(); ++i) {
        const std::size_t column = i / static_cast<std::size_t>(columns.size);
        columns.theta[i] = before.theta[i] - (goes_on[column] ? lengths[column] * direction[i] : 0.0);
      }
      columns.gradients = gradients(columns);
      columns.norms = norms_of_rows<double>(columns.gradients, columns.count());
      is_lower = true;
      for (std::size_t j = 0; j < lengths.size(); ++j) {
        if (!goes_on[j] || columns.norms[j] < before.norms[j]) continue;
        if (halving == kMostHalvings) goes_on[j] = false;
        lengths[j] /= 2;
        is_lower = false;
      }
    }
    for (std::size_t j = 0; j < columns.which.size(); ++j) {
      if (!goes_on[j]) {
        lost.which.push_back(columns.which[j]);
        const auto tilt = columns.row(columns.tilts, j);
        lost.tilts.insert(lost.tilts.end(), tilt.begin(), tilt.end());
        continue;
      }
      norms[columns.which[j]] = columns.norms[j];
      std::ranges::copy(columns.row(columns.theta, j), theta.begin() + static_cast<Index>(columns.which[j]) * columns.size);
    }
    columns.keep(goes_on);
    columns.drop(tolerance_);
  }
  if (lost.count() > 0) finish_alone(lost, theta, norms);
  return norms;
}

template <class T>
void TiltedFits<T>::finish_alone(Columns& lost, std::vector<double>& theta, std::vector<double>& norms) {
  for (const std::size_t j : lost.which) {
    const auto first = theta.begin() + static_cast<Index>(j) * lost.size;
    std::vector<double> own(first, first + lost.size);
    alone_(j, own);
    std::ranges::copy(own, first);
    lost.theta.insert(lost.theta.end(), own.begin(), own.end());
  }
  const std::vector<double> left = norms_of_rows<double>(gradients(lost), lost.count());
  for (std::size_t i = 0; i < left.size(); ++i) {
    norms[lost.which[i]] = left[i];
    if (!(left[i] <= tolerance_))
      throw NotCertified(fmt::format("a fit stopped at a gradient norm of {:.3g}; expected at most {:.3g}", left[i], tolerance_));
  }
}

template class TiltedFits<float>;
template class TiltedFits<double>;

}  // namespace clout
