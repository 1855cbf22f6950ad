#pragma once
// Solves as the tests ask for them: right-hand sides from the host, solutions and report back.

#include <clout/engine/block_conjugate_gradient.hpp>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/direct_solver.hpp>

#include "support/logistic_case.hpp"

namespace clout::test {

struct Solved {
  oracle::Matrix solutions;
  SolveReport report;
};

inline Solved solve(Solver& solver, const oracle::Matrix& right_hand_sides) {
  const Index k = static_cast<Index>(right_hand_sides.size()), p = solver.size();
  const Buffer<double> v = upload_rows<double>(solver.device(), right_hand_sides);
  Buffer<double> s(solver.device(), k * p);
  Solved solved;
  solved.report = solver.solve(v.view(k, p), s.view(k, p));
  const std::vector<double> host = s.to_host();
  for (Index j = 0; j < k; ++j) solved.solutions.emplace_back(host.begin() + j * p, host.begin() + (j + 1) * p);
  return solved;
}

/// ‖v − (H + damping·I) s‖ / ‖v‖ in long double.
inline double true_residual(const oracle::Matrix& hessian, double damping, const oracle::Vector& s,
                            const oracle::Vector& v) {
  oracle::Vector residual = oracle::add_scaled(v, -1, oracle::multiply(hessian, s));
  residual = oracle::add_scaled(residual, -static_cast<long double>(damping), s);
  return static_cast<double>(oracle::norm(residual) / oracle::norm(v));
}

}  // namespace clout::test
