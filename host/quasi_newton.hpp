#pragma once
// Minimising around a point where the Hessian has been factorised, for models that chord steps do not serve.

#include <clout/engine/direct_solver.hpp>
#include <clout/engine/retrainable.hpp>
#include <clout/engine/training.hpp>

namespace clout {

struct QuasiNewtonOptions {
  double tolerance = 1e-10;  ///< on the gradient norm
  Index max_steps = 500;
  Index memory = 30;         ///< pairs of steps and changes of the gradient
};

/// L-BFGS with the factor's inverse in the first Hessian's place (Nocedal & Wright 2006, algorithm 7.4), from `theta` ([p],
/// host), which becomes the result, on the first model of `removals`. Step lengths come from slopes alone, since objectives
/// agree to rounding long before gradients do. Not converged: the report says so; nothing is thrown.
TrainingReport minimize(Retrainable<double>& objective, const Removals& removals, const HessianFactor<double>& factor,
                        std::vector<double>& theta, const QuasiNewtonOptions& options);

}  // namespace clout
