#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/cli/hinge.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/retrain.hpp>
#include <clout/host/cli/retrain_network.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/newton_retrain.hpp>
#include <cmath>
#include <limits>
#include <numbers>

namespace clout::cli {

using Facts = nlohmann::ordered_json;

std::string retrain_request(Problem& problem, Index block, bool factorises) {
  const Options& o = problem.options();
  const DeviceInfo device = problem.device().info();
  const Facts all = problem.manifest().to_json();
  Facts facts{{"verb", "retrain"},
              {"inputs", all["inputs"]},
              {"model", o.model},
              {"loss", o.loss},
              {"temperature", o.temperature},
              {"bias", o.bias},
              {"classes", o.classes},
              {"l2", o.l2},
              {"test_index", o.test_index},
              {"all", o.all},
              {"precision", o.precision},
              {"tolerance", o.tolerance},
              {"block", block},
              {"record", "with sizes and gains"},
              {"seed", o.seed},
              {"sparse", problem.data().is_sparse()},
              {"device", device.name + ", " + device.model},
              {"libraries", device.libraries},
              {"threads", factorises ? device.threads : 0}};
  return facts.dump();
}

/// R_j is λ-strongly convex without a bias, so ‖θ_j − minimum‖ ≤ ‖g‖/λ; the gradient of a softmax loss is at most √2‖x‖,
/// that of a margin loss ‖x‖. Outputs are sums of d products, each within (d + 2) u of ‖θ‖‖x‖, two of which are in a
/// softmax loss, beside log K; the softmax passes half of that on to the gradient, a sum of n terms of at most √2‖x‖, and a
/// smooth hinge 1/(4t) of it. Curvatures change by a factor of e within a change of outputs of 1, or of t.
ChangeErrors linear_change_errors(Problem& problem, const std::vector<double>& test_norms) {
  constexpr double kUnit = std::numeric_limits<double>::epsilon();  // twice u: what exp and log add is in it
  const Options& o = problem.options();
  const double d = static_cast<double>(problem.data().features()), k = static_cast<double>(problem.data().classes());
  const double n = static_cast<double>(problem.data().examples()), largest = problem.largest_input();
  const double steepest = problem.model().is_margin() ? 1 : std::numbers::sqrt2;
  const double sharpness = o.temperature > 0 ? 1 / o.temperature : 1;
  ChangeErrors errors;
  for (const double norm : test_norms) {
    const double x = o.bias ? std::hypot(norm, 1.0) : norm;
    errors.reach.push_back(steepest * x);
    errors.rounding.push_back(kUnit * 8 * std::log(k));
    errors.sized_rounding.push_back(kUnit * (2 * d + 16) * x);
  }
  errors.gradient_rounding = kUnit * (n + k + 8) * std::numbers::sqrt2 * largest;
  errors.sized_gradient_rounding = kUnit * ((d + 2) * largest * largest * std::max(1.0, sharpness / 4) + 2 * o.l2);
  errors.convexity = o.bias ? 0 : o.l2;
  errors.output_reach = steepest * sharpness * largest;
  return errors;
}

template <class T>
void run_retrain(const Invocation& call) {
  if (call.options.model == "convnet")
    return call.options.retraining == "adam" ? retrain_network<T>(call) : retrain_proximal(call);
  const Options& o = call.options;
  if (o.damping != 0)
    throw InvalidInput("--damping " + number_text(o.damping) +
                       ": is of --model convnet; retrained fits are exact, and "
                       "predictions for them undamped");
  if (call.options.model == "margin" && call.options.loss == "hinge") return retrain_hinge<T>(call);
  expect_not_given(o, {"--solver", "--max-iterations", "--preconditioner"}, "retrain of a linear model predicts by a factor of the Hessian");
  const OutputFolder folder(o, kRetrainResults);
  Problem problem(o, call.command_line);
  Problem::Tests tests = problem.load_tests();
  const Groups groups = requested_groups(o, problem.data());
  for (const std::string& path : {o.indices, o.groups})
    if (!path.empty()) problem.manifest().add_input(path);

  const ChangeErrors errors = linear_change_errors(problem, tests.input_norms);
  const LeaveOneOutOptions options{.tolerance = o.tolerance, .chord = o.l2 > 0, .gains = !errors.are_bounds()};
  const std::string request = retrain_request(problem, options.block, true);
  if (is_finished(o, folder, kRetrainJournal, request, problem.manifest())) return;
  Objective<double>& exact = problem.objective<double>();
  const double start_norm = start_gradient_norm(problem);
  require_minima(exact, groups);
  io::Journal journal = io::Journal::open(folder / kRetrainJournal, request, o.resume);
  const EmptyJournal nothing_yet{journal};
  const auto make = [&]<class U>(Dataset<U> data) { return problem.model().objective(std::move(data), o.l2); };
  const std::string advice = std::string("raise --tolerance") + (o.is_single() ? ", or use --precision double" : "");
  retrain_exactly<T>({.exact = exact,
                      .fast = problem.objective<T>(),
                      .factor = make_factor<T>(problem, 0.0),
                      .newton = newton_retrain<T>(problem.data(), make,
                                                  {.tolerance = o.tolerance, .gain = options.gains}),
                      .advice = advice,
                      .errors = errors,
                      .start_gradient_norm = start_norm,
                      .options = options},
                     problem, tests, groups, folder, journal, {{"start_gradient_norm", start_norm}});
}

template void run_retrain<float>(const Invocation&);
template void run_retrain<double>(const Invocation&);

}  // namespace clout::cli
