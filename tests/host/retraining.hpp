#pragma once
// A small problem at its optimum, ready to be retrained without some of its examples.

#include <gtest/gtest.h>

#include <clout/host/newton_retrain.hpp>

#include "kernels/backend.hpp"
#include "support/eigenvalues.hpp"
#include "support/logistic_case.hpp"

namespace clout::test {

template <class T>
class Retraining {
 public:
  Retraining(Device& device, const CaseSizes& sizes, Index tests) : device_(device), case_(sizes) {
    case_.set_theta(to_long(to_double(oracle::train(case_.problem()).params)));
    tests_ = case_.draw_tests(tests);
    exact_ = case_.model<double>(device);
    fast_ = case_.model<T>(device);
    test_ = case_.make_model<double>(device, tests_);
    factor_ = std::make_unique<HessianFactor<T>>(*fast_, 0.0);
  }

  /// With Newton's method for models that the chord iteration leaves, counted in newton_calls.
  LeaveOneOut<T> leave_one_out(LeaveOneOutOptions options, bool with_newton = true) {
    typename LeaveOneOut<T>::Retrain retrain;
    if (with_newton)
      retrain = [this, newton = logistic_retrain<T>(case_.data<double>(device_), case_.sizes().bias,
                                                    static_cast<double>(case_.problem().l2),
                                                    {.tolerance = options.tolerance, .gain = options.gains})](
                    const std::vector<Index>& group, std::vector<double>& theta) {
        ++newton_calls;
        return newton(group, theta);
      };
    return {*exact_, *fast_, *test_, *factor_, to_double(case_.theta()), retrain, options};
  }

  const LogisticCase& problem() const { return case_; }
  int newton_calls = 0;

  /// The model against the oracle's retraining without `group`.
  void expect_exact(const RetrainedModel& model, const std::vector<Index>& group, double tolerance) const {
    const oracle::LogisticProblem left = oracle::without(case_.problem(), {group.begin(), group.end()});
    const oracle::Vector theta = to_long(model.parameters);
    const double norm = static_cast<double>(oracle::norm(oracle::gradient(left, theta)));
    EXPECT_LE(model.gradient_norm, tolerance);
    EXPECT_NEAR(model.gradient_norm, norm, 1e-14);  // sums of numbers of order 1, in double

    const oracle::Trained optimum = oracle::train(left, case_.theta());
    oracle::Vector difference = oracle::add_scaled(theta, -1, optimum.params);
    long double shift = 0;  // of all biases together: no function of the data
    for (std::size_t j = left.regularised(); j < theta.size(); ++j)
      shift += difference[j] / static_cast<long double>(left.classes);
    for (std::size_t j = left.regularised(); j < theta.size(); ++j) difference[j] -= shift;
    const oracle::Vector values = eigenvalues(oracle::hessian(left, optimum.params));
    const double reach = 2 * tolerance / static_cast<double>(values[case_.sizes().bias ? 1 : 0]);
    EXPECT_LE(static_cast<double>(oracle::norm(difference)), reach);

    const oracle::Vector before = oracle::losses(tests_, case_.theta()), after = oracle::losses(tests_, optimum.params);
    const oracle::Matrix slopes = oracle::example_gradients(tests_, optimum.params);
    ASSERT_EQ(model.loss_change.size(), tests_.examples);
    for (std::size_t t = 0; t < tests_.examples; ++t)
      EXPECT_NEAR(model.loss_change[t], static_cast<double>(after[t] - before[t]),
                  1.01 * static_cast<double>(oracle::norm(slopes[t])) * reach + 1e-14);
  }

 private:
  Device& device_;
  LogisticCase case_;
  oracle::LogisticProblem tests_;
  std::unique_ptr<LogisticRegression<double>> exact_, test_;
  std::unique_ptr<LogisticRegression<T>> fast_;
  std::unique_ptr<HessianFactor<T>> factor_;
};

/// Every bit of what a model reports (its parameters are not kept by every way to get it).
inline void expect_same_bits(const std::vector<RetrainedModel>& a, const std::vector<RetrainedModel>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t j = 0; j < a.size(); ++j) {
    EXPECT_EQ(a[j].gradient_norm, b[j].gradient_norm) << "model " << j;
    EXPECT_EQ(a[j].iterations, b[j].iterations) << "model " << j;
    EXPECT_EQ(a[j].loss_change, b[j].loss_change) << "model " << j;
  }
}

}  // namespace clout::test
