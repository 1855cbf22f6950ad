#pragma once
// The linear support vector machine, exactly: hinge losses minimised by their dual problem, with and without examples.

#include <clout/engine/solver.hpp>
#include <clout/host/io/journal.hpp>
#include <clout/host/leave_one_out.hpp>
#include <clout/models/dataset.hpp>

namespace clout {

struct SvmOptions {
  double tolerance = 1e-10;  ///< on the duality gap, an absolute one: R is at most 1 at w = 0
  Index max_rounds = 2000;
  std::uint64_t seed = 0;    ///< of the order in which coordinates are taken
};

/// R(w) = (1/W) Σ wᵢ max(0, 1 − yᵢ w·xᵢ) + (λ/2)‖w‖² at w = Σ αᵢ yᵢ xᵢ with 0 ≤ αᵢ ≤ Cᵢ = wᵢ/(λW).
struct SvmFit {
  bool converged = false;
  /// R(w) minus the dual objective, ≥ R(w) − R's minimum ≥ (λ/2)‖w − minimum‖²; at least that, rounding included: as a
  /// sum of terms that are not negative, most of them zero, it is known far below the rounding of R itself.
  double gap = 0;
  double objective = 0;
  Index rounds = 0;             ///< passes over all examples
  Index on_margin = 0;          ///< examples with 0 < αᵢ < Cᵢ
  std::vector<double> dual;     ///< [n] α
  std::vector<double> weights;  ///< [d] w, rounded from what the gap is of
  std::vector<bool> between;    ///< [n] whether 0 < αᵢ < Cᵢ: those on the margin, whose loss has its kink there
};

/// How far a fit with this duality gap may be from the minimum: √(2 gap/λ).
double svm_distance(double gap, double l2);

/// One data set's machine. Keeps X's non-zeros on the host, in double; no bias.
class LinearSvm {
 public:
  /// `data` has two classes, label 1 standing for y = +1; λ > 0.
  LinearSvm(const Dataset<double>& data, double l2);

  Index examples() const { return static_cast<Index>(signs_.size()); }
  Index features() const { return features_; }
  double l2() const { return l2_; }

  /// Dual coordinate descent (Hsieh et al. 2008, algorithm 1) and, after every pass, projected Newton steps over the
  /// coordinates that are not held at their bounds, which decide the last digits. From `start` ([n] or empty: zero), bounds moved
  /// along, on the data without `removed`. The same on every machine and for any number of threads.
  SvmFit fit(std::span<const Index> removed, std::span<const double> start, const SvmOptions& options,
             const Progress& progress = {}) const;

  /// R(w) minus the dual objective at α, for any w and a feasible α: to the rounding of R in long double.
  double gap_of(std::span<const double> weights, std::span<const double> dual) const;

 private:
  struct State;
  /// One pass over `coordinates`, in an order of its own.
  void sweep(State& state, std::span<const Index> coordinates) const;
  /// Whether the dual objective rose.
  bool newton_step(State& state) const;
  void measure(State& state, SvmFit& fit) const;
  template <class Number>
  Number row_dot(Index row, const std::vector<Number>& dense) const;
  template <class Number>
  void add_row(Index row, Number factor, std::vector<Number>& dense) const;

  Index features_ = 0;
  double l2_;
  std::vector<Index> starts_;           // [n + 1] into:
  std::vector<std::int32_t> columns_;   // [non-zeros]
  std::vector<double> values_;          // [non-zeros] yᵢ xᵢ
  std::vector<double> signs_, norms_;   // [n] yᵢ, ‖xᵢ‖²
  std::vector<double> example_weights_; // [n]
};

/// Retrains without each set, from `full`, the fit with nothing removed, on as many threads as `test`'s device has. Of every
/// model gradient_norm is its duality gap, iterations its rounds, and loss_change that of the loss of `test`, a margin
/// model of the same features at the parameters from which changes count.
std::vector<RetrainedModel> retrain_svm(const LinearSvm& svm, const SvmFit& full, Objective<double>& test,
                                        const std::vector<std::vector<Index>>& groups, const SvmOptions& options,
                                        io::Journal* journal, const Progress& progress = {});

}  // namespace clout
