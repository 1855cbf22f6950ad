// train, influence: jobs that end in a folder of results.

#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/retrain.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/cli/train_network.hpp>
#include <clout/host/cli/verbs.hpp>
#include <numeric>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

template <class T>
void run_train(const Invocation& call) {
  if (call.options.model == "convnet") return train_network<T>(call);
  const OutputFolder folder(call.options, {"params.npy", "train.json", "manifest.json"});
  Problem problem(call.options, call.command_line);
  std::vector<double> theta(static_cast<std::size_t>(problem.parameters()));
  if (!call.options.params.empty()) theta = problem.theta();
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
  io::ResultFiles results;
  write_values<T>(results, folder / "params.npy", {problem.parameters()}, theta);
  Facts all = facts;
  all["steps"] = steps;
  results.add(folder / "train.json", all.dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  facts["written"] = folder.path().string();
  print_facts(call.options, facts);
}

/// The most helpful and most harmful training points of every test point.
std::string top_csv(const std::vector<double>& scores, std::span<const Index> tests, Index n, Index top,
                    const std::vector<std::int32_t>& labels) {
  std::string text = "test_index,kind,rank,train_index,label,loss_change_if_removed\n";
  std::vector<Index> order(static_cast<std::size_t>(n));
  const auto keep = static_cast<std::ptrdiff_t>(std::min(top, n));
  for (std::size_t t = 0; t < tests.size(); ++t) {
    const double* score = scores.data() + static_cast<Index>(t) * n;
    for (const bool helpful : {true, false}) {
      std::iota(order.begin(), order.end(), Index{0});
      std::partial_sort(order.begin(), order.begin() + keep, order.end(), [&](Index a, Index b) {
        if (score[a] != score[b]) return helpful ? score[a] > score[b] : score[a] < score[b];
        return a < b;
      });
      for (std::ptrdiff_t rank = 0; rank < keep; ++rank) {
        const Index i = order[static_cast<std::size_t>(rank)];
        if (helpful ? score[i] <= 0 : score[i] >= 0) break;
        text += std::to_string(tests[t]) + (helpful ? ",helpful," : ",harmful,") + std::to_string(rank + 1) + "," +
                std::to_string(i) + "," + std::to_string(labels[static_cast<std::size_t>(i)]) + "," +
                number_text(score[i], 17) + "\n";
      }
    }
  }
  return text;
}

template <class T>
void run_self_influence(const Invocation& call, Problem& problem, const OutputFolder& folder) {
  const std::unique_ptr<Solver> solver = make_solver<T>(problem);
  std::vector<Index> rows(static_cast<std::size_t>(problem.data().examples()));
  std::iota(rows.begin(), rows.end(), Index{0});
  const SelfInfluence result = self_influence(problem.objective<double>(), *solver, rows, problem.progress());
  settle(call.options, result.report);
  const double norm = start_gradient_norm(problem);
  io::ResultFiles results;
  write_values<T>(results, folder / "self_influence.npy", {problem.data().examples()}, result.values);
  results.add(folder / "report.json", to_json(result.report).dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  Facts facts{{"examples", problem.data().examples()},
              {"gradient_norm", norm},
              {"solver", result.report.solver},
              {"max_relative_residual", result.report.max_relative_residual()},
              {"seconds", result.report.seconds},
              {"written", folder.path().string()}};
  facts.update(lissa_facts(result.report));
  print_facts(call.options, facts);
}

template <class T>
void run_influence(const Invocation& call) {
  const OutputFolder folder(call.options,
                            {"scores.npy", "top.csv", "self_influence.npy", "report.json", "manifest.json"});
  Problem problem(call.options, call.command_line);
  if (call.options.self) return run_self_influence<T>(call, problem, folder);

  Problem::Tests tests = problem.load_tests();
  const std::unique_ptr<Solver> solver = make_solver<T>(problem);
  Influence<T> influence(problem.objective<T>(), *tests.objective, *solver, problem.theta());
  std::vector<Index> all(tests.rows.size());
  std::iota(all.begin(), all.end(), Index{0});
  const auto result = influence.scores(all, problem.progress());
  settle(call.options, result.report);
  const double norm = start_gradient_norm(problem);

  const Index n = problem.data().examples(), m = static_cast<Index>(tests.rows.size());
  io::ResultFiles results;
  write_values<T>(results, folder / "scores.npy", {m, n}, result.values);
  results.add(folder / "top.csv",
              top_csv(result.values, tests.rows, n, call.options.top, problem.data().host_labels()));
  results.add(folder / "report.json", to_json(result.report).dump(2) + "\n");
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
  Facts facts{{"test_examples", m},
              {"training_examples", n},
              {"gradient_norm", norm},
              {"solver", result.report.solver},
              {"max_relative_residual", result.report.max_relative_residual()},
              {"seconds", result.report.seconds},
              {"written", folder.path().string()}};
  facts.update(lissa_facts(result.report));
  print_facts(call.options, facts);
}

}  // namespace

void add_job_verbs(CLI::App& app, Options& o, Run& chosen) {
  const std::string model = " --model logistic --classes 10 --l2 0.01 --x x.npy --y y.npy";
  CLI::App& training =
      add_verb(app, "train", "fits to a gradient norm (logistic) or by Adam (convnet): params.npy and train.json in a folder",
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
  training.add_option("--tolerance", o.tolerance, "logistic: on the gradient norm")->check(positive())->capture_default_str();
  training.add_flag("--allow-uncertified", o.allow_uncertified, "write results that did not converge, too");
  add_out(training, o, "the folder to write into");

  CLI::App& influence = add_verb(
      app, "influence", "predicted change of each test loss when a training point is removed: scores.npy and top.csv",
      "clout influence" + model + " --params fit/params.npy --test-x tx.npy --test-y ty.npy --out scores",
      in_precision([]<class T>(const Invocation& call) { run_influence<T>(call); }), chosen);
  add_common(influence, o);
  add_model(influence, o);
  add_data(influence, o, true);
  add_tests(influence, o);
  add_solver(influence, o);
  CLI::Option* self =
      influence.add_flag("--self", o.self, "self-influence of every training point instead: self_influence.npy");
  for (const char* of_tests : {"--test-x", "--test-y", "--test-index"}) self->excludes(of_tests);
  CLI::Option* top = influence.add_option("--top", o.top, "points of each kind in top.csv");
  self->excludes(top->check(whole(1))->capture_default_str());
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
      ->check(CLI::IsMember({"adam", "proximal", "pbrf"}))
      ->capture_default_str();
  add_adam(retraining, o);
  CLI::Option* moments =
      retraining.add_option("--moments", o.moments, "convnet: Adam's moments at --params: .npy [2][p] (default: zero)");
  CLI::Option* start =
      retraining.add_option("--start-step", o.start_step, "convnet: steps that were taken to --params and --moments");
  start->check(whole(0))->needs(moments);
  moments->needs(start);
  retraining.add_option("--controls", o.controls, "convnet: models with nothing removed; the first is subtracted")
      ->check(whole(1))
      ->capture_default_str();
  add_solver(retraining, o);
  retraining.get_option("--tolerance")
      ->description("on every retrained model's gradient norm; with Adam: on the solve's true relative residual");
  retraining.preparse_callback([&o](std::size_t) { o.steps = 30'000; });
  retraining.add_flag("--resume", o.resume, "go on with the unfinished work in --out");
  add_out(retraining, o, "the folder to write into");
}

}  // namespace clout::cli
