// train --model convnet: Adam on minibatches, with checkpoints.

#include <algorithm>
#include <chrono>
#include <clout/engine/adam.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/train_network.hpp>
#include <clout/host/cli/trained_network.hpp>
#include <clout/host/io/journal.hpp>
#include <clout/host/io/json_text.hpp>
#include <clout/host/network_score.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/conv_net.hpp>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

/// Everything that changes the parameters' bits; the number of steps does not, so that a run can be made longer.
std::string fingerprint(const Options& o, const io::Manifest& manifest, const Device& device) {
  const Facts all = manifest.to_json();
  const DeviceInfo info = device.info();
  return Facts{{"verb", "train"},  {"inputs", all["inputs"]},          {"l2", o.l2},
               {"batch", o.batch}, {"learning_rate", o.learning_rate}, {"drops", o.drops},
               {"seed", o.seed},   {"precision", o.precision},         {"device", info.name + ", " + info.model}}
      .dump();
}

template <class T>
AdamState<T> start(const Problem& problem) {
  const Options& o = problem.options();
  const std::vector<double> theta =
      o.params.empty() ? initial_parameters(problem.model().network(), o.seed) : problem.theta();
  const std::vector<T> zeros(theta.size());
  return {0, std::vector<T>(theta.begin(), theta.end()), zeros, zeros};
}

// A checkpoint is block `step` of the journal: parameters, first moments, second moments.
template <class T>
AdamState<T> restore(const io::Journal& journal, AdamState<T> state, Index steps) {
  for (const auto& [step, values] : journal.completed()) {
    if (static_cast<Index>(step) > steps) break;
    const auto p = static_cast<std::ptrdiff_t>(state.parameters.size());
    require(static_cast<std::ptrdiff_t>(values.size()) == 3 * p, "journal: a checkpoint of another model");
    state.step = static_cast<Index>(step);
    state.parameters.assign(values.begin(), values.begin() + p);
    state.first_moments.assign(values.begin() + p, values.begin() + 2 * p);
    state.second_moments.assign(values.begin() + 2 * p, values.end());
  }
  return state;
}

template <class T>
void checkpoint(io::Journal& journal, const AdamState<T>& state) {
  std::vector<double> values(state.parameters.begin(), state.parameters.end());
  values.insert(values.end(), state.first_moments.begin(), state.first_moments.end());
  values.insert(values.end(), state.second_moments.begin(), state.second_moments.end());
  journal.append(static_cast<std::uint64_t>(state.step), values);
}

template <class T>
double objective_at(ConvNet<double>& exact, const std::vector<T>& parameters) {
  const std::vector<double> widened(parameters.begin(), parameters.end());
  const Buffer<double> theta(exact.device(), std::span<const double>(widened));
  return objective_value<double>(exact, theta.view(1, exact.parameters()));
}

/// A finished run's journal stays, for more steps.
void expect_no_finished_run(const OutputFolder& folder) {
  if (!std::filesystem::exists(folder / "train.journal") || !std::filesystem::exists(folder / "train.json")) return;
  const nlohmann::json facts = io::parse_json(io::read_text(folder / "train.json", "JSON"), "JSON");
  const bool is_network = facts.is_object() && facts.contains("steps") && facts["steps"].is_number();
  const std::string steps = is_network ? facts["steps"].dump() : "other";
  throw InvalidInput(folder.path().string() + ": holds a finished run of " + steps +
                     " steps; expected none: --resume goes on (with more --steps), or choose another --out");
}

/// Of the objective, in double.
template <class T>
bool has_diverged(const Options& o, ConvNet<double>& exact, const AdamState<T>& state, double start) {
  return has_run_away(o, "train", "objective", objective_at(exact, state.parameters), start, exact.classes(), state.step);
}

}  // namespace

template <class T>
void train_network(const Invocation& call) {
  const Options& o = call.options;
  const OutputFolder folder(o, kTrainResults);
  Problem problem(o, call.command_line);
  check_batch(o, problem.data().examples());
  ConvNet<T> net(problem.data().as<T>(), problem.model().network(), o.l2);
  const AdamOptions options{.learning_rate = o.learning_rate, .drops = o.drops, .batch = o.batch, .seed = o.seed};
  if (!o.resume) expect_no_finished_run(folder);
  io::Journal journal =
      io::Journal::open(folder / "train.journal", fingerprint(o, problem.manifest(), problem.device()), o.resume);
  const EmptyJournal nothing_yet{journal};

  const auto began = std::chrono::steady_clock::now();
  const AdamState<T> first = start<T>(problem);
  ConvNet<double> exact(problem.data(), problem.model().network(), o.l2);
  const double first_objective = objective_at(exact, first.parameters);
  const AdamState<T> from = restore(journal, first, o.steps);
  bool diverged = has_diverged(o, exact, from, first_objective);
  Adam<T> adam(net, options, from);
  for (Index step = from.step; step < o.steps;) {
    const Index next = std::min(o.steps, (step / o.checkpoint_every + 1) * o.checkpoint_every);
    adam.run_to(next, [&](const std::string& what, double done, double) {
      if (problem.progress()) problem.progress()(what, static_cast<double>(step) + done, static_cast<double>(o.steps));
    });
    step = next;
    const AdamState<T> state = adam.state();
    if (!diverged) diverged = has_diverged(o, exact, state, first_objective);
    checkpoint(journal, state);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();

  const AdamState<T> state = adam.state();
  const std::vector<double> theta(state.parameters.begin(), state.parameters.end());
  move_to<double>(exact, exact, theta);
  const Index p = exact.parameters();
  Facts facts{{"steps", state.step},
              {"steps_taken_here", state.step - from.step},
              {"gradient_norm", gradient_norm(exact)},
              {"objective", objective_at(exact, theta)},
              {"accuracy", network_score(exact, theta).accuracy},
              {"parameters", p},
              {"l2", o.l2},
              {"weighted", !o.weights.empty()},
              {"batch", o.batch},
              {"seed", o.seed},
              {"first_learning_rate", o.learning_rate},
              {"drops", o.drops},
              {"learning_rate", options.rate(std::max<Index>(state.step, 1) - 1)},
              {"seconds", seconds}};
  std::vector<T> moments = state.first_moments;
  moments.insert(moments.end(), state.second_moments.begin(), state.second_moments.end());
  io::ResultFiles results;
  write_values<T>(results, folder / "params.npy", {p}, theta);
  write_values<T>(results, folder / "moments.npy", {2, p}, std::vector<double>(moments.begin(), moments.end()));
  results.add(folder / "train.json", facts.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  facts["written"] = folder.path().string();
  print_facts(o, facts);
}

template void train_network<float>(const Invocation&);
template void train_network<double>(const Invocation&);

}  // namespace clout::cli
