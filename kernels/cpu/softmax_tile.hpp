#pragma once
// The softmax's algebra on tiles: [class][lane], lanes being examples or vectors. Lanes beyond the ones in use repeat
// lane 0, so that nothing in them can trap or slow down.

#include <clout/kernels/cpu/simd.hpp>
#include <clout/kernels/operations.hpp>
#include <cmath>

namespace clout::cpu {

/// tile[c][lane] = from[c·class_step + lane·lane_step] for `count` lanes.
template <class T>
void gather(const T* from, Index class_step, Index lane_step, Index count, Index classes, T* tile) {
  for (Index c = 0; c < classes; ++c, from += class_step, tile += kLanes<T>) {
    if (lane_step == 0) store(tile, broadcast(*from));
    else if (lane_step == 1 && count == kLanes<T>) store(tile, load(from));
    else
      for (Index lane = 0; lane < kLanes<T>; ++lane) tile[lane] = from[lane < count ? lane * lane_step : 0];
  }
}

template <class T>
void scatter(const T* tile, Index class_step, Index lane_step, Index count, Index classes, T* to) {
  for (Index c = 0; c < classes; ++c, to += class_step, tile += kLanes<T>) {
    if (lane_step == 1 && count == kLanes<T>) store(to, load(tile));
    else
      for (Index lane = 0; lane < count; ++lane) to[lane * lane_step] = tile[lane];
  }
}

/// z ← p ∘ (z − (p·z)1), z taken relative to the likeliest class's: where that has nearly all the probability, z − p·z
/// would cancel.
template <class T>
void tangent_tile(T* z, const T* p, Index classes) {
  Vector<T> top = load(p), reference = load(z), mean{};
  for (Index c = 1; c < classes; ++c) {
    const Vector<T> probability = load(p + c * kLanes<T>);
    const Integers<T> wins = probability > top;
    top = select<T>(wins, probability, top);
    reference = select<T>(wins, load(z + c * kLanes<T>), reference);
  }
  for (Index c = 0; c < classes; ++c) mean += load(p + c * kLanes<T>) * (load(z + c * kLanes<T>) - reference);
  for (Index c = 0; c < classes; ++c)
    store(z + c * kLanes<T>, load(p + c * kLanes<T>) * ((load(z + c * kLanes<T>) - reference) - mean));
}

template <class T>
struct LargestLogit {
  Vector<T> value;
  Integers<T> at;  // its class
};

template <class T>
LargestLogit<T> largest_logit(const T* z, Index classes) {
  LargestLogit<T> largest{load(z), Integers<T>{}};
  for (Index c = 1; c < classes; ++c) {
    const Vector<T> candidate = load(z + c * kLanes<T>);
    const Integers<T> wins = candidate > largest.value;
    largest.value = select<T>(wins, candidate, largest.value);
    largest.at = wins ? Integers<T>{} + static_cast<typename Simd<T>::Integer>(c) : largest.at;
  }
  return largest;
}

/// z ← softmax(z). Returns Σ_{c ≠ largest} exp(z_c − largest): the loss's log-sum is largest + log1p of it, exact also
/// where the largest logit has nearly all the probability.
template <class T>
Vector<T> softmax_tile(T* z, const LargestLogit<T>& largest, Index classes) {
  Vector<T> rest{}, top{};
  for (Index c = 0; c < classes; ++c) {
    const Vector<T> value = Exponential<T>(load(z + c * kLanes<T>) - largest.value).value;
    const Integers<T> is_top = largest.at == static_cast<typename Simd<T>::Integer>(c);
    rest += select<T>(is_top, Vector<T>{}, value);
    top = select<T>(is_top, value, top);
    store(z + c * kLanes<T>, value);
  }
  const Vector<T> inverse = T(1) / (top + rest);
  for (Index c = 0; c < classes; ++c) store(z + c * kLanes<T>, load(z + c * kLanes<T>) * inverse);
  return rest;
}

/// residuals ← p − e_y; may be the same memory as p. The label's own is minus the sum of the others: p_y − 1 would cancel.
template <class T>
void residual_tile(const T* p, Integers<T> labels, Index classes, T* residuals) {
  const auto is_label = [&](Index c) { return labels == static_cast<typename Simd<T>::Integer>(c); };
  Vector<T> others{};
  for (Index c = 0; c < classes; ++c) others += select<T>(is_label(c), Vector<T>{}, load(p + c * kLanes<T>));
  for (Index c = 0; c < classes; ++c)
    store(residuals + c * kLanes<T>, select<T>(is_label(c), -others, load(p + c * kLanes<T>)));
}

/// z ← softmax(z) − e_y.
template <class T>
void gradient_tile(T* z, Integers<T> labels, Index classes) {
  softmax_tile(z, largest_logit(z, classes), classes);
  residual_tile(z, labels, classes, z);
}

/// z ← softmax(a + z) − softmax(a) = p ∘ (e − s)/(1 + s) with p = softmax(a), e = expm1(z), s = p·e. A common shift
/// of z changes nothing, so the largest is subtracted. 1 + s is summed as Σ p exp(z), all terms positive; where it is
/// small, e − s would cancel and is taken as exp(z) − (1 + s).
/// `exponentials` is room for another tile.
template <class T>
void difference_tile(T* z, const T* p, Index classes, T* exponentials) {
  const Vector<T> shift = largest_logit(z, classes).value;
  Vector<T> total{}, s{};
  for (Index c = 0; c < classes; ++c) {
    const Exponential<T> e(load(z + c * kLanes<T>) - shift);
    const Vector<T> probability = load(p + c * kLanes<T>);
    total += probability * e.value;
    s += probability * e.minus_one;
    store(exponentials + c * kLanes<T>, e.value);
    store(z + c * kLanes<T>, e.minus_one);
  }
  const Integers<T> is_small = total < broadcast(T(0.5));
  const Vector<T> inverse = T(1) / total;
  for (Index c = 0; c < classes; ++c) {
    const Vector<T> change =
        select<T>(is_small, load(exponentials + c * kLanes<T>) - total, load(z + c * kLanes<T>) - s);
    store(z + c * kLanes<T>, load(p + c * kLanes<T>) * change * inverse);
  }
}

}  // namespace clout::cpu
