#pragma once
// What a sweep does between its two products: logits (or their tangents) become weighted residuals.

#include <clout/kernels/cuda/reductions.hpp>
#include <clout/kernels/operations.hpp>
#include <limits>

namespace clout::cuda {

/// Whether (row, vector) is among the entries that are left out.  log₂(count) steps.
__device__ inline bool is_excluded(const Exclusions& exclusions, Index row, Index vector) {
  Index low = 0, high = exclusions.count;
  while (low < high) {
    const Index middle = (low + high) / 2;
    const bool before =
        exclusions.rows[middle] < row || (exclusions.rows[middle] == row && exclusions.vectors[middle] < vector);
    (before ? low : high) = before ? middle + 1 : middle;
  }
  return low < exclusions.count && exclusions.rows[low] == row && exclusions.vectors[low] == vector;
}

/// r = softmax(z) − e_y; p_y − 1 is minus the sum of the others, which does not cancel.
template <int kLanes, class T>
__device__ void gradient_step(Index label, T weight, Index classes, Index lane, T* z) {
  T largest = -std::numeric_limits<T>::infinity(), own = 0, others = 0;
  for (Index c = lane; c < classes; c += kLanes) largest = std::fmax(largest, z[c]);
  largest = group_max<kLanes>(largest);
  for (Index c = lane; c < classes; c += kLanes) {
    z[c] = std::exp(z[c] - largest);
    (c == label ? own : others) += z[c];
  }
  others = group_sum<kLanes>(others);
  const T sum = group_sum<kLanes>(own) + others;
  for (Index c = lane; c < classes; c += kLanes) z[c] = weight * ((c == label ? -others : z[c]) / sum);
}

/// r = p ∘ (z − (p·z)1)
template <int kLanes, class T>
__device__ void tangent_step(const T* p, T weight, Index classes, Index lane, T* z) {
  const T reference = likeliest<kLanes>(p, z, classes, lane);
  T mean = 0;
  for (Index c = lane; c < classes; c += kLanes) mean = std::fma(p[c], z[c] - reference, mean);
  mean = group_sum<kLanes>(mean);
  for (Index c = lane; c < classes; c += kLanes) z[c] = weight * p[c] * ((z[c] - reference) - mean);
}

/// r = p ∘ (e − s)/(1 + s) with e = expm1(z), s = p·e. A common shift of z changes nothing: the largest (of the classes
/// that have any probability) is subtracted, so nothing overflows. 1 + s is summed as Σ p exp(z), all terms positive;
/// where it is small, e − s would cancel and is taken as exp(z) − (1 + s).
template <int kLanes, class T>
__device__ void difference_step(const T* p, T weight, Index classes, Index lane, T* z) {
  T largest = -std::numeric_limits<T>::infinity();
  for (Index c = lane; c < classes; c += kLanes)
    if (p[c] != 0) largest = std::fmax(largest, z[c]);
  largest = group_max<kLanes>(largest);
  T sum = 0, total = 0;  // s, 1 + s
  for (Index c = lane; c < classes; c += kLanes) {
    if (p[c] == 0) continue;
    z[c] -= largest;
    sum = std::fma(p[c], std::expm1(z[c]), sum);
    total = std::fma(p[c], std::exp(z[c]), total);
  }
  sum = group_sum<kLanes>(sum);
  total = group_sum<kLanes>(total);
  const bool is_small = total < T(0.5);
  for (Index c = lane; c < classes; c += kLanes) {
    if (p[c] == 0) {
      z[c] = 0;
      continue;
    }
    const T change = is_small ? std::exp(z[c]) - total : std::expm1(z[c]) - sum;
    z[c] = weight * (p[c] * change / total);
  }
}

/// r = p ∘ z
template <int kLanes, class T>
__device__ void scaled_step(const T* p, T weight, Index classes, Index lane, T* z) {
  for (Index c = lane; c < classes; c += kLanes) z[c] = weight * (p[c] * z[c]);
}

/// z ← weight · r for one row and one vector, K numbers in place, by kLanes lanes; `classes` is K, or 0 for lanes that
/// have no row. Rows of weight 0 are written as zeros and not looked at. All 32 lanes of the warp take part.
template <int kLanes, class T>
__device__ void residual_step(const LinearSweep<T>& op, Index row, Index vector, T weight, Index classes, Index lane, T* z) {
  const Index live = weight == 0 ? 0 : classes;
  if (op.step == SweepStep::gradient) gradient_step<kLanes>(live > 0 ? op.labels[row] : -1, weight, live, lane, z);
  else if (op.step == SweepStep::tangent) tangent_step<kLanes>(op.probabilities.row(row), weight, live, lane, z);
  else if (op.step == SweepStep::difference)
    difference_step<kLanes>(op.probabilities.row(row), weight, live, lane, z);
  else if (op.step == SweepStep::scaled) scaled_step<kLanes>(op.probabilities.row(row), weight, live, lane, z);
  else
    for (Index c = lane; c < live; c += kLanes) z[c] = weight * op.residuals(row, vector * classes + c);
  for (Index c = lane + live; c < classes; c += kLanes) z[c] = 0;
}

}  // namespace clout::cuda
