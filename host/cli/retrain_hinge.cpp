#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/scaling.hpp>
#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/cli/hinge.hpp>
#include <clout/host/cli/retrain.hpp>
#include <clout/host/linear_svm.hpp>

namespace clout::cli {
namespace {

constexpr double kPredictionTolerance = 1e-10;  // true relative residual

}  // namespace
template <class T>
void retrain_hinge(const Invocation& call) {
  const Options& o = call.options;
  expect_dual(o);
  expect_not_given(o, {"--solver", "--max-iterations", "--preconditioner", "--curvature"},
                   "away from its kinks a hinge loss's Hessian is that of the regulariser");
  const OutputFolder folder(o, kRetrainResults);
  Problem problem(o, call.command_line);
  Problem::Tests tests = problem.load_tests();
  const Groups groups = requested_groups(o, problem.data());
  for (const std::string& path : {o.indices, o.groups})
    if (!path.empty()) problem.manifest().add_input(path);
  const std::string request = retrain_request(problem, 0, false);
  if (is_finished(o, folder, kRetrainJournal, request, problem.manifest())) return;
  io::Journal journal = io::Journal::open(folder / kRetrainJournal, request, o.resume);
  const EmptyJournal nothing_yet{journal};

  // The Hessian away from the kinks is λI: the solve is a division, certified like any other.
  const auto solver = make_conjugate_gradient<T>(problem.objective<T>(), problem.objective<double>(), 0.0, kPredictionTolerance);
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  const Index n = problem.data().examples(), m = std::ssize(tests.rows);
  ActualChanges changes{.certificate = "duality gap",
                        .advice = "raise --tolerance or --l2",
                        .predicted = predictions(influence, groups, m, n, o, problem.progress()),
                        .are_bounds = true};
  warn_of_kinks(problem);
  const LinearSvm svm(problem.data(), o.l2);
  const SvmOptions options{.tolerance = o.tolerance, .seed = o.seed};
  const SvmFit full = svm.fit({}, {}, options, problem.progress());
  std::vector<double> away = full.weights;
  for (std::size_t i = 0; i < away.size(); ++i) away[i] -= problem.theta()[i];
  const double start = scaled_norm(away) + svm_distance(full.gap, o.l2);
  changes.start_certificate = full.gap;
  changes.models = retrain_svm(svm, full, *tests.objective, groups, options, &journal, problem.progress());
  // R is λ-strongly convex.
  const ChangeErrors errors = linear_change_errors(problem, tests.input_norms);
  const double size = scaled_norm(problem.theta());
  for (const RetrainedModel& model : changes.models)
    for (std::size_t t = 0; t < tests.rows.size(); ++t)
      changes.errors.push_back(errors.reach[t] * (start + svm_distance(model.gradient_norm, o.l2)) + errors.rounding[t] +
                               errors.sized_rounding[t] * std::max(size, model.size));
  write_changes(changes, problem, tests, groups, folder, journal, {{"start_distance", start}});
}
template void retrain_hinge<float>(const Invocation&);
template void retrain_hinge<double>(const Invocation&);

}  // namespace clout::cli
