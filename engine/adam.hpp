#pragma once
// Training by Adam on minibatches, for k models side by side.

#include <clout/engine/objective.hpp>
#include <clout/engine/solver.hpp>
#include <clout/kernels/recording.hpp>

namespace clout {

/// In which order examples are walked through, fixed by (n, batch, seed) alone: consecutive slices of a permutation; where
/// the next slice would run past the end, what is left is skipped and a new permutation begins. The first one is the
/// data's own order (the published code's way) unless asked otherwise. Any epoch's permutation can be asked for on its own.
class BatchOrder {
 public:
  /// Throws InvalidInput unless 1 ≤ batch ≤ examples.
  BatchOrder(Index examples, Index batch, std::uint64_t seed, bool begins_in_order = true);
  Index batch() const { return batch_; }
  Index steps_per_epoch() const { return examples_ / batch_; }
  std::vector<Index> epoch(Index number) const;

 private:
  Index examples_, batch_;
  std::uint64_t seed_;
  bool begins_in_order_;
};

struct AdamOptions {
  double learning_rate = 1e-4;
  std::vector<Index> drops = {110'000, 220'000};  ///< steps from which on the rate is a tenth of what it was
  Index batch = 500;
  std::uint64_t seed = 0;  ///< of the order of the examples
  bool begins_in_order = true;  ///< the first epoch is in the data's own order
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  Index stretch = 64;  ///< most steps that a device takes without the host, as one recording; changes no bit

  /// Of step t = 0, 1, …
  double rate(Index step) const;
};

/// Where Adam stands: everything that the next step needs, beside data and options.
template <class T>
struct AdamState {
  Index step = 0;                  ///< steps taken
  std::vector<T> parameters;       ///< [k][p]
  std::vector<T> first_moments;    ///< [k][p]
  std::vector<T> second_moments;   ///< [k][p]
};

/// Adam (Kingma & Ba 2015) in TensorFlow's form for k models that see the same batches; model j leaves out the examples
/// that are excluded for it, and its batch's mean is over the rest. The host hands over the examples and step sizes of a
/// stretch of steps, which the device then takes without it. The same state, options and data give the same bits, in
/// however many calls.
template <class T>
class Adam {
 public:
  /// Model after model, `state` holds k ≥ 1 of them; `exclusions` is device memory that outlives this.
  Adam(Objective<T>& objective, const AdamOptions& options, const AdamState<T>& state, Exclusions exclusions = {});
  Adam(const Adam&) = delete;
  Adam& operator=(const Adam&) = delete;

  /// Takes steps until `last` have been taken in all. Throws NotCertified where a parameter is not finite at the end.
  void run_to(Index last, const Progress& progress = {});
  AdamState<T> state() const;
  Index models() const { return models_; }
  /// θ_j, [k][p], of the device.
  MatrixView<const T> parameters() const { return parameters_.view(models_, size_); }

 private:
  /// Examples and step sizes of the next `count` steps.
  void load(Index count);
  /// The steps that are loaded.
  void take_steps(Index count);

  Objective<T>& objective_;
  AdamOptions options_;
  BatchOrder order_;
  ParameterRanges regularized_;
  Exclusions exclusions_;
  Index size_, models_, step_, stretch_;
  std::vector<Index> permutation_;  // of epoch permuted_
  Index permuted_ = -1;
  Buffer<T> parameters_, first_moments_, second_moments_, gradients_;  // [k][p]
  Buffer<Index> rows_;         // [stretch][batch]
  Buffer<double> step_sizes_;  // [stretch]
  std::unique_ptr<Recording> whole_stretch_;  // none where the objective cannot be recorded
};

}  // namespace clout
