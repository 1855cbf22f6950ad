#include <clout/engine/inverse.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/self_influence.hpp>
#include <clout/host/cli/solvers.hpp>
#include <numeric>

namespace clout::cli {

template <class T>
SelfInfluence all_self_influences(Problem& problem) {
  const Options& o = problem.options();
  Objective<double>& exact = problem.objective<double>();
  SelfInfluence result;
  if (has_shorter_self_influence(exact) && problem.parameters() <= kMostDirectParameters) {
    const auto solver = make_solver<T>(problem, problem.objective<T>(), exact, o.damping,
                                       unit_tolerance(o.tolerance, problem.parameters()));
    result = self_influence_by_inverse(exact, *solver, o.damping, problem.progress());
  } else {
    const std::unique_ptr<Solver> solver = make_solver<T>(problem);
    std::vector<Index> rows(static_cast<std::size_t>(problem.data().examples()));
    std::iota(rows.begin(), rows.end(), Index{0});
    result = self_influence(exact, *solver, rows, problem.progress());
  }
  settle(o, result.report);
  return result;
}
template SelfInfluence all_self_influences<float>(Problem&);
template SelfInfluence all_self_influences<double>(Problem&);

nlohmann::ordered_json first_facts(Problem& problem, const SolveReport& report, double gradient_norm, double residual) {
  nlohmann::ordered_json facts{{"training_examples", problem.data().examples()},
                               {"gradient_norm", gradient_norm},
                               {"solver", report.solver},
                               {"max_relative_residual", residual},
                               {"seconds", report.seconds},
                               {"peak_device_memory_mib", mebibytes(problem.device().peak_memory())}};
  add_choice(facts, problem);
  facts.update(lissa_facts(report));
  return facts;
}

}  // namespace clout::cli
