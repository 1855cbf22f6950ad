#pragma once
// The tables and numbers behind Figure 2.

#include <clout/host/leave_one_out.hpp>
#include <clout/host/statistics.hpp>
#include <clout/models/logistic_regression.hpp>
#include <filesystem>
#include <string>

namespace clout::reproduce {

/// One test example's agreement over the removed training examples.
struct TestAgreement {
  Index test_index;
  Agreement agreement;
  BootstrapIntervals intervals;
};

/// Removed rows × test rows, with everything a line of loo.csv needs.
struct LooRows {
  const std::vector<Index>& removed;                // training rows
  const std::vector<Index>& tests;                  // test rows
  const std::vector<double>& scores;                // [tests][n]
  std::size_t n;
  const std::vector<RetrainedModel>& models;        // one per removed row
  const std::vector<std::int32_t>& labels;          // [n]
};

/// rank,train_index,label,test_index,predicted,actual,gradient_norm,iterations for removed rows [first, last) and
/// tests [first_test, last_test), every removed row's tests together.
std::string loo_csv(const LooRows& rows, std::size_t first, std::size_t last, std::size_t first_test,
                    std::size_t last_test);

/// One line per test example.
std::string tests_csv(const std::vector<TestAgreement>& tests);

/// 95 % bootstrap interval of the pooled slope; whole test examples are drawn, since the pairs of one are not
/// independent. The pairs stand test after test.
Interval slope_over_tests(const std::vector<double>& predicted, const std::vector<double>& actual, std::size_t tests,
                          int resamples, RandomSequence& random);

struct TestScore {
  double loss, accuracy;
};
/// Mean loss, without regulariser, and accuracy of a model at its θ.
TestScore test_score(LogisticRegression<double>& tests);

double square_norm(const std::vector<double>& values);

/// SHA-256 of the scores' bits, to compare two runs by eye.
std::string scores_hash(const std::vector<double>& scores);


}  // namespace clout::reproduce
