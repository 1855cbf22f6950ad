#pragma once
// Random logistic problems, the same one for the oracle and for the product.

#include <clout/models/logistic_regression.hpp>
#include <memory>
#include <ostream>
#include <random>
#include <span>
#include <vector>

#include "oracle/logistic_oracle.hpp"

namespace clout::test {

struct CaseSizes {
  Index n = 1, d = 1, classes = 2;
  bool bias = false, bytes = false, weighted = false;
  double l2 = 0.05;

  friend std::ostream& operator<<(std::ostream& out, const CaseSizes& s) {
    return out << "n=" << s.n << " d=" << s.d << " K=" << s.classes << (s.bias ? " bias" : "")
               << (s.bytes ? " bytes" : "") << (s.weighted ? " weighted" : "");
  }
};

inline std::vector<double> to_double(const oracle::Vector& values) { return {values.begin(), values.end()}; }
inline oracle::Vector to_long(const std::vector<double>& values) { return {values.begin(), values.end()}; }

/// Everything is drawn in float, so that both precisions and the oracle start from the same numbers.
class LogisticCase {
 public:
  explicit LogisticCase(const CaseSizes& sizes, unsigned seed = 1) : sizes_(sizes), random_(seed) {
    problem_ = draw(sizes.n);
    theta_ = vector(0.7 / std::sqrt(static_cast<double>(sizes.d)));
  }

  const CaseSizes& sizes() const { return sizes_; }
  const oracle::LogisticProblem& problem() const { return problem_; }
  const oracle::Vector& theta() const { return theta_; }
  void set_theta(oracle::Vector theta) { theta_ = std::move(theta); }
  void set_weights(oracle::Vector weights) { problem_.weights = std::move(weights); }
  std::size_t parameters() const { return problem_.parameters(); }

  /// A random vector of length p, and k of them.
  oracle::Vector vector(double scale = 1) {
    oracle::Vector v(problem_.parameters());
    for (long double& value : v) value = normal(scale);
    return v;
  }
  oracle::Matrix vectors(Index k, double scale = 1) {
    oracle::Matrix rows;
    for (Index j = 0; j < k; ++j) rows.push_back(vector(scale));
    return rows;
  }
  /// `m` more examples of the same kind, without weights and regulariser.
  oracle::LogisticProblem draw_tests(Index m) {
    oracle::LogisticProblem tests = draw(m);
    tests.weights = {};
    tests.l2 = 0;
    return tests;
  }

  template <class T>
  Dataset<T> data(Device& device) const {
    return make_data<T>(device, problem_);
  }
  /// The product's model on the case's data, standing at θ.
  template <class T>
  std::unique_ptr<LogisticRegression<T>> model(Device& device) const {
    return make_model<T>(device, problem_);
  }
  /// The same on other data of the same kind.
  template <class T>
  std::unique_ptr<LogisticRegression<T>> make_model(Device& device, const oracle::LogisticProblem& problem) const {
    auto model = std::make_unique<LogisticRegression<T>>(make_data<T>(device, problem), sizes_.bias,
                                                         static_cast<double>(problem.l2));
    const std::vector<T> theta(theta_.begin(), theta_.end());
    const Buffer<T> on_device(device, std::span<const T>(theta));
    model->set_parameters(on_device.view(1, model->parameters()));
    return model;
  }
  template <class T>
  Dataset<T> make_data(Device& device, const oracle::LogisticProblem& problem) const {
    const std::vector<std::int32_t> labels(problem.labels.begin(), problem.labels.end());
    Dataset<T> data = sizes_.bytes
                          ? Dataset<T>::from_bytes(device, bytes_of(problem), labels, sizes_.d, sizes_.classes)
                          : Dataset<T>::from_values(device, to_double(problem.x), labels, sizes_.d, sizes_.classes);
    return problem.weights.empty() ? data : data.with_weights(to_double(problem.weights));
  }

 private:
  float normal(double scale) { return static_cast<float>(std::normal_distribution<double>(0, scale)(random_)); }
  oracle::LogisticProblem draw(Index n) {
    oracle::LogisticProblem problem;
    problem.examples = static_cast<std::size_t>(n);
    problem.features = static_cast<std::size_t>(sizes_.d);
    problem.classes = static_cast<std::size_t>(sizes_.classes);
    problem.bias = sizes_.bias;
    problem.l2 = static_cast<float>(sizes_.l2);
    for (Index i = 0; i < n * sizes_.d; ++i)
      problem.x.push_back(sizes_.bytes ? static_cast<long double>(random_() % 256) / 255 : normal(1));
    for (Index i = 0; i < n; ++i)
      problem.labels.push_back(
          static_cast<int>(i < sizes_.classes ? i : static_cast<Index>(random_() % 1000) % sizes_.classes));
    for (Index i = 0; sizes_.weighted && i < n; ++i)
      problem.weights.push_back(i % 4 == 3 ? 0 : static_cast<float>(0.2 + 0.01 * static_cast<double>(random_() % 180)));
    return problem;
  }
  static std::vector<std::uint8_t> bytes_of(const oracle::LogisticProblem& problem) {
    std::vector<std::uint8_t> bytes;
    for (const long double value : problem.x) bytes.push_back(static_cast<std::uint8_t>(std::lround(value * 255)));
    return bytes;
  }

  CaseSizes sizes_;
  std::mt19937_64 random_;
  oracle::LogisticProblem problem_;
  oracle::Vector theta_;
};

/// Rows of numbers on a device, and back.
template <class T>
Buffer<T> upload_rows(Device& device, const oracle::Matrix& rows) {
  std::vector<T> flat;
  for (const oracle::Vector& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return Buffer<T>(device, std::span<const T>(flat));
}

/// The message of the InvalidInput that `action` throws; empty where it throws none.
template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return {};
}

}  // namespace clout::test
