#pragma once
// The inverse of a Hessian, from certified solves.

#include <clout/engine/solver.hpp>

namespace clout {

/// A ≈ (H + damping·I)⁻¹ on the span of the gradients, symmetric to rounding. Where H is singular because of a symmetry
/// (Objective::fix_symmetries) and damping is 0, no gradient has a part there, and A is zero there.
struct CertifiedInverse {
  Buffer<double> matrix;  ///< [p][p]
  SolveReport report;     ///< of p right-hand sides: the unit vectors, without what no gradient has
  /// ‖P − (H + damping·I)A‖_F, P the projector on that span: s = Av has a true residual of at most this·‖v‖ for every
  /// gradient v.
  double residual = 0;
};

/// By p solves; `solver` belongs to `objective` and damping. 8p² bytes, and those of 2 blocks of right-hand sides.
CertifiedInverse certified_inverse(const Objective<double>& objective, Solver& solver, double damping,
                                   const Progress& progress = {});

/// What a solver's tolerance must be, so that the inverse's residual is certainly at most `tolerance`.
double unit_tolerance(double tolerance, Index parameters);

}  // namespace clout
