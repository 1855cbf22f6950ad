// train, and the options of the jobs that end in a folder of results.

#include <clout/engine/training.hpp>
#include <clout/host/cli/hinge.hpp>
#include <clout/host/cli/influence.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/retrain.hpp>
#include <clout/host/cli/train_network.hpp>
#include <clout/host/cli/verbs.hpp>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

// A cold smooth hinge has next to no curvature at zero: fits of warmer ones lead to where it has.
constexpr double kWarm = 1, kCooling = 4, kWarmTolerance = 1e-4;

void warm_up(Problem& problem, std::vector<double>& theta) {
  const double temperature = problem.model().temperature();
  if (temperature == 0) return;
  for (double t = kWarm; t > temperature; t /= kCooling) {
    const auto warmer = problem.model().at_temperature(t).objective(problem.data(), problem.options().l2);
    train<double>(*warmer, *warmer, theta, {.tolerance = kWarmTolerance}, problem.progress());
  }
}

template <class T>
void run_train(const Invocation& call) {
  if (call.options.model == "convnet") return train_network<T>(call);
  if (call.options.model == "margin" && call.options.loss == "hinge") return train_hinge<T>(call);
  const OutputFolder folder(call.options, kTrainResults);
  Problem problem(call.options, call.command_line);
  std::vector<double> theta(static_cast<std::size_t>(problem.parameters()));
  if (!call.options.params.empty()) theta = problem.theta();
  else warm_up(problem, theta);
  Objective<double>& exact = problem.objective<double>();
  const TrainingReport report = train<T>(exact, problem.objective<T>(), theta,
                                         {.tolerance = call.options.tolerance}, problem.progress());
  if (!report.converged) {
    std::string line = "train: gradient norm " + number_text(report.gradient_norm, 3) + " after " +
                       std::to_string(report.steps.size()) + " Newton steps, tolerance " +
                       number_text(call.options.tolerance, 3) + ": raise --l2 or --tolerance";
    if (!report.obstacle.empty()) line = "train: " + report.obstacle;
    if (!call.options.allow_uncertified) throw NotCertified(line + " (nothing was written; --allow-uncertified would)");
    warn("not certified: " + line);
  }
  problem.warn_of_rounded_logits("train", theta);
  Facts steps = Facts::array();
  for (const TrainingStep& step : report.steps)
    steps.push_back({{"objective", step.objective},
                     {"gradient_norm", step.gradient_norm},
                     {"step_length", step.step_length},
                     {"hessian_products", step.products}});
  Facts facts{{"converged", report.converged},
              {"gradient_norm", report.gradient_norm},
              {"objective", report.objective},
              {"parameters", problem.parameters()},
              {"newton_steps", report.steps.size()},
              {"hessian_products", report.products},
              {"seconds", report.seconds}};
  if (call.options.is_single()) {  // the file holds fewer digits than what was certified
    const std::vector<T> rounded(theta.begin(), theta.end());
    move_to<double>(exact, exact, {rounded.begin(), rounded.end()});
    facts["written_gradient_norm"] = gradient_norm(exact);
  }
  io::ResultFiles results;
  folder.supersede_earlier(results);
  write_values<T>(results, folder / "params.npy", {problem.parameters()}, theta);
  Facts all = facts;
  all["steps"] = steps;
  results.add(folder / "train.json", all.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  facts["written"] = folder.path().string();
  print_facts(call.options, facts);
}

/// What `influence` scores, and how.
void add_candidates(CLI::App& influence, Options& o) {
  CLI::Option* self =
      influence.add_flag("--self", o.self, "self-influence of every training point instead: self_influence.npy");
  CLI::Option* groups = influence.add_option(
      "--groups", o.groups, "sets of training rows instead of single ones: .json, lists of indices; group_scores.npy");
  CLI::Option* flips = influence.add_flag(
      "--flips", o.flips, "every training point's label made each of the others instead: relabel_scores.npy");
  CLI::Option* second =
      influence.add_flag("--second-order", o.second_order,
                         "removals by a Newton step with the Hessian that is left, not that of all the data");
  CLI::Option* top = influence.add_option("--top", o.top, "points of each kind in top.csv");
  top->check(whole(1))->capture_default_str();
  CLI::Option* resume = influence.add_flag("--resume", o.resume, "go on with the unfinished work in --out");
  influence.add_flag("--plan", o.plan, "say how much memory and disk the run will take, and stop");
  for (const char* of_tests : {"--test-x", "--test-y", "--test-index"}) self->excludes(of_tests);
  for (CLI::Option* of_pairs : {groups, flips, second, top, resume}) self->excludes(of_pairs);
  flips->excludes(groups)->excludes(second);
}

}  // namespace

void add_job_verbs(CLI::App& app, Options& o, Run& chosen) {
  const std::string model = " --model logistic --classes 10 --l2 0.01 --x x.npy --y y.npy";
  CLI::App& training =
      add_verb(app, "train", "fits to a gradient norm (logistic, margin) or by Adam (convnet): params.npy and train.json in a folder",
               "clout train" + model + " --tolerance 1e-10 --out fit",
               in_precision([]<class T>(const Invocation& call) { run_train<T>(call); }), chosen);
  add_common(training, o);
  add_model(training, o);
  add_data(training, o, false);
  training.add_option("--params", o.params, "where to start: .npy [p] (default: zero; convnet: drawn by --seed)");
  add_adam(training, o);
  training.add_option("--checkpoint-every", o.checkpoint_every, "convnet: steps between checkpoints")
      ->check(whole(1))
      ->capture_default_str();
  training.add_flag("--resume", o.resume, "convnet: go on from the last checkpoint in --out");
  training.add_option("--tolerance", o.tolerance, "logistic, margin: on the gradient norm; of the hinge: on the duality gap")->check(positive())->capture_default_str();
  training.add_flag("--allow-uncertified", o.allow_uncertified, "write results that did not converge, too");
  add_out(training, o, "the folder to write into");

  CLI::App& influence = add_verb(
      app, "influence",
      "predicted change of each test loss when training points are removed (scores.npy) or relabelled, and top.csv",
      "clout influence" + model + " --params fit/params.npy --test-x tx.npy --test-y ty.npy --out scores",
      in_precision([]<class T>(const Invocation& call) { run_influence<T>(call); }), chosen);
  add_common(influence, o);
  add_model(influence, o);
  add_data(influence, o, true);
  add_tests(influence, o);
  add_solver(influence, o);
  add_candidates(influence, o);
  add_out(influence, o, "the folder to write into");

  CLI::App& retraining = add_verb(
      app, "retrain", "exact leave-one-out or leave-group-out retraining beside the prediction: loo.csv",
      "clout retrain" + model + " --params fit/params.npy --test-x tx.npy --test-y ty.npy --indices i.npy --out loo",
      in_precision([]<class T>(const Invocation& call) { run_retrain<T>(call); }), chosen);
  add_common(retraining, o);
  add_model(retraining, o);
  add_data(retraining, o, true);
  add_tests(retraining, o);
  CLI::Option* indices = retraining.add_option("--indices", o.indices, "training rows to leave out, one a model: .npy [m]");
  CLI::Option* all = retraining.add_flag("--all", o.all, "leave out every training row in turn");
  CLI::Option* groups = retraining.add_option("--groups", o.groups, "sets of rows to leave out: .json, lists of indices");
  indices->excludes(all)->excludes(groups);
  all->excludes(groups);
  retraining.add_option("--retraining", o.retraining,
                        "convnet: further steps of adam, or to a gradient norm: proximal (Q) or pbrf (with --curvature ggn)")
      ->check(one_of({"adam", "proximal", "pbrf"}))
      ->capture_default_str();
  add_adam(retraining, o);
  retraining.get_option("--steps")->description("convnet: further steps of Adam");
  for (const char* name : {"--batch", "--learning-rate", "--drops"}) {
    CLI::Option* option = retraining.get_option(name);
    option->description(option->get_description() + "; where train.json lies beside --params, as it says");
  }
  CLI::Option* moments =
      retraining.add_option("--moments", o.moments, "convnet: Adam's moments at --params: .npy [2][p] (default: moments.npy beside train.json, else zero)");
  CLI::Option* start =
      retraining.add_option("--start-step", o.start_step, "convnet: steps that were taken to --params and --moments");
  start->check(whole(0))->needs(moments);
  moments->needs(start);
  retraining.add_option("--controls", o.controls, "convnet: models with nothing removed; the first is subtracted")
      ->check(whole(1))
      ->capture_default_str();
  add_solver(retraining, o);
  retraining.get_option("--tolerance")
      ->description("on every retrained model's gradient norm (hinge: duality gap); with Adam: on the solve's true relative residual");
  retraining.preparse_callback([&o](std::size_t) { o.steps = 30'000; });
  retraining.add_flag("--resume", o.resume, "go on with the unfinished work in --out");
  add_out(retraining, o, "the folder to write into");
}

}  // namespace clout::cli
