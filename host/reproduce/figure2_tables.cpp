#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/io/sha256.hpp>
#include <clout/host/reproduce/figure2_tables.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

constexpr int kResamples = 1000;

std::string full(double value) { return cli::number_text(value, 17); }

}  // namespace

std::string loo_csv(const LooRows& rows, std::size_t first, std::size_t last, std::size_t first_test,
                    std::size_t last_test) {
  std::string text = "rank,train_index,label,test_index,predicted,actual,gradient_norm,iterations\n";
  for (std::size_t j = first; j < last; ++j) {
    const auto row = static_cast<std::size_t>(rows.removed[j]);
    const RetrainedModel& model = rows.models[j];
    for (std::size_t t = first_test; t < last_test; ++t)
      text += std::to_string(j - first + 1) + "," + std::to_string(row) + "," + std::to_string(rows.labels[row]) + "," +
              std::to_string(rows.tests[t]) + "," + full(rows.scores[t * rows.n + row]) + "," +
              full(model.loss_change[t]) + "," + full(model.gradient_norm) + "," + std::to_string(model.iterations) +
              "\n";
  }
  return text;
}

std::string tests_csv(const std::vector<TestAgreement>& tests) {
  std::string text =
      "test_index,pearson,pearson_low,pearson_high,spearman,slope,slope_low,slope_high,intercept,"
      "median_relative_error,sign_agreement\n";
  for (const TestAgreement& test : tests) {
    const Agreement& a = test.agreement;
    const BootstrapIntervals& b = test.intervals;
    text += std::to_string(test.test_index);
    for (const double value : {a.pearson, b.pearson.low, b.pearson.high, a.spearman, a.slope, b.slope.low, b.slope.high,
                               a.intercept, a.median_relative_error, a.sign_agreement})
      text += "," + full(value);
    text += "\n";
  }
  return text;
}

nlohmann::ordered_json agreement_facts(std::span<const double> predicted, std::span<const double> actual,
                                       RandomSequence& random) {
  const Agreement agree = agreement(predicted, actual);
  const BootstrapIntervals intervals = bootstrap(predicted, actual, kResamples, random);
  return {{"pearson", agree.pearson},
          {"pearson_interval", {intervals.pearson.low, intervals.pearson.high}},
          {"spearman", agree.spearman},
          {"slope", agree.slope},
          {"slope_interval", {intervals.slope.low, intervals.slope.high}},
          {"intercept", agree.intercept},
          {"median_relative_error", agree.median_relative_error},
          {"sign_agreement", agree.sign_agreement}};
}

nlohmann::ordered_json agreement_over_tests(const PairsByTest& pairs, RandomSequence& random,
                                            std::vector<TestAgreement>& per_test) {
  const std::size_t tests = pairs.tests.size(), each = pairs.predicted.size() / tests;
  const std::span<const double> predicted(pairs.predicted), actual(pairs.actual);
  std::vector<double> pearsons, slopes;
  for (std::size_t t = 0; t < tests; ++t) {
    const auto x = predicted.subspan(t * each, each), y = actual.subspan(t * each, each);
    per_test.push_back({pairs.tests[t], agreement(x, y), bootstrap(x, y, kResamples, random)});
    pearsons.push_back(per_test.back().agreement.pearson);
    slopes.push_back(per_test.back().agreement.slope);
  }
  const Agreement pooled = agreement(predicted, actual);
  const Interval interval = crossed_bootstrap_of_slope(predicted, actual, tests, kResamples, random);
  return {{"n_test", tests},
          {"n_removed", each},
          {"pearson_min", quantile(pearsons, 0)},
          {"pearson_median", quantile(pearsons, 0.5)},
          {"pearson_pooled", pooled.pearson},
          {"spearman_pooled", pooled.spearman},
          {"slope_pooled", pooled.slope},
          {"slope_pooled_interval", {interval.low, interval.high}},
          {"slope_min", quantile(slopes, 0)},
          {"slope_max", quantile(slopes, 1)},
          {"median_relative_error", pooled.median_relative_error},
          {"sign_agreement", pooled.sign_agreement}};
}

TestScore test_score(LogisticRegression<double>& tests) {
  const Index n = tests.examples(), classes = tests.shape().classes;
  Buffer<double> losses(tests.device(), n);
  tests.losses(losses.view(n, 1));
  double mean = 0;
  for (const double loss : losses.to_host()) mean += loss / static_cast<double>(n);
  const std::vector<double> p = to_host(tests.device(), tests.probabilities());
  Index right = 0;
  for (Index i = 0; i < n; ++i) {
    const auto row = p.begin() + i * classes;
    right += std::max_element(row, row + classes) - row == tests.data().host_labels()[static_cast<std::size_t>(i)];
  }
  return {mean, static_cast<double>(right) / static_cast<double>(n)};
}

double square_norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return sum;
}

std::string scores_hash(const std::vector<double>& scores) {
  return io::sha256_hex(std::as_bytes(std::span<const double>(scores)));
}

}  // namespace clout::reproduce
