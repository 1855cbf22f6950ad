#pragma once
// The solver that the options ask for.

#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/lissa.hpp>
#include <clout/host/cli/problem.hpp>

namespace clout::cli {

/// Largest model whose explicit Hessian is assembled.
constexpr Index kMostDirectParameters = 20'000;

inline void require_explicit(Index parameters) {
  require(parameters <= kMostDirectParameters,
          "an explicit Hessian of " + std::to_string(parameters) + " parameters; expected at most " +
              std::to_string(kMostDirectParameters) + " (--solver cg has no such limit)");
}

template <class T>
std::shared_ptr<const HessianFactor<T>> make_factor(Problem& problem, double damping) {
  require_explicit(problem.parameters());
  return std::make_shared<HessianFactor<T>>(problem.objective<T>(), damping, problem.progress());
}

/// --solver, in working precision T, certified in double to --tolerance.
template <class T>
std::unique_ptr<Solver> make_solver(Problem& problem) {
  const Options& o = problem.options();
  if (o.solver == "direct")
    return make_direct_solver<T>(make_factor<T>(problem, o.damping), problem.objective<double>(), o.damping,
                                 o.tolerance, problem.progress());
  if (o.solver == "lissa")
    return make_lissa<T>(problem.objective<T>(), problem.objective<double>(), o.damping, o.tolerance,
                         {.scale = o.scale,
                          .depth = o.depth,
                          .batch = o.batch_size,
                          .repeats = o.repeats,
                          .published = o.published,
                          .seed = o.seed},
                         problem.progress());
  return make_conjugate_gradient<T>(problem.objective<T>(), problem.objective<double>(), o.damping, o.tolerance,
                                    o.max_iterations, problem.progress());
}

}  // namespace clout::cli
