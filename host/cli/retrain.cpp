#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/retrain.hpp>
#include <clout/host/cli/retrain_network.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/logistic_retrain.hpp>
#include <cmath>
#include <limits>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

/// Everything that changes the retrained models' bits.
std::string fingerprint(const Options& o, const io::Manifest& manifest, const DeviceInfo& device, bool is_sparse,
                        Index block) {
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
              {"sparse", is_sparse},
              {"device", device.name + ", " + device.model},
              {"libraries", device.libraries},
              {"threads", device.threads}};
  return facts.dump();
}

/// R_j is λ-strongly convex without a bias, so ‖θ_j − minimum‖ ≤ ‖g‖/λ, and a softmax loss changes by at most √2‖x‖
/// times that.
std::vector<double> error_bounds(const Options& o, const std::vector<double>& input_norms) {
  if (o.bias || o.l2 == 0) return {};
  std::vector<double> bounds;
  for (const double norm : input_norms) bounds.push_back(std::sqrt(2.0) * norm / o.l2);
  return bounds;
}

/// Logits are sums of d products: two losses, each within (2d + 16) u of |θ||x|, and of log K where that is small.
std::vector<double> roundings(const Problem& problem, const std::vector<double>& input_norms) {
  double squares = 0;
  for (const double value : problem.theta()) squares += value * value;
  const double size = std::sqrt(squares), bias = problem.options().bias ? 1 : 0;
  const double terms = 2 * static_cast<double>(problem.data().features()) + 16;
  std::vector<double> roundings;
  for (const double norm : input_norms)
    roundings.push_back(std::numeric_limits<double>::epsilon() *
                        (terms * size * (norm + bias) + 8 * std::log(static_cast<double>(problem.data().classes()))));
  return roundings;
}

}  // namespace

template <class T>
void run_retrain(const Invocation& call) {
  if (call.options.model == "convnet")
    return call.options.retraining == "adam" ? retrain_network<T>(call) : retrain_proximal(call);
  const Options& o = call.options;
  if (o.damping != 0)
    throw InvalidInput("--damping " + number_text(o.damping) +
                       ": is of --model convnet; retrained fits are exact, and "
                       "predictions for them undamped");
  const OutputFolder folder(o, kRetrainResults);
  Problem problem(o, call.command_line);
  Problem::Tests tests = problem.load_tests();
  const Groups groups = requested_groups(o, problem.data());
  for (const std::string& path : {o.indices, o.groups})
    if (!path.empty()) problem.manifest().add_input(path);

  Objective<double>& exact = problem.objective<double>();
  const double start_norm = start_gradient_norm(problem);
  require_minima(exact, groups);
  const LeaveOneOutOptions options{.tolerance = o.tolerance, .chord = o.l2 > 0};
  io::Journal journal = io::Journal::open(
      folder / "retrain.journal",
      fingerprint(o, problem.manifest(), problem.device().info(), problem.data().is_sparse(), options.block), o.resume);
  const EmptyJournal nothing_yet{journal};
  const std::string advice = std::string("raise --tolerance") + (o.is_single() ? ", or use --precision double" : "");
  retrain_exactly<T>({.exact = exact,
                      .fast = problem.objective<T>(),
                      .factor = make_factor<T>(problem, 0.0),
                      .newton = logistic_retrain<T>(problem.data(), o.bias, o.l2, o.tolerance),
                      .advice = advice,
                      .error_bounds = error_bounds(o, tests.input_norms),
                      .roundings = roundings(problem, tests.input_norms),
                      .start_gradient_norm = start_norm,
                      .options = options},
                     problem, tests, groups, folder, journal, {{"start_gradient_norm", start_norm}});
}

template void run_retrain<float>(const Invocation&);
template void run_retrain<double>(const Invocation&);

}  // namespace clout::cli
