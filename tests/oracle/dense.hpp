#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

/// Small dense linear algebra in long double for the oracle: written for being obviously right, not for speed.
namespace oracle {

using Vector = std::vector<long double>;
using Matrix = std::vector<Vector>;  // row by row

inline long double dot(const Vector& a, const Vector& b) {
  if (a.size() != b.size()) throw std::invalid_argument("oracle: dot of vectors of different lengths");
  long double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

inline long double norm(const Vector& a) { return std::sqrt(dot(a, a)); }

inline Vector multiply(const Matrix& a, const Vector& v) {
  Vector result;
  for (const Vector& row : a) result.push_back(dot(row, v));
  return result;
}

/// a + scale·b
inline Vector add_scaled(Vector a, long double scale, const Vector& b) {
  if (a.size() != b.size()) throw std::invalid_argument("oracle: sum of vectors of different lengths");
  for (std::size_t j = 0; j < a.size(); ++j) a[j] += scale * b[j];
  return a;
}

/// (A + damping·I)⁻¹ rhs by Gaussian elimination with partial pivoting. Throws where the matrix is singular to
/// rounding.
inline Vector damped_solve(Matrix a, Vector rhs, long double damping = 0) {
  const std::size_t n = a.size();
  if (rhs.size() != n) throw std::invalid_argument("oracle: matrix and right-hand side differ in size");
  long double largest = 0;
  for (std::size_t r = 0; r < n; ++r) {
    a[r].at(r) += damping;
    for (const long double entry : a[r]) largest = std::fmax(largest, std::fabs(entry));
  }
  const long double rounding = static_cast<long double>(n) * std::numeric_limits<long double>::epsilon() * largest;
  for (std::size_t step = 0; step < n; ++step) {
    std::size_t pivot = step;
    for (std::size_t r = step + 1; r < n; ++r)
      if (std::fabs(a[r][step]) > std::fabs(a[pivot][step])) pivot = r;
    if (!(std::fabs(a[pivot][step]) > rounding)) throw std::domain_error("oracle: the matrix is singular to rounding");
    std::swap(a[step], a[pivot]);
    std::swap(rhs[step], rhs[pivot]);
    for (std::size_t r = step + 1; r < n; ++r) {
      const long double factor = a[r][step] / a[step][step];
      for (std::size_t c = step; c < n; ++c) a[r][c] -= factor * a[step][c];
      rhs[r] -= factor * rhs[step];
    }
  }
  for (std::size_t r = n; r-- > 0;) {
    for (std::size_t c = r + 1; c < n; ++c) rhs[r] -= a[r][c] * rhs[c];
    rhs[r] /= a[r][r];
  }
  return rhs;
}

}  // namespace oracle
