#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/io/atomic_file.hpp>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

// Actual changes known no better than to this part of the largest of them are worth a warning.
constexpr double kCoarse = 0.01;
constexpr double kPredictionTolerance = 1e-10;  // true relative residual

std::string loo_csv(const Groups& groups, bool by_group, const std::vector<std::int32_t>& labels,
                    std::span<const Index> tests, const std::vector<RetrainedModel>& models,
                    const std::vector<double>& predicted, const std::vector<double>& norms, const std::vector<double>& roundings,
                    double start_norm) {
  std::string text = "rank," + names_header(by_group) + ",test_index,predicted,actual,gradient_norm,iterations,actual_error\n";
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t t = 0; t < tests.size(); ++t) {
      const std::string who = name_of(groups, g, by_group, labels);
      text += std::to_string(g + 1) + "," + who + "," + std::to_string(tests[t]) + "," +
              number_text(predicted[g * tests.size() + t], 17) + "," + number_text(models[g].loss_change[t], 17) + "," +
              number_text(models[g].gradient_norm, 6) + "," + std::to_string(models[g].iterations) + "," +
              number_text(norms[t] * (models[g].gradient_norm + start_norm) + roundings[t], 3) + "\n";
    }
  return text;
}

}  // namespace

template <class T>
void retrain_exactly(const ExactRetraining<T>& retraining, Problem& problem, Problem::Tests& tests, const Groups& groups,
                     const OutputFolder& folder, io::Journal& journal, const Facts& more) {
  const Options& o = problem.options();
  const Index n = problem.data().examples(), m = static_cast<Index>(tests.rows.size());
  const auto solver = make_direct_solver<T>(retraining.factor, problem.objective<double>(), retraining.damping,
                                            kPredictionTolerance, problem.progress());
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  std::vector<double> norms;
  const std::vector<double> predicted = predictions(influence, groups, m, n, norms, o, problem.progress());
  const bool is_bound = !retraining.error_bounds.empty();
  if (is_bound) norms = retraining.error_bounds;

  LeaveOneOut<T> leave_one_out(retraining.exact, retraining.fast, *tests.objective, *retraining.factor, problem.theta(),
                               retraining.newton, retraining.options);
  const std::vector<RetrainedModel> models = leave_one_out.run(groups, &journal, problem.progress());

  double worst = 0;
  for (const RetrainedModel& model : models)
    worst = std::isnan(model.gradient_norm) ? model.gradient_norm : std::max(worst, model.gradient_norm);
  if (!(worst <= o.tolerance)) {
    const std::string line = "retrain: a retrained model's gradient norm is " + number_text(worst, 3) + ", tolerance " +
                             number_text(o.tolerance, 3) + ": " + retraining.advice;
    if (!o.allow_uncertified) throw NotCertified(line + " (no results were written; --allow-uncertified would)");
    warn("not certified: " + line);
  }
  std::vector<double> actual;
  for (const RetrainedModel& model : models)
    actual.insert(actual.end(), model.loss_change.begin(), model.loss_change.end());
  const Index count = static_cast<Index>(groups.size());
  io::ResultFiles results;
  if (!write_pairs(results, folder, {count, m}, predicted, actual))
    results.add(folder / "loo.csv",
                loo_csv(groups, !o.groups.empty(), problem.data().host_labels(), tests.rows, models, predicted, norms,
                        retraining.roundings, retraining.start_gradient_norm));
  double error = 0;
  for (std::size_t t = 0; t < norms.size(); ++t)
    error = std::max(error, (worst + retraining.start_gradient_norm) * norms[t] + retraining.roundings[t]);
  double largest = 0;
  for (const double change : actual) largest = std::max(largest, std::abs(change));
  if (error > kCoarse * largest)
    warn("retrain: the actual changes (up to " + number_text(largest, 3) + ") are certain to " + number_text(error, 3) +
         " only, at gradient norms of " + number_text(worst, 3) + " and, of --params, " +
         number_text(retraining.start_gradient_norm, 3) + ": lower --tolerance, of train too, or raise --l2");
  Facts facts{{"models", count},
              {"test_examples", m},
              {"max_gradient_norm", worst},
              {"max_actual_error", error},
              {"actual_error_is", is_bound ? "bound" : "first-order estimate"},
              {"tolerance", o.tolerance}};
  facts.update(more);
  add_agreement(facts, predicted, actual);
  results.add(folder / "summary.json", facts.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  journal.finish();
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

template void retrain_exactly(const ExactRetraining<float>&, Problem&, Problem::Tests&, const Groups&, const OutputFolder&,
                              io::Journal&, const Facts&);
template void retrain_exactly(const ExactRetraining<double>&, Problem&, Problem::Tests&, const Groups&,
                              const OutputFolder&, io::Journal&, const Facts&);

}  // namespace clout::cli
