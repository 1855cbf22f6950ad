#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/io/sha256.hpp>
#include <clout/host/reproduce/figure2_tables.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

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

Interval slope_over_tests(const std::vector<double>& predicted, const std::vector<double>& actual, std::size_t tests,
                          int resamples, RandomSequence& random) {
  const std::size_t each = predicted.size() / tests;
  std::vector<double> slopes, x(predicted.size()), y(predicted.size());
  for (int r = 0; r < resamples; ++r) {
    for (std::size_t t = 0; t < tests; ++t) {
      const auto from = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(random.below(static_cast<Index>(tests))) * each);
      const auto to = static_cast<std::ptrdiff_t>(t * each), count = static_cast<std::ptrdiff_t>(each);
      std::copy(predicted.begin() + from, predicted.begin() + from + count, x.begin() + to);
      std::copy(actual.begin() + from, actual.begin() + from + count, y.begin() + to);
    }
    slopes.push_back(slope(x, y));
  }
  return {quantile(slopes, 0.025), quantile(slopes, 0.975)};
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
