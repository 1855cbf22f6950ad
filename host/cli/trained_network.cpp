#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/trained_network.hpp>
#include <clout/host/io/json_text.hpp>
#include <cmath>

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

}  // namespace

NetworkTraining read_network_training(const fs::path& train_json) {
  const std::string expected =
      "what `clout train --model convnet` writes: steps, seed, batch, first_learning_rate, drops";
  const nlohmann::json facts =
      naming(train_json.string(), [&] { return io::parse_json(io::read_text(train_json, expected), expected); });
  try {
    return {.steps = facts.at("steps").get<Index>(),
            .options = {.learning_rate = facts.at("first_learning_rate").get<double>(),
                        .drops = facts.at("drops").get<std::vector<Index>>(),
                        .batch = facts.at("batch").get<Index>(),
                        .seed = facts.at("seed").get<std::uint64_t>()}};
  } catch (const nlohmann::json::exception& error) {
    throw InvalidInput(train_json.string() + ": " + error.what() + "; expected " + expected);
  }
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
  const std::string line = verb + ": diverged: the " + what + " is " + number_text(reached, 3) + " after " +
                           std::to_string(steps) + " steps, " + number_text(start, 3) +
                           " at the start: lower --learning-rate";
  if (!options.allow_uncertified) throw NotCertified(line + " (no results were written; --allow-uncertified would)");
  warn("not certified: " + line);
  return true;
}

fs::path training_of_params(const Options& options) {
  const fs::path params = options.params, beside = params.parent_path() / "train.json";
  std::error_code unknown;
  if (params.filename() != "params.npy" || !fs::is_regular_file(beside, unknown)) return {};
  const auto facts = nlohmann::json::parse(io::read_text(beside, "JSON"), nullptr, false);
  return facts.is_object() && facts.contains("first_learning_rate") ? beside : fs::path();
}

Options with_training(Options options, const fs::path& train_json) {
  const NetworkTraining training = read_network_training(train_json);
  take(options.batch, training.options.batch, "--batch", options, train_json);
  take(options.learning_rate, training.options.learning_rate, "--learning-rate", options, train_json);
  take(options.drops, training.options.drops, "--drops", options, train_json);
  if (!options.is_given("--seed")) options.seed = training.options.seed;
  if (options.is_given("--start-step")) take(options.start_step, training.steps, "--start-step", options, train_json);
  return options;
}

}  // namespace clout::cli
