#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/trained_network.hpp>
#include <clout/host/io/json_text.hpp>
#include <cmath>
#include <limits>

namespace clout::cli {
namespace {

namespace fs = std::filesystem;

std::string text(Index value) { return std::to_string(value); }
std::string text(double value) { return number_text(value); }
std::string text(const std::vector<Index>& values) {
  std::string all;
  for (const Index value : values) all += (all.empty() ? "" : ",") + text(value);
  return all.empty() ? "none" : all;
}

/// `value` becomes what the training had; given as another, it is refused.
template <class Value>
void take(Value& value, const Value& trained, const std::string& option, const Options& options,
          const fs::path& where) {
  if (options.is_given(option) && value != trained)
    throw InvalidInput(option + " " + text(value) + ": --params were trained with " + text(trained) + " (" +
                       where.string() + "); expected the same, or no " + option);
  value = trained;
}

/// train.json, each of whose fields is what it should be or refused by its name.
class TrainingFacts {
 public:
  explicit TrainingFacts(const fs::path& path) : path_(path.string()) {
    const std::string content = io::read_text(path, kExpected);
    facts_ = naming(path_, [&] { return io::parse_json(content, kExpected); });
    if (!facts_.is_object()) refuse("is no object");
    for (const char* name : {"steps", "seed", "batch", "first_learning_rate", "drops"})
      if (!has(name)) refuse(std::string("has no ") + name);
  }

  bool has(const std::string& name) const { return facts_.contains(name); }
  Index whole(const std::string& name, Index least) const { return whole(name, facts_.at(name), least); }
  /// All 64 bits.
  std::uint64_t seed() const {
    const nlohmann::json& value = facts_.at("seed");
    if (!value.is_number_unsigned()) refuse("seed is " + shown(value) + ", no integer of 0 or more");
    return value.get<std::uint64_t>();
  }
  std::vector<Index> wholes(const std::string& name, Index least) const {
    if (!facts_.at(name).is_array()) refuse(name + " is no list");
    std::vector<Index> all;
    for (const nlohmann::json& value : facts_.at(name)) all.push_back(whole("one of " + name, value, least));
    return all;
  }
  double number(const std::string& name, double least) const {
    const nlohmann::json& value = facts_.at(name);
    if (!value.is_number() || !(value.get<double>() >= least))
      refuse(name + " is " + shown(value) + ", no number of " + text(least) + " or more");
    return value.get<double>();
  }
  bool flag(const std::string& name) const {
    if (!facts_.at(name).is_boolean()) refuse(name + " is neither true nor false");
    return facts_.at(name).get<bool>();
  }

 private:
  static constexpr const char* kExpected =
      "what `clout train --model convnet` writes: steps, seed, batch, first_learning_rate, drops";

  [[noreturn]] void refuse(const std::string& why) const {
    throw InvalidInput(path_ + ": " + why + "; expected " + kExpected);
  }
  static std::string shown(const nlohmann::json& value) { return io::printable(value.dump(), 60); }
  Index whole(const std::string& name, const nlohmann::json& value, Index least) const {
    if (!value.is_number_integer() || value.get<Index>() < least)
      refuse(name + " is " + shown(value) + ", no integer of " + text(least) + " or more");
    return value.get<Index>();
  }

  std::string path_;
  nlohmann::json facts_;
};

}  // namespace

NetworkTraining read_network_training(const fs::path& train_json) {
  const TrainingFacts facts(train_json);
  NetworkTraining training;
  training.steps = facts.whole("steps", 0);
  training.options.learning_rate = facts.number("first_learning_rate", std::numeric_limits<double>::min());
  training.options.drops = facts.wholes("drops", 0);
  training.options.batch = facts.whole("batch", 1);
  training.options.seed = facts.seed();
  if (facts.has("l2")) training.l2 = facts.number("l2", 0);
  if (facts.has("weighted")) training.is_weighted = facts.flag("weighted");
  return training;
}

std::vector<double> read_moments(const std::string& path, Index parameters) {
  std::vector<Index> shape;
  std::vector<double> moments = read_numbers(path, "moments", shape);
  if (shape != std::vector<Index>{2, parameters})
    throw InvalidInput(path + ": shape " + io::shape_text(shape) + "; expected [2][" + text(parameters) +
                       "]: first and second moments");
  for (Index i = 0; i < parameters; ++i)
    if (const double second = moments[static_cast<std::size_t>(parameters + i)]; second < 0)
      throw InvalidInput(path + ": " + number_text(second) + " at [1][" + text(i) +
                         "]; expected second moments, means of squares, of 0 or more");
  return moments;
}

bool has_run_away(const Options& options, const std::string& verb, const std::string& what, double reached, double start,
                  Index classes, Index steps) {
  constexpr double kRunaway = 10;
  if (reached <= kRunaway * std::max(start, std::log(static_cast<double>(classes)))) return false;
  // Retraining keeps to the rate of the training that it goes on from.
  const bool goes_on = verb == "retrain" && !training_of_params(options).empty();
  const std::string line = verb + ": diverged: the " + what + " is " + number_text(reached, 3) + " after " +
                           std::to_string(steps) + " steps, " + number_text(start, 3) +
                           " at the start: lower --learning-rate" + (goes_on ? " in `clout train`, and begin there" : "");
  if (!options.allow_uncertified) throw NotCertified(line + " (no results were written; --allow-uncertified would)");
  warn("not certified: " + line);
  return true;
}

fs::path training_of_params(const Options& options) {
  const fs::path params = options.params, beside = params.parent_path() / "train.json";
  std::error_code unknown;
  if (params.filename() != "params.npy" || !fs::exists(beside, unknown)) return {};
  return beside;
}

Options with_training(Options options, const fs::path& train_json) {
  const NetworkTraining training = read_network_training(train_json);
  take(options.batch, training.options.batch, "--batch", options, train_json);
  take(options.learning_rate, training.options.learning_rate, "--learning-rate", options, train_json);
  take(options.drops, training.options.drops, "--drops", options, train_json);
  if (!options.is_given("--seed")) options.seed = training.options.seed;
  if (options.is_given("--start-step")) take(options.start_step, training.steps, "--start-step", options, train_json);
  if (training.l2) take(options.l2, *training.l2, "--l2", options, train_json);
  if (training.is_weighted && *training.is_weighted == options.weights.empty())
    throw InvalidInput(train_json.string() + ": --params were trained " + (options.weights.empty() ? "with" : "without") +
                       " --weights; expected the same here");
  if (options.moments.empty() && training.steps > 0) {
    const fs::path moments = train_json.parent_path() / "moments.npy";
    std::error_code unknown;
    if (!fs::is_regular_file(moments, unknown))
      throw InvalidInput(moments.string() + ": is not there, and --params come from " + text(training.steps) +
                         " steps of Adam (" + train_json.string() + "); expected its moments there or by --moments");
    options.moments = moments.string();
    options.start_step = training.steps;
  }
  return options;
}

}  // namespace clout::cli
