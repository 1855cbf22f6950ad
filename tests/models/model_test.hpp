#pragma once
// What the tests of the models share: which cases, and how wrong a result may be.

#include <gtest/gtest.h>

#include <limits>

#include "kernels/backend.hpp"
#include "support/evaluate.hpp"
#include "support/logistic_case.hpp"

namespace clout::test {

/// Odd shapes: n = 1, K = 2 and 100, d a multiple of nothing, more rows than one block of rows, bytes and numbers.
inline std::vector<CaseSizes> model_cases() {
  if (kSmall)
    return {{1, 1, 2},
            {5, 7, 3, true},
            {13, 9, 2, false, true, true},
            {9, 5, 10, true, true, true},
            {3, 3, 100, true, false, true}};
  return {{1, 1, 2},
          {1, 7, 3, true},
          {37, 13, 2, true, false, true},
          {53, 29, 3},
          {101, 17, 10, false, true},
          {67, 33, 10, true, true, true},
          {23, 11, 100, true, false, true},
          {4103, 3, 3, true, true}};
}

/// Of the cases, those whose p×p matrices and long double arithmetic stay cheap.
inline std::vector<CaseSizes> small_model_cases() {
  std::vector<CaseSizes> small;
  for (const CaseSizes& s : model_cases())
    if (s.classes * (s.d + 1) <= 130 && s.n < 1000) small.push_back(s);
  return small;
}

/// On norm-wise relative errors. Double: 1e-12. Float: four times what the oracle's own code reaches in float on the
/// same numbers, and never less than 4 √(n + d + K) eps, a random walk over the longest sums: at small sizes naive code
/// may be exact by luck.
template <class T>
double error_bound(double naive, const CaseSizes& s) {
  if (sizeof(T) == 8) return 1e-12;
  const double walk = std::sqrt(static_cast<double>(s.n + s.d + s.classes));
  return 4 * std::max(naive, walk * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

/// Compares `actual` with quantity(Evaluate<long double>), bounded by what quantity(Evaluate<float>) reaches.
template <class T, class Quantity>
void expect_as_oracle(const char* what, const std::vector<T>& actual, const LogisticCase& c, Quantity&& quantity) {
  const oracle::Vector expected = quantity(Evaluate<long double>(c.problem(), c.theta()));
  double naive = 0;
  if (sizeof(T) == 4) naive = relative_error(quantity(Evaluate<float>(c.problem(), c.theta())), expected);
  EXPECT_LE(relative_error(actual, expected), error_bound<T>(naive, c.sizes())) << what << ", " << c.sizes();
}

}  // namespace clout::test
