#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/cli/retrain.hpp>
#include <clout/host/cli/retrain_network.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/logistic_retrain.hpp>
#include <clout/host/statistics.hpp>
#include <numeric>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

// θ̂ whose gradient is larger than this is no minimum, and influence leaves that out.
constexpr double kStationary = 1e-6;
// Actual changes known no better than to this part of the largest of them are worth a warning.
constexpr double kCoarse = 0.01;

/// Everything that changes the retrained models' bits.
std::string fingerprint(const Options& o, const io::Manifest& manifest, const DeviceInfo& device, Index block) {
  const Facts all = manifest.to_json();
  Facts facts{{"verb", "retrain"},
              {"inputs", all["inputs"]},
              {"bias", o.bias},
              {"classes", o.classes},
              {"l2", o.l2},
              {"test_index", o.test_index},
              {"all", o.all},
              {"precision", o.precision},
              {"tolerance", o.tolerance},
              {"block", block},
              {"device", device.name + ", " + device.model}};
  return facts.dump();
}

std::string loo_csv(const Groups& groups, bool by_group, const std::vector<std::int32_t>& labels,
                    std::span<const Index> tests, const std::vector<RetrainedModel>& models,
                    const std::vector<double>& predicted, const std::vector<double>& norms) {
  std::string text = "rank," + names_header(by_group) + ",test_index,predicted,actual,gradient_norm,iterations,actual_error\n";
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t t = 0; t < tests.size(); ++t) {
      const std::string who = name_of(groups, g, by_group, labels);
      text += std::to_string(g + 1) + "," + who + "," + std::to_string(tests[t]) + "," +
              number_text(predicted[g * tests.size() + t], 17) + "," + number_text(models[g].loss_change[t], 17) + "," +
              number_text(models[g].gradient_norm, 6) + "," + std::to_string(models[g].iterations) + "," +
              number_text(norms[t] * models[g].gradient_norm, 3) + "\n";
    }
  return text;
}

}  // namespace

template <class T>
void run_retrain(const Invocation& call) {
  if (call.options.model == "convnet") return retrain_network<T>(call);
  const Options& o = call.options;
  if (o.damping != 0)
    throw InvalidInput("--damping " + number_text(o.damping) + ": is of --model convnet; retrained fits are exact, and "
                       "predictions for them undamped");
  const OutputFolder folder(o);
  Problem problem(o, call.command_line);
  Problem::Tests tests = problem.load_tests();
  const Index n = problem.data().examples(), m = static_cast<Index>(tests.rows.size()), p = problem.parameters();
  const Groups groups = requested_groups(o, problem.data());
  for (const std::string& path : {o.indices, o.groups})
    if (!path.empty()) problem.manifest().add_input(path);

  Objective<double>& exact = problem.objective<double>();
  Buffer<double> gradient(problem.device(), p);
  exact.gradient(gradient.view(1, p));
  const double start_norm = row_norms<double>(problem.device(), gradient.view(1, p))[0];
  if (!(start_norm <= kStationary))
    warn(o.params + ": gradient norm " + number_text(start_norm, 3) +
         " is not that of a minimum; predictions leave that out (clout train fits)");

  require_minima(exact, groups);
  LeaveOneOutOptions options{.tolerance = o.tolerance};
  io::Journal journal = io::Journal::open(
      folder / "retrain.journal", fingerprint(o, problem.manifest(), problem.device().info(), options.block), o.resume);
  const EmptyJournal nothing_yet{journal};
  const auto factor = make_factor<T>(problem, 0.0);
  const auto solver = make_direct_solver<T>(factor, exact, 0.0, 1e-10, problem.progress());
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  std::vector<double> norms;
  const std::vector<double> predicted = predictions(influence, groups, m, n, norms, o, problem.progress());

  LeaveOneOut<T> leave_one_out(exact, problem.objective<T>(), *tests.objective, *factor, problem.theta(),
                               logistic_retrain<T>(problem.data(), o.bias, o.l2, o.tolerance), options);
  const std::vector<RetrainedModel> models = leave_one_out.run(groups, &journal, problem.progress());

  double worst = 0;
  for (const RetrainedModel& model : models)
    worst = std::isnan(model.gradient_norm) ? model.gradient_norm : std::max(worst, model.gradient_norm);
  if (!(worst <= o.tolerance)) {
    const std::string line = "retrain: a retrained model's gradient norm is " + number_text(worst, 3) + ", tolerance " +
                             number_text(o.tolerance, 3) + ": raise --tolerance" +
                             (o.is_single() ? ", or use --precision double" : "");
    if (!o.allow_uncertified) throw NotCertified(line + " (no results were written; --allow-uncertified would)");
    warn("not certified: " + line);
  }
  std::vector<double> actual;
  for (const RetrainedModel& model : models)
    actual.insert(actual.end(), model.loss_change.begin(), model.loss_change.end());
  const Index count = static_cast<Index>(groups.size());
  if (!write_pairs(folder, {count, m}, predicted, actual))
    io::write_file(folder / "loo.csv",
                   loo_csv(groups, !o.groups.empty(), problem.data().host_labels(), tests.rows, models, predicted, norms));
  // To first order a gradient that is left, g, is off by s_t·g in test loss t, at most ‖s_t‖‖g‖.
  const double error = worst * *std::max_element(norms.begin(), norms.end());
  double largest = 0;
  for (const double change : actual) largest = std::max(largest, std::abs(change));
  if (error > kCoarse * largest)
    warn("retrain: the actual changes (up to " + number_text(largest, 3) + ") are certain to " + number_text(error, 3) +
         " only, at a gradient norm of " + number_text(worst, 3) + ": lower --tolerance or raise --l2");
  Facts facts{{"models", count},
              {"test_examples", m},
              {"max_gradient_norm", worst},
              {"max_actual_error", error},
              {"tolerance", o.tolerance},
              {"start_gradient_norm", start_norm}};
  add_agreement(facts, predicted, actual);
  io::write_file(folder / "summary.json", facts.dump(2) + "\n");
  problem.manifest().write(folder / "manifest.json");
  journal.finish();
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

template void run_retrain<float>(const Invocation&);
template void run_retrain<double>(const Invocation&);

}  // namespace clout::cli
