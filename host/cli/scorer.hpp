#pragma once
// What scores test examples in one run: the solver, and with --second-order the Hessian without an example.

#include <clout/engine/influence.hpp>
#include <clout/host/cli/removed_sets.hpp>

namespace clout::cli {

template <class T>
struct Scorer {
  std::unique_ptr<Objective<T>> fast;  // with the Hessian that the solver belongs to, where it is not the problem's
  std::unique_ptr<Objective<double>> exact;  // the same in double
  std::unique_ptr<Solver> solver;
  std::unique_ptr<Influence<T>> influence;
  double inverse_residual = 0;  // --second-order: of every product with the inverse that the corrections come from
};

/// As the options say. Throws NotCertified where the inverse of --second-order cannot be certified.
template <class T>
Scorer<T> make_scorer(Problem& problem, Objective<double>& tests);

/// What make_scorer's solver is asked for: with --second-order less than --tolerance, so that the inverse reaches that.
double solve_tolerance(const Problem& problem);

/// Throws InvalidInput unless the model and the data allow what --second-order asks for.
void require_second_order(Problem& problem);

/// Predicted change of each test loss without each set, by a Newton step on what is left: (κ∇²R_G + damping·I)⁻¹ times
/// the set's gradients, κ the part of the weight that is left. [tests][groups].
struct NewtonStepScores {
  std::vector<double> values;
  SolveReport report;  // one column a set
};
template <class T>
NewtonStepScores newton_step_scores(Problem& problem, Objective<double>& tests, const Groups& groups);

}  // namespace clout::cli
