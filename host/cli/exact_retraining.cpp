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
                    std::span<const Index> tests, const std::vector<RetrainedModel>& models,
                    const std::vector<double>& predicted, const std::vector<double>& errors) {
  std::string text = "rank," + names_header(by_group) + ",test_index,predicted,actual,gradient_norm,iterations,actual_error\n";
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t t = 0; t < tests.size(); ++t) {
      const std::string who = name_of(groups, g, by_group, labels);
      text += std::to_string(g + 1) + "," + who + "," + std::to_string(tests[t]) + "," +
              number_text(predicted[g * tests.size() + t], 17) + "," + number_text(models[g].loss_change[t], 17) + "," +
              number_text(models[g].gradient_norm, 6) + "," + std::to_string(models[g].iterations) + "," +
              number_text(errors[g * tests.size() + t], 3) + "\n";
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

template <class T>
void retrain_exactly(const ExactRetraining<T>& retraining, Problem& problem, Problem::Tests& tests, const Groups& groups,
                     const OutputFolder& folder, io::Journal& journal, const Facts& more) {
  const Options& o = problem.options();
  const Index n = problem.data().examples(), m = static_cast<Index>(tests.rows.size());
  const auto solver = make_direct_solver<T>(retraining.factor, problem.objective<double>(), retraining.damping,
                                            kPredictionTolerance, problem.progress());
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  const std::vector<double> predicted = predictions(influence, groups, m, n, o, problem.progress());

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
  const ChangeErrors::Point start = start_point(problem, *retraining.factor, retraining.start_gradient_norm);
  std::vector<double> actual, errors;
  double error = 0;
  for (const RetrainedModel& model : models) {
    actual.insert(actual.end(), model.loss_change.begin(), model.loss_change.end());
    for (std::size_t t = 0; t < tests.rows.size(); ++t) {
      errors.push_back(retraining.errors.of(start, {model.gradient_norm, model.gain, model.size}, t));
      error = std::isnan(errors.back()) ? errors.back() : std::max(error, errors.back());
    }
  }
  const Index count = static_cast<Index>(groups.size());
  io::ResultFiles results;
  if (!write_pairs(results, folder, {count, m}, predicted, actual))
    results.add(folder / "loo.csv",
                loo_csv(groups, !o.groups.empty(), problem.data().host_labels(), tests.rows, models, predicted, errors));
  double largest = 0;
  for (const double change : actual) largest = std::max(largest, std::abs(change));
  if (!(error <= kCoarse * largest))
    warn("retrain: the actual changes (up to " + number_text(largest, 3) + ") are " +
         (std::isfinite(error) ? (retraining.errors.are_bounds() ? "certain to " : "known to some ") + number_text(error, 3)
                               : "of fits whose minimum is farther than can be told, known roughly") +
         " only, at gradient norms of " + number_text(worst, 3) + " and, of --params, " +
         number_text(retraining.start_gradient_norm, 3) + ": lower --tolerance, of train too, or raise --l2");
  Facts facts{{"models", count},
              {"test_examples", m},
              {"max_gradient_norm", worst},
              {"max_actual_error", error},
              {"actual_error_is", retraining.errors.are_bounds() ? "bound" : "estimate"},
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
