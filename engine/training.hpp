#pragma once
// Fits a convex objective to a gradient norm by Newton's method with conjugate gradients.

#include <clout/engine/solver.hpp>

namespace clout {

struct TrainingOptions {
  double tolerance = 1e-10;  ///< on ‖∇R(θ)‖₂, mean objective, regulariser included
  Index max_steps = 200;
  double damping = 0;        ///< added to H for the step only; does not change where it ends
  bool gain = false;         ///< whether TrainingReport::gain is wanted: another Newton direction
};

struct TrainingStep {
  double objective, gradient_norm, step_length;
  Index products;
};

struct TrainingReport {
  bool converged = false;    ///< the gradient norm is within tolerance, and nothing says that there is no minimum
  std::string obstacle;      ///< why there is no minimum, in words; empty where nothing says so
  double gradient_norm = 0;  ///< at the θ returned, in double
  double gain = 0;           ///< ‖H⁻¹∇R‖ / gradient_norm there: how far a minimum may be; 0 where not wanted or no gradient is left
  double objective = 0;
  Index products = 0;
  double seconds = 0;
  std::vector<TrainingStep> steps;
};

/// Where λ is zero a minimum may not exist (separable classes): θ then runs away while the gradient vanishes. Steps go on
/// beyond the tolerance until they settle, at most 16; a fit whose way or place the objective calls an obstacle is none.
///
/// Truncated Newton with Eisenstat-Walker forcing and backtracking, from `theta` ([p], host), which becomes the
/// result; both objectives stand at it when this returns. Directions come from CG in precision T, values and gradients
/// from `exact`. Not converged within max_steps, or no descent possible: converged is false; nothing is thrown.
template <class T>
TrainingReport train(Objective<double>& exact, Objective<T>& fast, std::vector<double>& theta,
                     const TrainingOptions& options, const Progress& progress = {});

/// Uploads θ and moves both objectives there.
template <class T>
void move_to(Objective<double>& exact, Objective<T>& fast, const std::vector<double>& theta);

/// ‖∇R(θ)‖₂ where the objective stands, regulariser included.
double gradient_norm(Objective<double>& objective);

}  // namespace clout
