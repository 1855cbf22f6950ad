#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/io/atomic_file.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <limits>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

// Actual changes known no better than to this part of the largest of them are worth a warning.
constexpr double kCoarse = 0.01;
constexpr double kPredictionTolerance = 1e-10;  // true relative residual
// Estimated distances: of steps that change outputs by less than this, curvatures by some factor of e^±this; and what
// that, and a step of finite accuracy, may leave out.
constexpr double kMostMoved = 0.5;
constexpr double kSafety = 2;

std::string loo_csv(const Groups& groups, bool by_group, const std::vector<std::int32_t>& labels,
                    std::span<const Index> tests, const ActualChanges& changes, const std::string& certificate) {
  std::string text =
      "rank," + names_header(by_group) + ",test_index,predicted,actual," + certificate + ",iterations,actual_error\n";
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t t = 0; t < tests.size(); ++t) {
      const std::string who = name_of(groups, g, by_group, labels);
      const RetrainedModel& model = changes.models[g];
      text += std::to_string(g + 1) + "," + who + "," + std::to_string(tests[t]) + "," +
              number_text(changes.predicted[g * tests.size() + t], 17) + "," + number_text(model.loss_change[t], 17) + "," +
              number_text(model.gradient_norm, 6) + "," + std::to_string(model.iterations) + "," +
              number_text(changes.errors[g * tests.size() + t], 3) + "\n";
    }
  return text;
}

/// The problem's θ, with the gain of the factor's Hessian.
template <class T>
ChangeErrors::Point start_point(Problem& problem, const HessianFactor<T>& factor, double gradient_norm) {
  Device& device = problem.device();
  const Index p = problem.parameters();
  const Buffer<double> theta(device, std::span<const double>(problem.theta()));
  Buffer<double> gradient(device, p);
  problem.objective<double>().gradient(gradient.view(1, p));
  Buffer<T> room(device, p);
  return {gradient_norm, gains<T>(factor, gradient.view(1, p), room.view(1, p))[0],
          row_norms<double>(device, theta.view(1, p))[0]};
}

}  // namespace

double ChangeErrors::distance(const Point& point) const {
  const double gradient = point.gradient_norm + gradient_rounding + sized_gradient_rounding * point.size;
  if (are_bounds()) return gradient / convexity;
  const double step = point.gain * gradient;
  const bool tells = point.gain > 0 && step * output_reach < kMostMoved;
  return tells ? kSafety * step : std::numeric_limits<double>::infinity();
}

double ChangeErrors::of(const Point& start, const Point& model, std::size_t test) const {
  return reach[test] * (distance(start) + distance(model)) + rounding[test] +
         sized_rounding[test] * std::max(start.size, model.size);
}

void write_changes(const ActualChanges& changes, Problem& problem, const Problem::Tests& tests, const Groups& groups,
                   const OutputFolder& folder, io::Journal& journal, const Facts& more) {
  const Options& o = problem.options();
  const Index count = static_cast<Index>(groups.size()), m = static_cast<Index>(tests.rows.size());
  double worst = 0;
  for (const RetrainedModel& model : changes.models)
    worst = std::isnan(model.gradient_norm) ? model.gradient_norm : std::max(worst, model.gradient_norm);
  if (!(worst <= o.tolerance)) {
    const std::string line = "retrain: a retrained model's " + changes.certificate + " is " + number_text(worst, 3) +
                             ", tolerance " + number_text(o.tolerance, 3) + ": " + changes.advice;
    if (!o.allow_uncertified) throw NotCertified(line + " (no results were written; --allow-uncertified would)");
    warn("not certified: " + line);
  }
  std::vector<double> actual;
  for (const RetrainedModel& model : changes.models)
    actual.insert(actual.end(), model.loss_change.begin(), model.loss_change.end());
  double largest = 0, error = 0;
  for (const double change : actual) largest = std::max(largest, std::abs(change));
  for (const double each : changes.errors) error = std::isnan(each) ? each : std::max(error, each);
  if (!(error <= kCoarse * largest))
    warn("retrain: the actual changes (up to " + number_text(largest, 3) + ") are " +
         (std::isfinite(error) ? (changes.are_bounds ? "certain to " : "known to some ") + number_text(error, 3)
                               : "of fits whose minimum is farther than can be told, known roughly") +
         " only, at " + changes.certificate + "s of " + number_text(worst, 3) + " and, of --params, " +
         number_text(changes.start_certificate, 3) + ": lower --tolerance, of train too, or raise --l2");
  std::string key = changes.certificate;
  std::ranges::replace(key, ' ', '_');
  io::ResultFiles results;
  if (!write_pairs(results, folder, {count, m}, changes.predicted, actual))
    results.add(folder / "loo.csv", loo_csv(groups, !o.groups.empty(), problem.data().host_labels(), tests.rows, changes,
                                            key));
  Facts facts{{"models", count},
              {"test_examples", m},
              {"max_" + key, worst},
              {"max_actual_error", error},
              {"actual_error_is", changes.are_bounds ? "bound" : "estimate"},
              {"tolerance", o.tolerance}};
  facts.update(more);
  add_agreement(facts, changes.predicted, actual);
  results.add(folder / "summary.json", facts.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  journal.finish();
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

template <class T>
void retrain_exactly(const ExactRetraining<T>& retraining, Problem& problem, Problem::Tests& tests, const Groups& groups,
                     const OutputFolder& folder, io::Journal& journal, const Facts& more) {
  const Options& o = problem.options();
  const Index n = problem.data().examples(), m = static_cast<Index>(tests.rows.size());
  const auto solver = make_direct_solver<T>(retraining.factor, problem.objective<double>(), retraining.damping,
                                            kPredictionTolerance, problem.progress());
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  ActualChanges changes{.certificate = "gradient norm",
                        .advice = retraining.advice,
                        .start_certificate = retraining.start_gradient_norm,
                        .predicted = predictions(influence, groups, m, n, o, problem.progress()),
                        .are_bounds = retraining.errors.are_bounds()};
  LeaveOneOut<T> leave_one_out(retraining.exact, retraining.fast, *tests.objective, *retraining.factor, problem.theta(),
                               retraining.newton, retraining.options);
  changes.models = leave_one_out.run(groups, &journal, problem.progress());
  const ChangeErrors::Point start = start_point(problem, *retraining.factor, retraining.start_gradient_norm);
  for (const RetrainedModel& model : changes.models)
    for (std::size_t t = 0; t < tests.rows.size(); ++t)
      changes.errors.push_back(retraining.errors.of(start, {model.gradient_norm, model.gain, model.size}, t));
  write_changes(changes, problem, tests, groups, folder, journal, more);
}

template void retrain_exactly(const ExactRetraining<float>&, Problem&, Problem::Tests&, const Groups&, const OutputFolder&,
                              io::Journal&, const Facts&);
template void retrain_exactly(const ExactRetraining<double>&, Problem&, Problem::Tests&, const Groups&,
                              const OutputFolder&, io::Journal&, const Facts&);

}  // namespace clout::cli
