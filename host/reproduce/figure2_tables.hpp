#pragma once
// The tables and numbers behind Figure 2.

#include <clout/host/leave_one_out.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/statistics.hpp>
#include <clout/models/logistic_regression.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
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
  const std::vector<Index>& removed;  // training rows
  const std::vector<Index>& tests;    // test rows
  const std::vector<double>& scores;  // [tests][n]
  std::size_t n;
  const std::vector<RetrainedModel>& models;  // one per removed row
  const std::vector<std::int32_t>& labels;    // [n]
};

/// rank,train_index,label,test_index,predicted,actual,gradient_norm,iterations for removed rows [first, last) and
/// tests [first_test, last_test), every removed row's tests together.
std::string loo_csv(const LooRows& rows, std::size_t first, std::size_t last, std::size_t first_test,
                    std::size_t last_test);

/// One line per test example.
std::string tests_csv(const std::vector<TestAgreement>& tests);

/// Predicted and actual changes of several test examples' losses for the same removed examples, test after test.
struct PairsByTest {
  std::vector<Index> tests;
  std::vector<double> predicted, actual;  // [tests][removed]
};

/// Facts over all pairs, and each test example's own agreement added to `per_test`. 95 % intervals are bootstraps; that
/// of the pooled slope draws removed rows and test examples.
nlohmann::ordered_json agreement_over_tests(const PairsByTest& pairs, RandomSequence& random,
                                            std::vector<TestAgreement>& per_test);

/// pearson, spearman, slope and the like of pairs, with bootstrap intervals.
nlohmann::ordered_json agreement_facts(std::span<const double> predicted, std::span<const double> actual,
                                       RandomSequence& random);

/// Mean loss, without regulariser, and accuracy of a model at its θ.
TestScore test_score(LogisticRegression<double>& tests);

double square_norm(const std::vector<double>& values);

/// SHA-256 of the scores' bits, to compare two runs by eye.
std::string scores_hash(const std::vector<double>& scores);

}  // namespace clout::reproduce
