#include <algorithm>
#include <clout/engine/inverse.hpp>
#include <cmath>

namespace clout {
namespace {

constexpr Index kBlock = 64;  // unit vectors that are solved for by one call

}  // namespace

double unit_tolerance(double tolerance, Index parameters) {
  return tolerance / std::sqrt(static_cast<double>(parameters));
}

CertifiedInverse certified_inverse(const Objective<double>& objective, Solver& solver, double damping,
                                   const Progress& progress) {
  const Index p = solver.size();
  Device& device = solver.device();
  CertifiedInverse inverse{.matrix = Buffer<double>(device, p * p), .report = {}, .residual = 0};
  Buffer<double> units(device, std::min(kBlock, p) * p);
  double squares = 0;
  for (Index first = 0; first < p; first += kBlock) {
    const Index count = std::min(kBlock, p - first);
    std::vector<double> host(static_cast<std::size_t>(count * p));
    for (Index j = 0; j < count; ++j) host[static_cast<std::size_t>(j * p + first + j)] = 1;
    if (damping == 0) objective.project_out_symmetries(host);
    units.upload(host);
    const MatrixView<const double> right_hand_sides = units.view(count, p);
    const SolveReport part = solver.solve(right_hand_sides, inverse.matrix.view(p, p).rows_from(first, count));
    inverse.report.append(part);
    const std::vector<double> norms = row_norms<double>(device, right_hand_sides);
    for (std::size_t j = 0; j < norms.size(); ++j) {
      const double residual = part.columns[j].relative_residual * norms[j];
      squares += residual * residual;
    }
    if (progress) progress("inverse Hessian", static_cast<double>(first + count), static_cast<double>(p));
  }
  inverse.residual = std::sqrt(squares);
  return inverse;
}

}  // namespace clout
