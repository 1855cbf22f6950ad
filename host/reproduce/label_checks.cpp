#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/reproduce/label_checks.hpp>
#include <cmath>
#include <functional>
#include <set>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

// Read from the notebook of the published code: figure 6, means over 40 repeats.
const Facts kPublished{
    {"flipped_accuracy", 0.889},
    {"clean_accuracy", 0.976},
    {"influence", {{"fixed", {0.42, 0.623, 0.725, 0.786, 0.829, 0.855}}, {"accuracy_at_0.30", 0.972}}},
    {"loss", {{"fixed", {0.355, 0.519, 0.620, 0.698, 0.754, 0.795}}, {"accuracy_at_0.30", 0.960}}},
    {"random", {{"fixed", {0.05, 0.10, 0.15, 0.20, 0.25, 0.30}}}}};

std::string full(double value) { return cli::number_text(value, 17); }

std::vector<int> levels_of(const LabelResult& result) {
  std::set<int> levels;
  for (const LabelRepeat& repeat : result.repeats) levels.insert(repeat.level);
  return {levels.begin(), levels.end()};
}

MeanError over(const LabelResult& result, int level, const std::function<double(const LabelRepeat&)>& number) {
  std::vector<double> values;
  for (const LabelRepeat& repeat : result.repeats)
    if (repeat.level == level) values.push_back(number(repeat));
  return mean_error(values);
}

struct CheckMeans {
  MeanError fixed, accuracy;  // fixed: of the flipped labels
};

CheckMeans means_of(const LabelResult& result, int level, std::size_t method, std::size_t count) {
  const double flipped = static_cast<double>(level) * static_cast<double>(result.step);
  return {over(result, level, [&](const LabelRepeat& r) { return r.checks[method][count].fixed / flipped; }),
          over(result, level, [&](const LabelRepeat& r) { return r.checks[method][count].accuracy; })};
}

}  // namespace

std::vector<double> LabelRepeat::numbers() const {
  std::vector<double> numbers{flipped_accuracy, flipped_gradient_norm, residual, value_difference};
  for (const auto& method : checks)
    for (const Check& check : method) numbers.insert(numbers.end(), {check.fixed, check.accuracy, check.gradient_norm});
  return numbers;
}

LabelRepeat LabelRepeat::from(int level, int number, const std::vector<double>& numbers) {
  LabelRepeat repeat;
  ensure(numbers.size() == repeat.numbers().size(), "journal of another shape");
  repeat.level = level;
  repeat.number = number;
  auto next = numbers.begin();
  for (double* value :
       {&repeat.flipped_accuracy, &repeat.flipped_gradient_norm, &repeat.residual, &repeat.value_difference})
    *value = *next++;
  for (auto& method : repeat.checks)
    for (Check& check : method)
      for (double* value : {&check.fixed, &check.accuracy, &check.gradient_norm}) *value = *next++;
  return repeat;
}

double LabelRepeat::worst_gradient_norm() const {
  double worst = flipped_gradient_norm;
  for (const auto& method : checks)
    for (const Check& check : method) worst = std::max(worst, check.gradient_norm);
  return worst;
}

MeanError mean_error(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  MeanError result;
  for (const double value : values) result.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.error = std::sqrt(squares / count) / std::sqrt(count);
  return result;
}

std::string points_csv(const LabelResult& result) {
  std::string text =
      "level,flipped,checked,checked_fraction,method,fixed_fraction,fixed_error,accuracy,accuracy_error,repeats\n";
  for (const int level : levels_of(result))
    for (std::size_t method = 0; method < kCheckMethods.size(); ++method)
      for (std::size_t count = 0; count < kCheckCounts; ++count) {
        const CheckMeans means = means_of(result, level, method, count);
        const long checked = static_cast<long>(count + 1) * result.step;
        const auto repeats = std::count_if(result.repeats.begin(), result.repeats.end(),
                                           [&](const LabelRepeat& repeat) { return repeat.level == level; });
        text += std::to_string(level) + "," + std::to_string(level * result.step) + "," + std::to_string(checked) +
                "," + full(static_cast<double>(checked) / static_cast<double>(result.examples)) + "," +
                kCheckMethods[method];
        for (const double value : {means.fixed.mean, means.fixed.error, means.accuracy.mean, means.accuracy.error})
          text += "," + full(value);
        text += "," + std::to_string(repeats) + "\n";
      }
  return text;
}

std::string repeats_csv(const LabelResult& result) {
  std::string text = "level,repeat,method,checked,fixed,accuracy,gradient_norm,flipped_accuracy\n";
  for (const LabelRepeat& repeat : result.repeats)
    for (std::size_t method = 0; method < kCheckMethods.size(); ++method)
      for (std::size_t count = 0; count < kCheckCounts; ++count) {
        const LabelRepeat::Check& check = repeat.checks[method][count];
        text += std::to_string(repeat.level) + "," + std::to_string(repeat.number) + "," + kCheckMethods[method] + "," +
                std::to_string(static_cast<long>(count + 1) * result.step);
        for (const double value : {check.fixed, check.accuracy, check.gradient_norm, repeat.flipped_accuracy})
          text += "," + full(value);
        text += "\n";
      }
  return text;
}

Facts level_facts(const LabelResult& result) {
  Facts levels = Facts::array();
  for (const int level : levels_of(result)) {
    const MeanError flipped = over(result, level, [](const LabelRepeat& repeat) { return repeat.flipped_accuracy; });
    Facts facts{{"flipped_fraction", level / 20.0},
                {"flipped_labels", level * result.step},
                {"flipped_accuracy", flipped.mean},
                {"flipped_accuracy_error", flipped.error}};
    for (std::size_t method = 0; method < kCheckMethods.size(); ++method) {
      Facts& measured = facts[kCheckMethods[method]];
      for (std::size_t count = 0; count < kCheckCounts; ++count) {
        const CheckMeans means = means_of(result, level, method, count);
        measured["fixed"].push_back(means.fixed.mean);
        measured["fixed_error"].push_back(means.fixed.error);
        measured["accuracy"].push_back(means.accuracy.mean);
        measured["accuracy_error"].push_back(means.accuracy.error);
      }
    }
    if (level == kPublishedLevel) facts["published"] = kPublished;
    levels.push_back(std::move(facts));
  }
  return levels;
}

}  // namespace clout::reproduce
