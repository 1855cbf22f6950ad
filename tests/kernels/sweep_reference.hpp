#pragma once
// The naive LinearSweep, and a run of the real one between guards.

#include <array>
#include <clout/kernels/sparse_features.hpp>

#include "problem.hpp"

namespace clout::test {

/// Steps of a softmax, each of which mixes the classes, and all steps.
inline constexpr std::array kSoftmaxSteps{SweepStep::tangent, SweepStep::gradient, SweepStep::difference};
inline constexpr std::array kSweepSteps{SweepStep::tangent, SweepStep::gradient, SweepStep::difference,
                                        SweepStep::scaled, SweepStep::given};
/// Sizes of models with one output, which have no use for the softmax's steps.
inline const std::vector<Shape> kOneOutputShapes = {
    {1, 1, 1, 1, false}, {97, 13, 1, 1, true}, {333, 29, 1, 9, true}, {60, 785, 1, 3, false}, {30, 20, 1, 64, true}};

/// r of one example and vector, before weights.
template <class T>
std::vector<Bounded<T>> residual(const Problem<T>& p, SweepStep step, Index row, Index j) {
  if (step == SweepStep::given) {
    const auto first = p.residuals.begin() + (row * p.shape.k + j) * p.shape.classes;
    return {first, first + p.shape.classes};
  }
  std::vector<Bounded<T>> z = logits(p, row, j);
  if (step == SweepStep::scaled) {
    for (Index c = 0; c < p.shape.classes; ++c) z[c] = Bounded<T>(p.probabilities[row * p.shape.classes + c]) * z[c];
    return z;
  }
  if (step == SweepStep::tangent) return tangent(given_probabilities(p, row), z);
  if (step == SweepStep::gradient) {
    z = softmax(z);
    z[p.labels[row]] = z[p.labels[row]] - Bounded<T>(1);
    return z;
  }
  // p ∘ (e − s)/(1 + s), e = expm1(z), with the largest z subtracted, which changes nothing but rounding: the given p
  // add up to 1 only to K·eps, which the shift turns into K·eps·|z|.
  const auto q = given_probabilities(p, row);
  const auto largest = *std::max_element(z.begin(), z.end(), [](auto& a, auto& b) { return a.value < b.value; });
  BoundedSum<T> s, total;
  Real spread = 0;
  for (std::size_t c = 0; c < q.size(); ++c) {
    const Bounded<T> shifted = z[c] - largest;
    spread = std::max(spread, std::fabs(shifted.value));
    total += q[c] * exp(shifted);
    z[c] = expm1(shifted);
    s += q[c] * z[c];
  }
  const Real sum_error = static_cast<Real>(q.size()) * Bounded<T>::kEps * std::min<Real>(spread, 1);
  for (std::size_t c = 0; c < q.size(); ++c) {
    const Bounded<T> after = q[c] * (z[c] + Bounded<T>(1)) / total.total();
    z[c] = q[c] * (z[c] - s.total()) / total.total();
    z[c].error += sum_error * (q[c].value + after.value);
  }
  return z;
}

/// out, [k][p].
template <class T>
std::vector<Bounded<T>> sweep_reference(const Problem<T>& p, SweepStep step, T scale) {
  std::vector<BoundedSum<T>> sums(static_cast<std::size_t>(p.shape.k * p.parameters()));
  for (Index row = 0; row < p.shape.n; ++row)
    for (Index j = 0; j < p.shape.k; ++j) {
      if (p.is_excluded(row, j)) continue;
      const auto r = residual(p, step, row, j);
      const Bounded<T> weight = p.weights.empty() ? Bounded<T>(1) : Bounded<T>(p.weights[row]);
      for (Index c = 0; c < p.shape.classes; ++c)
        for (Index f = 0; f < p.width(); ++f)
          sums[j * p.parameters() + p.parameter(c, f)] += weight * r[c] * p.feature(row, f);
    }
  std::vector<Bounded<T>> out;
  for (const auto& sum : sums) out.push_back(Bounded<T>(scale) * sum.total());
  return out;
}

template <class T>
std::vector<T> run_sweep(Device& device, const Problem<T>& p, SweepStep step, T scale, bool is_sparse = false) {
  const OnDevice<T> on_device(device, p);
  const SparseStorage<std::uint8_t> bytes(device, p.bytes, p.shape.n, p.shape.d);
  const SparseStorage<T> values(device, p.values, p.shape.n, p.shape.d);
  Guarded<T> out(device, p.shape.k * p.parameters());
  LinearSweep<T> op{.step = step,
                    .features = on_device.features,
                    .sparse = {},
                    .shape = p.shape.linear(),
                    .vectors = {nullptr, p.shape.k, p.parameters()},
                    .probabilities = {nullptr, p.shape.n, p.shape.classes},
                    .residuals = {},
                    .labels = nullptr,
                    .example_weights = nullptr,
                    .exclusions = {},
                    .scale = scale,
                    .out = {},
                    .scratch = {}};
  if (is_sparse) op.sparse = p.use_bytes ? bytes.template view<T>() : values.template view<T>();
  op.features.values = nullptr;  // the plan reads sizes only
  op.features.bytes = nullptr;
  Scratch scratch(device, device.kernels<T>().linear_sweep_scratch(device, op));
  if (!is_sparse) op.features = on_device.features;
  if (step != SweepStep::given) op.vectors = on_device.vector_view;
  else op.residuals = on_device.residuals.view(p.shape.n, p.shape.k * p.shape.classes);
  if (step != SweepStep::gradient && step != SweepStep::given) op.probabilities = on_device.probability_view;
  op.labels = step == SweepStep::gradient ? on_device.labels.data() : nullptr;
  op.example_weights = p.weights.empty() ? nullptr : on_device.weights.data();
  op.exclusions = on_device.exclusions;
  op.out = out.view(p.shape.k, p.parameters());
  op.scratch = scratch.bytes();
  device.kernels<T>().linear_sweep(device, op);
  device.synchronize();
  scratch.check();
  return out.to_host();
}

/// Fails the test where a sweep over X, dense or without its zeros, is not the reference's.
template <class T>
void compare_sweep(Device& device, const Problem<T>& p, SweepStep step, bool is_sparse) {
  const T scale = T(1) / static_cast<T>(p.shape.n + 2);
  const auto expected = sweep_reference(p, step, scale);
  const auto got = run_sweep(device, p, step, scale, is_sparse);
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(within(got[i], expected[i])) << "at " << i << " of " << p.shape << ", step " << static_cast<int>(step);
}

}  // namespace clout::test
