#pragma once
// Sums over a parameter vector, in double and in an order fixed by its length.

#include <clout/kernels/matrix_view.hpp>

namespace clout::cpu {

/// x · y: sixteen interleaved partial sums, which is what keeps the adders busy, then those in pairs.
template <class T>
double dot(const T* x, const T* y, Index size) {
  constexpr Index kSums = 16;
  double sums[kSums] = {};
  Index i = 0;
  for (; i + kSums <= size; i += kSums)
    for (Index lane = 0; lane < kSums; ++lane)
      sums[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(y[i + lane]);
  for (Index lane = 0; i + lane < size; ++lane)
    sums[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(y[i + lane]);
  for (Index half = kSums / 2; half > 0; half /= 2)
    for (Index lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

}  // namespace clout::cpu
