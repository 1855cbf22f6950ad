#include <clout/engine/inverse.hpp>
#include <clout/host/cli/scorer.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/leave_one_out.hpp>

namespace clout::cli {
namespace {

constexpr Index kExampleRows = 4096;  // examples whose corrections are computed between two words of progress
constexpr Index kGradientBlock = 32;  // gradients of members of a set that are formed at once

/// λθ where the regulariser acts, else 0.
std::vector<double> regularizer_gradient(const Problem& problem) {
  std::vector<double> gradient(problem.theta().size());
  const ParameterRanges ranges = regularized_ranges(problem.model().layout());
  for (int r = 0; r < ranges.count; ++r)
    for (Index i = ranges.range[r].begin; i < ranges.range[r].end; ++i)
      gradient[static_cast<std::size_t>(i)] = problem.options().l2 * problem.theta()[static_cast<std::size_t>(i)];
  return gradient;
}

/// Objective::newton_shifts of all examples with weights of 1: H′ is the Hessian with the part of λ that is left.
template <class T>
std::vector<double> all_newton_shifts(Problem& problem, Scorer<T>& scorer) {
  const Options& o = problem.options();
  const Index n = problem.data().examples(), p = problem.parameters();
  CertifiedInverse inverse = certified_inverse(*scorer.exact, *scorer.solver, o.damping, problem.progress());
  scorer.inverse_residual = inverse.residual;
  settle(o, inverse.report);
  const Buffer<double> regularizer(problem.device(), std::span<const double>(regularizer_gradient(problem)));
  Buffer<double> along(problem.device(), p);
  settle(o, scorer.solver->solve(regularizer.view(1, p), along.view(1, p)));
  std::vector<double> shifts;
  for (Index first = 0; first < n; first += kExampleRows) {
    const Index count = std::min(kExampleRows, n - first);
    const std::vector<double> part = scorer.exact->newton_shifts(inverse.matrix.view(p, p), along.view(1, p),
                                                                 1.0 / static_cast<double>(n), first, count);
    shifts.insert(shifts.end(), part.begin(), part.end());
    if (problem.progress()) problem.progress()("leverages", static_cast<double>(first + count), static_cast<double>(n));
  }
  return shifts;
}

/// Σ (wᵢ/W)(∇ℓᵢ + λθ) over a set: what its removal takes from ∇R.
std::vector<double> set_gradient(Problem& problem, const std::vector<Index>& group) {
  Objective<double>& exact = problem.objective<double>();
  const Index p = problem.parameters();
  std::vector<double> sum(static_cast<std::size_t>(p));
  double weight = 0;
  Buffer<double> gradients(problem.device(), kGradientBlock * p);
  for (std::size_t first = 0; first < group.size(); first += kGradientBlock) {
    const auto rows = std::span(group).subspan(first, std::min<std::size_t>(kGradientBlock, group.size() - first));
    const MatrixView<double> view = gradients.view(static_cast<Index>(rows.size()), p);
    exact.example_gradients(rows, view);
    const std::vector<double> host = to_host(problem.device(), view);
    for (std::size_t e = 0; e < rows.size(); ++e) {
      const double part = exact.example_weight(rows[e]) / exact.total_weight();
      weight += part;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part * host[e * sum.size() + i];
    }
  }
  const std::vector<double> regularizer = regularizer_gradient(problem);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight * regularizer[i];
  return sum;
}

}  // namespace

double solve_tolerance(const Problem& problem) {
  const Options& o = problem.options();
  return o.second_order ? unit_tolerance(o.tolerance, problem.parameters()) : o.tolerance;
}

void require_second_order(Problem& problem) {
  const Options& o = problem.options();
  if (!o.groups.empty()) return;
  if (!problem.objective<double>().has_leverages())
    throw InvalidInput(
        "--second-order: single points need a model that is linear in its parameters (--model logistic); "
        "expected --groups FILE.json with sets of one");
  if (!o.weights.empty())
    throw InvalidInput(
        "--second-order: with --weights every weight leaves another Hessian; expected none, or --groups "
        "FILE.json with sets of one");
  if (problem.data().examples() < 2)
    throw InvalidInput("--second-order: there is 1 training example; expected at least 2, so that one stays");
  if (problem.parameters() > kMostDirectParameters)
    throw InvalidInput("--second-order: " + std::to_string(problem.parameters()) + " parameters; expected at most " +
                       std::to_string(kMostDirectParameters) + ", for the inverse Hessian, or --groups FILE.json");
}

template <class T>
Scorer<T> make_scorer(Problem& problem, Objective<double>& tests) {
  const Options& o = problem.options();
  Scorer<T> scorer;
  if (!o.second_order) {
    scorer.solver = make_solver<T>(problem);
  } else {
    const double left = o.l2 * (1 - 1 / static_cast<double>(problem.data().examples()));
    scorer.fast = problem.objective_on<T>(problem.data(), left);
    scorer.exact = problem.objective_on<double>(problem.data(), left);
    scorer.solver = make_solver<T>(problem, *scorer.fast, *scorer.exact, o.damping, solve_tolerance(problem));
  }
  scorer.influence = std::make_unique<Influence<T>>(problem.objective<T>(), tests, *scorer.solver, problem.theta());
  if (o.second_order) scorer.influence->use_newton_shifts(all_newton_shifts(problem, scorer));
  return scorer;
}
template Scorer<float> make_scorer(Problem&, Objective<double>&);
template Scorer<double> make_scorer(Problem&, Objective<double>&);

template <class T>
NewtonStepScores newton_step_scores(Problem& problem, Objective<double>& tests, const Groups& groups) {
  const Options& o = problem.options();
  require_minima(problem.objective<double>(), groups);
  const Index p = problem.parameters(), m = tests.examples();
  const std::size_t count = groups.size();
  NewtonStepScores result;
  result.values.resize(static_cast<std::size_t>(m) * count);
  Buffer<double> step(problem.device(), p), changes(problem.device(), m);
  for (std::size_t g = 0; g < count; ++g) {
    std::vector<double> weights;
    for (Index i = 0; i < problem.data().examples(); ++i) weights.push_back(problem.data().weight(i));
    for (const Index i : groups[g]) weights[static_cast<std::size_t>(i)] = 0;
    const Dataset<double> rest = problem.data().with_weights(weights);
    const double left = rest.total_weight() / problem.data().total_weight();
    const auto fast = problem.objective_on<T>(rest, o.l2);
    const auto exact = problem.objective_on<double>(rest, o.l2);
    std::vector<double> gradient = set_gradient(problem, groups[g]);
    for (double& value : gradient) value /= left;
    const Buffer<double> right_hand_side(problem.device(), std::span<const double>(gradient));
    SolveReport report = make_solver<T>(problem, *fast, *exact, o.damping / left, o.tolerance)
                             ->solve(right_hand_side.view(1, p), step.view(1, p));
    report.damping = o.damping;  // of κ∇²R_G
    settle(o, report);
    result.report.append(report);
    tests.loss_tangents(step.view(1, p), 0, changes.view(m, 1));
    const std::vector<double> host = changes.to_host();
    for (std::size_t t = 0; t < host.size(); ++t) result.values[t * count + g] = host[t];
    if (problem.progress()) problem.progress()("Newton steps", static_cast<double>(g + 1), static_cast<double>(count));
  }
  return result;
}
template NewtonStepScores newton_step_scores<float>(Problem&, Objective<double>&, const Groups&);
template NewtonStepScores newton_step_scores<double>(Problem&, Objective<double>&, const Groups&);

}  // namespace clout::cli
