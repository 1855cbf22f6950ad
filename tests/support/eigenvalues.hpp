#pragma once
// Eigenvalues of small symmetric matrices, by Jacobi's rotations in long double.

#include <algorithm>
#include <cmath>

#include "oracle/dense.hpp"

namespace clout::test {

/// All eigenvalues, ascending.
inline oracle::Vector eigenvalues(oracle::Matrix a) {
  const std::size_t n = a.size();
  for (int sweep = 0; sweep < 60; ++sweep) {
    long double off = 0, diagonal = 0;
    for (std::size_t i = 0; i < n; ++i) {
      diagonal += a[i][i] * a[i][i];
      for (std::size_t j = 0; j < i; ++j) off += a[i][j] * a[i][j];
    }
    if (off <= 1e-36L * diagonal) break;
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) {
        if (a[p][q] == 0) continue;
        const long double ratio = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const long double t = (ratio >= 0 ? 1 : -1) / (std::fabs(ratio) + std::sqrt(ratio * ratio + 1));
        const long double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (std::size_t k = 0; k < n; ++k) {
          const long double kp = a[k][p], kq = a[k][q];
          a[k][p] = c * kp - s * kq;
          a[k][q] = s * kp + c * kq;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const long double pk = a[p][k], qk = a[q][k];
          a[p][k] = c * pk - s * qk;
          a[q][k] = s * pk + c * qk;
        }
      }
  }
  oracle::Vector values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(a[i][i]);
  std::sort(values.begin(), values.end());
  return values;
}

/// Condition number of A + damping·I, A symmetric positive (semi)definite.
inline double condition(const oracle::Matrix& a, double damping) {
  const oracle::Vector values = eigenvalues(a);
  return static_cast<double>((values.back() + damping) / (values.front() + damping));
}

}  // namespace clout::test
