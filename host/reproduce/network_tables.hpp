#pragma once
// The tables and numbers behind Figure 2 (right).

#include <clout/host/reproduce/figure2_tables.hpp>

namespace clout::reproduce {

/// One way of retraining: what was predicted for it, and what it gave.
struct Retraining {
  std::vector<double> predicted, actual;  // [removed][tests]; Adam's actual: of the first so many removed rows
  std::vector<double> gradient_norms;     // [removed]; empty where retraining has no end
};

struct NetworkResult {
  std::vector<Index> tests;          // test rows: the figure's, then random ones
  std::vector<Index> removed;        // training rows: `influential` with the largest scores, then random ones
  std::vector<std::int32_t> labels;  // [removed]
  Index influential = 0;
  Retraining adam, proximal, pbrf;  // further steps; minima of the two objectives of engine/proximal.hpp
  std::vector<double> controls;     // [controls][tests]: changes with nothing removed; the first is taken off adam's
};

/// rank,train_index,label,test_index,predicted,actual,proximal,proximal_gradient_norm,predicted_gauss_newton,pbrf,
/// pbrf_gradient_norm: the influential rows and the figure's test example; actual is empty where Adam did not train.
std::string influential_csv(const NetworkResult& result);
/// The same of the random rows, for each of the random tests.
std::string random_csv(const NetworkResult& result);

/// Agreement over the influential rows and the figure's test example, after Adam's steps at the top level, of the other
/// two under "proximal" and "pbrf"; with the noise floor, the controls' standard deviation.
nlohmann::ordered_json agreement_facts(const NetworkResult& result, RandomSequence& random);

/// Agreement over the random rows and the random tests.
nlohmann::ordered_json random_facts(const NetworkResult& result, const Retraining& retraining, RandomSequence& random,
                                    std::vector<TestAgreement>& per_test);

}  // namespace clout::reproduce
