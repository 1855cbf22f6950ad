// attack: which small changes of training inputs flip the model's predictions on test points.

#include <algorithm>
#include <chrono>
#include <clout/host/attack.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/models/logistic_regression.hpp>
#include <limits>
#include <numeric>
#include <set>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

// Of uint8 inputs, in levels; the box a hair less than the half that could round to another byte.
constexpr double kLevels = 255, kByteStep = 0.02, kByteBox = 0.5 * (1 - 0x1p-20);
constexpr Index kBlock = 64;  // attacks side by side

/// What one attack did, and what training anew says of it.
struct Attacked {
  AttackPlan plan;
  AttackResult result;
  AttackCheck check;
};

/// The model that is attacked: all of it, or of a network the linear layer, with the rest frozen.
struct Target {
  std::optional<FrozenNetwork> below;
  FittedModel::Make make;
  std::vector<double> theta;

  explicit Target(const Problem& problem);
};

Target::Target(const Problem& problem) : theta(problem.theta()) {
  const Model& model = problem.model();
  if (model.is_linear()) {
    make = [&model](Dataset<double> data, double l2) {
      auto objective = model.objective(std::move(data), l2);
      return std::unique_ptr<LinearModel<double>>(dynamic_cast<LinearModel<double>*>(objective.release()));
    };
    return;
  }
  const NetworkShape& shape = model.network();
  below.emplace(shape, theta);
  theta.erase(theta.begin(), theta.begin() + shape.weight);
  make = [](Dataset<double> data, double l2) -> std::unique_ptr<LinearModel<double>> {
    return std::make_unique<LogisticRegression<double>>(std::move(data), true, l2);
  };
}

void check_request(Problem& problem) {
  const Options& o = problem.options();
  if (o.is_single()) throw InvalidInput("--precision single: attacks are computed in double alone; expected double");
  if (problem.model().is_hinge())
    throw InvalidInput("--loss hinge: has no derivatives at its kinks to attack by; expected smooth-hinge, with a small --temperature");
  if (!o.weights.empty()) throw InvalidInput("--weights: an attack gives all examples the weight 1; expected none");
  const bool bytes = problem.data().view().bytes != nullptr;
  if (!bytes && !(o.is_given("--step") && o.is_given("--box")))
    throw InvalidInput(o.x + ": is not uint8, so --step and --box have no defaults; expected both, in units of x");
  if (!o.range.empty() && o.range.size() != 2)
    throw InvalidInput("--range: " + std::to_string(o.range.size()) + " numbers; expected two, LOW HIGH");
  if (!o.range.empty() && !(o.range[0] < o.range[1]))
    throw InvalidInput("--range: " + number_text(o.range[0]) + " to " + number_text(o.range[1]) + " is empty; expected LOW below HIGH");
  if (problem.model().is_linear()) start_gradient_norm(problem, "the model is refitted first");
}

/// Throws InvalidInput naming the first number of x that is outside the range: no box leads back.
void check_range(const Problem& problem, const AttackOptions& options) {
  const Dataset<double>& data = problem.data();
  const double unit = data.view().bytes ? kLevels : 1.0;
  for (Index row = 0; row < data.examples(); ++row) {
    const std::vector<double> x = data.host_features(row, 1);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] < options.low || x[i] > options.high)
        throw InvalidInput(problem.options().x + ": " + number_text(x[i] * unit) + " at [" + std::to_string(row) + "][" +
                           std::to_string(i) + "]; expected " + number_text(options.low * unit) + " to " +
                           number_text(options.high * unit) + ", as --range says");
  }
}

AttackOptions options_of(const Options& o, bool bytes) {
  const double unit = bytes ? 1 / kLevels : 1.0, infinity = std::numeric_limits<double>::infinity();
  AttackOptions options{.steps = o.steps,
                        .step = unit * (o.is_given("--step") ? o.step : kByteStep),
                        .box = unit * (o.is_given("--box") ? o.box : kByteBox),
                        .low = bytes ? 0 : -infinity,
                        .high = bytes ? 1 : infinity};
  if (o.range.size() == 2) {
    options.low = unit * o.range[0];
    options.high = unit * o.range[1];
  }
  return options;
}

/// Sets of test rows, one for each attack: those that are predicted right, one by one or together.
std::vector<std::vector<Index>> test_sets(const Attack& attack, bool together) {
  std::vector<std::vector<Index>> sets;
  for (Index test = 0; test < std::ssize(attack.before()); ++test) {
    if (!attack.before()[static_cast<std::size_t>(test)].was_right) continue;
    if (sets.empty() || !together) sets.emplace_back();
    sets.back().push_back(test);
  }
  if (sets.empty()) throw InvalidInput("attack: every test point is predicted wrong already; expected one that is right");
  return sets;
}

std::vector<std::vector<Index>> training_rows(Attack& attack, Problem& problem, const std::vector<std::vector<Index>>& sets) {
  const Options& o = problem.options();
  const Index n = problem.data().examples();
  if (o.indices.empty()) {
    if (o.points > n)
      throw InvalidInput("--points " + std::to_string(o.points) + ": expected at most " + std::to_string(n) +
                         ", the number of training points");
    return attack.strongest(sets, o.points, problem.progress());
  }
  const std::vector<Index> rows = read_integers(o.indices, "indices");
  if (rows.empty()) throw InvalidInput(o.indices + ": is empty; expected training rows");
  std::set<Index> seen;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string where = o.indices + ": row " + std::to_string(rows[i]) + " at [" + std::to_string(i) + "]";
    if (rows[i] < 0 || rows[i] >= n) throw InvalidInput(where + "; expected 0 to " + std::to_string(n - 1));
    if (!seen.insert(rows[i]).second) throw InvalidInput(where + " stands there before; expected each once");
  }
  return std::vector(sets.size(), rows);
}

std::string attacks_csv(const std::vector<Attacked>& all, const Problem::Tests& tests, const Dataset<double>& data) {
  std::string text = "attack,test_index,label,flipped,flipped_anew,steps,loss_before,loss_after,loss_anew,predicted_first,actual_first,"
                     "gradient_norm,gradient_norm_anew,train_indices\n";
  for (std::size_t a = 0; a < all.size(); ++a)
    for (std::size_t t = 0; t < all[a].plan.tests.size(); ++t) {
      const auto& [plan, result, check] = all[a];
      const auto test = static_cast<std::size_t>(plan.tests[t]);
      text += std::to_string(a) + "," + std::to_string(tests.rows[test]) + "," + std::to_string(data.host_labels()[test]) + "," +
              (result.tests[t].is_right ? "0," : "1,") + (check.tests[t].is_right ? "0," : "1,") +
              std::to_string(result.history.size());
      for (const double value : {result.tests[t].loss_before, result.tests[t].loss_after, check.tests[t].loss_after,
                                 result.predicted_first, result.actual_first, result.gradient_norm, check.gradient_norm})
        text += "," + number_text(value, 17);
      text += ",";
      for (std::size_t i = 0; i < plan.rows.size(); ++i) text += (i > 0 ? " " : "") + std::to_string(plan.rows[i]);
      text += "\n";
    }
  return text;
}

void write(const OutputFolder& folder, Problem& problem, const std::vector<Attacked>& all, const Problem::Tests& tests) {
  const Index attacks = std::ssize(all), each = std::ssize(all[0].plan.rows);
  std::vector<double> inputs;
  for (const Attacked& one : all) inputs.insert(inputs.end(), one.result.inputs.begin(), one.result.inputs.end());
  std::vector<Index> shape = problem.input_shape();
  shape[0] = each;
  shape.insert(shape.begin(), attacks);
  io::ResultFiles results;
  folder.supersede_earlier(results);
  results.add(folder / "attack.csv", attacks_csv(all, tests, *tests.data));
  write_values<double>(results, folder / "attacked.npy", shape, inputs);
  problem.manifest().write(results, folder / "manifest.json");
  results.commit();
}

void run_attack(const Invocation& call) {
  const auto start = std::chrono::steady_clock::now();
  const Options& o = call.options;
  const OutputFolder folder(o, {"attack.csv", "attacked.npy", "manifest.json"});
  Problem problem(o, call.command_line);
  check_request(problem);
  const AttackOptions options = options_of(o, problem.data().view().bytes != nullptr);
  check_range(problem, options);
  const Problem::Tests tests = problem.load_tests();
  const Target target(problem);
  if (std::ssize(target.theta) > kMostDirectParameters)
    throw InvalidInput("attack: " + std::to_string(target.theta.size()) + " parameters; expected at most " +
                       std::to_string(kMostDirectParameters) + ", whose Hessian is factorised");
  Attack attack(problem.data(), *tests.data, target.below ? &*target.below : nullptr, target.make, o.l2, target.theta,
                o.tolerance, problem.progress());
  const std::vector<std::vector<Index>> sets = test_sets(attack, o.together);
  const std::vector<std::vector<Index>> rows = training_rows(attack, problem, sets);
  std::vector<Attacked> all;
  for (std::size_t first = 0; first < sets.size(); first += kBlock) {
    std::vector<AttackPlan> plans;
    for (std::size_t a = first; a < std::min(sets.size(), first + kBlock); ++a) plans.push_back({rows[a], sets[a]});
    const Progress steps = [&](const std::string& stage, double done, double total) {
      if (problem.progress())
        problem.progress()(stage, static_cast<double>(first) + static_cast<double>(plans.size()) * done / total,
                           static_cast<double>(sets.size()));
    };
    std::vector<AttackResult> results = attack.run(plans, options, steps);
    for (std::size_t a = 0; a < plans.size(); ++a) {
      AttackCheck check = attack.check(plans[a], results[a]);
      all.push_back({plans[a], std::move(results[a]), std::move(check)});
    }
  }
  write(folder, problem, all, tests);
  Index flipped = 0, anew = 0, attacked = 0, refits = 0, from_zero = 0;
  double norm = attack.base().gradient_norm();
  for (const Attacked& one : all) {
    for (const AttackedTest& test : one.result.tests) flipped += test.is_right ? 0 : 1;
    for (const AttackedTest& test : one.check.tests) anew += test.is_right ? 0 : 1;
    attacked += std::ssize(one.plan.tests);
    from_zero += one.check.is_from_zero ? 1 : 0;
    refits += std::ssize(one.result.history) + 1;
    norm = std::max({norm, one.result.gradient_norm, one.check.gradient_norm});
  }
  Facts facts{{"attacks", all.size()},
              {"training_points_changed", all[0].plan.rows.size()},
              {"test_points", attacked},
              {"already_wrong", std::ssize(tests.rows) - attacked},
              {"flipped", flipped},
              {"flipped_anew", anew},
              {"trained_anew_from_zero", from_zero},
              {"refits", refits},
              {"max_gradient_norm", norm},
              {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()},
              {"written", folder.path().string()}};
  print_facts(o, facts);
}

}  // namespace

void add_attack(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(app, "attack",
                           "small changes of training inputs that flip predictions on test points: attack.csv, attacked.npy",
                           "clout attack --model logistic --classes 10 --l2 0.01 --x x.npy --y y.npy --params fit/params.npy "
                           "--test-x tx.npy --test-y ty.npy --test-index 0,1,2 --points 3 --out attack",
                           run_attack, chosen);
  add_common(sub, o);
  sub.get_option("--precision")->description("double alone");
  add_model(sub, o);
  sub.get_option("--model")->description(
      "logistic, margin (two classes by the sign of one output), or convnet: its linear layer, all below frozen");
  add_data(sub, o, true);
  add_tests(sub, o);
  CLI::Option* points = sub.add_option("--points", o.points, "training points that each attack changes: those with the largest influence by their input");
  points->check(whole(1))->capture_default_str();
  sub.add_option("--indices", o.indices, "these training points instead, in every attack: .npy [k]")->excludes(points);
  sub.add_flag("--together", o.together, "one attack on all test points at once, on their mean loss");
  sub.add_option("--steps", o.steps, "most steps of an attack, each with a refit")->check(whole(1))->default_str("100");
  sub.preparse_callback([&o](std::size_t) { o.steps = 100; });
  sub.add_option("--step", o.step, "change of every coordinate by a step: in levels of 8 bits where x is uint8 (default 0.02), else in units of x")
      ->check(positive());
  sub.add_option("--box", o.box, "most that a coordinate may change in all, likewise (default just below 0.5: the same bytes after rounding)")
      ->check(positive());
  sub.add_option("--range", o.range, "what x may be, LOW HIGH, likewise (default of uint8: 0 255)");
  sub.add_option("--tolerance", o.tolerance, "on every refit's gradient norm")->check(positive())->capture_default_str();
  add_out(sub, o, "the folder to write into");
}

}  // namespace clout::cli
