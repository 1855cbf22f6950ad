// retrain --model convnet --retraining proximal|pbrf: to the minimum of what damped influence predicts.

#include <clout/engine/proximal.hpp>
#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/cli/retrain_network.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/quasi_newton.hpp>
#include <limits>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

// Models side by side: enough that a pass over the examples is worth its start.
constexpr Index kModels = 16;
// Of a difference of two losses of some units: 64 roundings of each.
constexpr double kLossRounding = 128 * std::numeric_limits<double>::epsilon();

/// Everything that changes the retrained models' bits.
std::string fingerprint(const Options& o, const io::Manifest& manifest, const DeviceInfo& device) {
  const Facts all = manifest.to_json();
  return Facts{{"verb", "retrain " + o.retraining},
               {"inputs", all["inputs"]},
               {"l2", o.l2},
               {"damping", o.damping},
               {"test_index", o.test_index},
               {"all", o.all},
               {"tolerance", o.tolerance},
               {"block", kModels},
               {"record", "with sizes and gains"},
               {"device", device.name + ", " + device.model},
               {"libraries", device.libraries},
               {"threads", device.threads}}  // of the factor's bits
      .dump();
}

/// Damped fits stay close to θ, where ‖∇ℓ_t‖ is how far a loss moves to first order.
ChangeErrors change_errors(Objective<double>& tests) {
  const Index p = tests.parameters();
  Buffer<double> gradient(tests.device(), p);
  ChangeErrors errors;
  for (Index t = 0; t < tests.examples(); ++t) {
    tests.example_gradients({&t, 1}, gradient.view(1, p));
    errors.reach.push_back(row_norms<double>(tests.device(), gradient.view(1, p))[0]);
  }
  errors.rounding.assign(errors.reach.size(), kLossRounding);
  errors.sized_rounding.assign(errors.reach.size(), 0.0);
  return errors;
}

}  // namespace

void retrain_proximal(const Invocation& call) {
  const Options& o = call.options;
  const bool divergence = o.retraining == "pbrf";
  const std::string which = "--retraining " + o.retraining;
  if (o.is_single()) throw InvalidInput(which + ": gradient norms are in double; expected --precision double");
  if (!(o.damping > 0)) throw InvalidInput(which + ": expected a --damping above zero");
  if ((o.curvature == "ggn") != divergence)
    throw InvalidInput(which + " --curvature " + o.curvature + ": expected --curvature " +
                       (divergence ? "ggn" : "hessian") + ", the matrix that predicts it");
  expect_not_given(o, {"--solver", "--max-iterations", "--preconditioner"}, which + " predicts by a factor of the Hessian");
  expect_not_given(o, {"--steps", "--moments", "--start-step", "--controls", "--batch", "--learning-rate", "--drops"}, "it is of --retraining adam");
  const OutputFolder folder(o, kRetrainResults);
  Problem problem(o, call.command_line);
  Problem::Tests tests = problem.load_tests();
  const Groups groups = requested_groups(o, problem.data());
  for (const std::string& path : {o.indices, o.groups})
    if (!path.empty()) problem.manifest().add_input(path);
  const std::string request = fingerprint(o, problem.manifest(), problem.device().info());
  if (is_finished(o, folder, kRetrainJournal, request, problem.manifest())) return;
  io::Journal journal = io::Journal::open(folder / kRetrainJournal, request, o.resume);
  const EmptyJournal nothing_yet{journal};
  Proximal proximal(problem.objective<double>(), problem.theta(), o.damping,
                    divergence ? ProximalKind::divergence : ProximalKind::objective);
  const auto factor = make_factor<double>(problem, o.damping);
  const auto quasi_newton = [&](const std::vector<Index>& group, std::vector<double>& theta) {
    const Removals removals(problem.device(), {group}, problem.data().examples());
    return minimize(proximal, removals, *factor, theta, {.tolerance = o.tolerance});
  };
  retrain_exactly<double>({.exact = proximal,
                           .fast = proximal,
                           .factor = factor,
                           .damping = o.damping,
                           .newton = quasi_newton,
                           .advice = "raise --damping or --tolerance",
                           .errors = change_errors(*tests.objective),
                           .options = {.tolerance = o.tolerance, .block = kModels, .gains = true}},
                          problem, tests, groups, folder, journal,
                          {{"retraining", o.retraining}, {"damping", o.damping}});
}

}  // namespace clout::cli
