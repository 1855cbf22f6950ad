#include <algorithm>
#include <clout/engine/spectrum.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace clout {
namespace {

/// Uses the matrix up.
Spectrum spectrum_of(Device& device, MatrixView<double> matrix) {
  const Index p = matrix.rows;
  Buffer<double> values(device, p);
  device.kernels<double>().symmetric_eigenvalues(device, {matrix, values.data()});
  Spectrum result{values.to_host(), 0};
  for (const double value : result.eigenvalues)
    if (!std::isfinite(value))
      throw NotCertified("spectrum: NaN or infinity in the Hessian: check x and the parameters");
  const double norm = std::max(std::abs(result.smallest()), std::abs(result.largest()));
  result.rounding = static_cast<double>(p) * std::numeric_limits<double>::epsilon() * norm;
  return result;
}

}  // namespace

double Spectrum::trace() const { return std::accumulate(eigenvalues.begin(), eigenvalues.end(), 0.0); }

Index Spectrum::negative() const {
  return std::lower_bound(eigenvalues.begin(), eigenvalues.end(), -rounding) - eigenvalues.begin();
}

Index Spectrum::positive() const {
  return eigenvalues.end() - std::upper_bound(eigenvalues.begin(), eigenvalues.end(), rounding);
}

SpectrumEnds Spectrum::ends() const {
  return {.smallest = smallest(),
          .largest = largest(),
          .smallest_error = 0,
          .at_least = smallest() - rounding,
          .rounding = rounding,
          .are_all = true,
          .values = eigenvalues,
          .weights = std::vector<double>(eigenvalues.size(), 1.0)};
}

Spectrum spectrum(Objective<double>& objective, const Progress& progress) {
  const Index p = objective.parameters();
  Buffer<double> matrix(objective.device(), p * p);
  if (progress) progress("explicit Hessian", 0, 2);
  objective.explicit_hessian(0.0, matrix.view(p, p));
  if (progress) progress("eigenvalues", 1, 2);
  Spectrum result = spectrum_of(objective.device(), matrix.view(p, p));
  if (progress) progress("eigenvalues", 2, 2);
  return result;
}

Spectrum spectrum(Device& device, MatrixView<const double> hessian) {
  Buffer<double> copy(device, hessian.size());
  const MatrixView<double> matrix = copy.view(hessian.rows, hessian.columns);
  device.kernels<double>().combine(device, {1.0, hessian, 0.0, matrix});
  return spectrum_of(device, matrix);
}

}  // namespace clout
