#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/reproduce/network_tables.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

std::string csv(const NetworkResult& r, std::size_t first, std::size_t last, std::size_t first_test,
                std::size_t last_test) {
  std::string text =
      "rank,train_index,label,test_index,predicted,actual,proximal,proximal_gradient_norm,predicted_gauss_newton,pbrf,"
      "pbrf_gradient_norm\n";
  for (std::size_t j = first; j < last; ++j)
    for (std::size_t t = first_test; t < last_test; ++t) {
      const std::size_t at = j * r.tests.size() + t;
      text += std::to_string(j - first + 1) + "," + std::to_string(r.removed[j]) + "," + std::to_string(r.labels[j]) +
              "," + std::to_string(r.tests[t]);
      text += "," + cli::number_text(r.adam.predicted[at], 17) + ",";
      if (at < r.adam.actual.size()) text += cli::number_text(r.adam.actual[at], 17);
      for (const double value : {r.proximal.actual[at], r.proximal.gradient_norms[j], r.pbrf.predicted[at],
                                 r.pbrf.actual[at], r.pbrf.gradient_norms[j]})
        text += "," + cli::number_text(value, 17);
      text += "\n";
    }
  return text;
}

/// Of the influential rows that were trained without, for the figure's test example.
Facts influential_facts(const NetworkResult& r, const Retraining& retraining, RandomSequence& random) {
  const std::size_t tests = r.tests.size();
  const std::size_t rows = std::min(static_cast<std::size_t>(r.influential), retraining.actual.size() / tests);
  std::vector<double> predicted, actual;
  for (std::size_t j = 0; j < rows; ++j) {
    predicted.push_back(retraining.predicted[j * tests]);
    actual.push_back(retraining.actual[j * tests]);
  }
  return agreement_facts(predicted, actual, random);
}

double largest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

/// Standard deviation over the controls of the change of the figure's test loss.
double noise_floor(const NetworkResult& r) {
  const std::size_t tests = r.tests.size(), count = r.controls.size() / tests;
  double mean = 0, squares = 0;
  for (std::size_t c = 0; c < count; ++c) mean += r.controls[c * tests] / static_cast<double>(count);
  for (std::size_t c = 0; c < count; ++c) squares += (r.controls[c * tests] - mean) * (r.controls[c * tests] - mean);
  return std::sqrt(squares / static_cast<double>(count - 1));
}

}  // namespace

std::string influential_csv(const NetworkResult& r) { return csv(r, 0, static_cast<std::size_t>(r.influential), 0, 1); }

std::string random_csv(const NetworkResult& r) {
  return csv(r, static_cast<std::size_t>(r.influential), r.removed.size(), 1, r.tests.size());
}

Facts agreement_facts(const NetworkResult& r, RandomSequence& random) {
  Facts facts = influential_facts(r, r.adam, random);
  facts["control_change"] = r.controls[0];
  facts["noise_floor"] = noise_floor(r);
  facts["proximal"] = influential_facts(r, r.proximal, random);
  facts["pbrf"] = influential_facts(r, r.pbrf, random);
  facts["max_gradient_norm"] = std::max(largest(r.proximal.gradient_norms), largest(r.pbrf.gradient_norms));
  return facts;
}

Facts random_facts(const NetworkResult& r, const Retraining& retraining, RandomSequence& random,
                   std::vector<TestAgreement>& per_test) {
  PairsByTest pairs{{r.tests.begin() + 1, r.tests.end()}, {}, {}};
  for (std::size_t t = 1; t < r.tests.size(); ++t)
    for (std::size_t j = static_cast<std::size_t>(r.influential); j < r.removed.size(); ++j) {
      pairs.predicted.push_back(retraining.predicted[j * r.tests.size() + t]);
      pairs.actual.push_back(retraining.actual[j * r.tests.size() + t]);
    }
  return agreement_over_tests(pairs, random, per_test);
}

}  // namespace clout::reproduce
