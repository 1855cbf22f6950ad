// retrain --model convnet: fine-tuning from a checkpoint without each set of examples, a control subtracted.

#include <clout/host/cli/memory_plan.hpp>
#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/cli/retrain_network.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/cli/trained_network.hpp>
#include <clout/host/fine_tuning.hpp>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/statistics.hpp>
#include <cmath>
#include <numeric>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

/// Everything that changes the retrained models' bits.
std::string fingerprint(const FineTuningOptions& options, Index start, const Options& o, const io::Manifest& manifest,
                        const DeviceInfo& device) {
  const Facts all = manifest.to_json();
  return Facts{{"verb", "retrain convnet"},
               {"inputs", all["inputs"]},
               {"l2", o.l2},
               {"test_index", o.test_index},
               {"all", o.all},
               {"precision", o.precision},
               {"seed", o.seed},
               {"batch", o.batch},
               {"learning_rate", o.learning_rate},
               {"drops", o.drops},
               {"start_step", start},
               {"steps", options.steps},
               {"controls", options.controls},
               {"block", options.block},
               {"device", device.name + ", " + device.model}}
      .dump();
}

template <class T>
AdamState<T> checkpoint(Problem& problem) {
  const Options& o = problem.options();
  const std::vector<double>& theta = problem.theta();
  const std::vector<T> parameters(theta.begin(), theta.end()), zeros(theta.size());
  if (o.moments.empty()) return {0, parameters, zeros, zeros};
  const std::vector<double> moments = read_moments(o.moments, problem.parameters());
  problem.manifest().add_input(o.moments);
  const Index p = problem.parameters();
  return {o.start_step, parameters, {moments.begin(), moments.begin() + p}, {moments.begin() + p, moments.end()}};
}

std::string loo_csv(const Groups& groups, bool by_group, const std::vector<std::int32_t>& labels,
                    std::span<const Index> tests, const std::vector<double>& predicted, const FineTuned& tuned) {
  std::string text = "rank," + names_header(by_group) + ",test_index,predicted,actual,change,control_change\n";
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t t = 0; t < tests.size(); ++t) {
      const double change = tuned.models[g][t], control = tuned.controls[0][t];
      text += std::to_string(g + 1) + "," + name_of(groups, g, by_group, labels) + "," + std::to_string(tests[t]);
      for (const double value : {predicted[g * tests.size() + t], change - control, change, control})
        text += "," + number_text(value, 17);
      text += "\n";
    }
  return text;
}

/// The controls' standard deviation for every test: its root mean square over the tests, and the median, which a few tests
/// of large losses do not lift.
void add_noise_floor(Facts& facts, const std::vector<std::vector<double>>& controls) {
  const double count = static_cast<double>(controls.size());
  double sum = 0;
  std::vector<double> deviations;
  for (std::size_t t = 0; t < controls[0].size(); ++t) {
    double mean = 0, squares = 0;
    for (const auto& control : controls) mean += control[t] / count;
    for (const auto& control : controls) squares += (control[t] - mean) * (control[t] - mean) / (count - 1);
    sum += squares;
    deviations.push_back(std::sqrt(squares));
  }
  facts["noise_floor"] = std::sqrt(sum / static_cast<double>(deviations.size()));
  facts["noise_floor_median"] = quantile(deviations, 0.5);
}

/// Of the mean test loss, of controls and models: as has_run_away.
void expect_no_divergence(const Options& o, Objective<double>& tests, const FineTuned& tuned) {
  const auto mean = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  Buffer<double> losses(tests.device(), tests.examples());
  tests.losses(losses.view(tests.examples(), 1));
  const double start = mean(losses.to_host());
  for (const auto* runs : {&tuned.controls, &tuned.models})
    for (const std::vector<double>& changes : *runs)
      if (has_run_away(o, "retrain", "mean test loss", start + mean(changes), start, tests.classes(), o.steps)) return;
}

}  // namespace

template <class T>
void retrain_network(const Invocation& call) {
  const std::filesystem::path train_json = training_of_params(call.options);
  const Options o = train_json.empty() ? call.options : with_training(call.options, train_json);
  const OutputFolder folder(o, kRetrainResults);
  Problem problem(o, call.command_line);
  if (!train_json.empty()) problem.manifest().add_input(train_json);
  Problem::Tests tests = problem.load_tests();
  const Index n = problem.data().examples(), m = static_cast<Index>(tests.rows.size());
  const Groups groups = requested_groups(o, problem.data());
  for (const std::string& path : {o.indices, o.groups})
    if (!path.empty()) problem.manifest().add_input(path);
  const AdamState<T> start = checkpoint<T>(problem);
  const FineTuningOptions options{
      .adam = {.learning_rate = o.learning_rate, .drops = o.drops, .batch = o.batch, .seed = o.seed},
      .steps = o.steps,
      .controls = o.controls};
  const std::string request = fingerprint(options, start.step, o, problem.manifest(), problem.device().info());
  Facts whole = Facts::parse(request);  // with what predictions depend on
  whole.update(solver_facts(o, problem.device().info()));
  if (is_finished(o, folder, kRetrainJournal, whole.dump(), problem.manifest())) return;
  io::Journal journal = io::Journal::open(folder / kRetrainJournal, request, o.resume);
  const EmptyJournal nothing_yet{journal};

  choose_solver<T>(problem, m);
  const std::unique_ptr<Solver> solver = make_solver<T>(problem);
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  const std::vector<double> predicted = predictions(influence, groups, m, n, o, problem.progress());
  const FineTuned tuned = fine_tune<T>(problem.objective<T>(), *tests.objective, start, groups, options, &journal,
                                       problem.progress());

  expect_no_divergence(o, *tests.objective, tuned);
  std::vector<double> actual;
  for (const auto& changes : tuned.models)
    for (std::size_t t = 0; t < changes.size(); ++t) actual.push_back(changes[t] - tuned.controls[0][t]);
  const Index count = static_cast<Index>(groups.size());
  io::ResultFiles results;
  if (!write_pairs(results, folder, {count, m}, predicted, actual))
    results.add(folder / "loo.csv",
                loo_csv(groups, !o.groups.empty(), problem.data().host_labels(), tests.rows, predicted, tuned));
  Facts facts{{"models", count},
              {"test_examples", m},
              {"start_step", start.step},
              {"steps", o.steps},
              {"damping", o.damping},
              {"controls", o.controls}};
  if (o.controls > 1) add_noise_floor(facts, tuned.controls);
  add_agreement(facts, predicted, actual);
  results.add(folder / "summary.json", facts.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  journal.finish();
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

template void retrain_network<float>(const Invocation&);
template void retrain_network<double>(const Invocation&);

}  // namespace clout::cli
