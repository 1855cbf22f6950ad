#include <algorithm>
#include <clout/engine/spectrum.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace clout {
namespace {

constexpr double kWorstCondition = 1e6;  // that an advised damping leaves

}  // namespace

double Spectrum::trace() const { return std::accumulate(eigenvalues.begin(), eigenvalues.end(), 0.0); }

Index Spectrum::negative() const {
  return std::lower_bound(eigenvalues.begin(), eigenvalues.end(), -rounding) - eigenvalues.begin();
}

Index Spectrum::positive() const {
  return eigenvalues.end() - std::upper_bound(eigenvalues.begin(), eigenvalues.end(), rounding);
}

double Spectrum::advised_damping() const {
  if (is_positive_definite()) return 0;
  return std::max(-2 * smallest(), std::max(largest(), rounding) / kWorstCondition - std::min(smallest(), 0.0));
}

Spectrum spectrum(Objective<double>& objective, const Progress& progress) {
  const Index p = objective.parameters();
  Device& device = objective.device();
  Buffer<double> matrix(device, p * p), values(device, p);
  if (progress) progress("explicit Hessian", 0, 2);
  objective.explicit_hessian(0.0, matrix.view(p, p));
  if (progress) progress("eigenvalues", 1, 2);
  device.kernels<double>().symmetric_eigenvalues(device, {matrix.view(p, p), values.data()});
  Spectrum result{values.to_host(), 0};
  for (const double value : result.eigenvalues)
    if (!std::isfinite(value)) throw NotCertified("spectrum: NaN or infinity in the Hessian: check x and the parameters");
  const double norm = std::max(std::abs(result.smallest()), std::abs(result.largest()));
  result.rounding = static_cast<double>(p) * std::numeric_limits<double>::epsilon() * norm;
  if (progress) progress("eigenvalues", 2, 2);
  return result;
}

}  // namespace clout
