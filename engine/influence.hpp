#pragma once
// Which training points made the model predict this: the public face of the library.

#include <clout/engine/solver.hpp>

namespace clout {

/// Sets of examples, turned around: which sets each example is in.
class GroupMembers {
 public:
  /// Throws InvalidInput where an index is outside 0…examples−1 or stands twice in a set.
  GroupMembers(const std::vector<std::vector<Index>>& groups, Index examples);

  Index groups() const { return groups_; }
  struct Member {
    Index example, group;
  };
  /// Members among examples first … first + count − 1, by example, then by set.
  std::span<const Member> among(Index first, Index count) const;

 private:
  Index groups_;
  std::vector<Member> members_;
};

/// Influence scores of every training example on the loss of test examples (Koh & Liang 2017, equation 2).
///
/// score[t][i] = loss_change_if_removed = (wᵢ/W) s_tᵀ(∇ℓᵢ + λθ_reg) with (H + damping·I) s_t = ∇ℓ(z_t): the predicted
/// change of test example t's loss when training example i is removed and the model retrained. Positive: the example
/// is helpful. The test loss carries no regulariser, the training gradient does (their footnote 1).
template <class T>
class Influence {
 public:
  /// Test examples that are solved for and scored together.
  static constexpr Index kTestBlock = 32;

  /// `train` and `test` are the same model at the same θ on two data sets; the solver belongs to `train`.
  Influence(Objective<T>& train, Objective<double>& test, Solver& solver, std::vector<double> theta);

  struct Scores {
    std::vector<double> values;  ///< [tests][n]
    std::vector<double> norms;   ///< [tests] ‖s_t‖₂: how far a loss moves, to first order, per unit of gradient
    SolveReport report;
  };
  /// Scores on single test examples, by their rows in the test data, all of them in memory.
  Scores scores(std::span<const Index> test_rows, const Progress& progress = {});

  /// Inverse-Hessian-vector products s_t alone: [tests][p], and their norms.
  Scores inverse_products(std::span<const Index> test_rows);

  /// Scores of some tests × examples first … first + count − 1, `width` numbers for each pair; gone after the call.
  struct Tile {
    Index tests = 0, first = 0, count = 0, width = 1;
    std::span<const double> values;  ///< [tests][count][width]
  };
  using Receiver = std::function<void(const Tile&)>;
  /// From the inverse products of at most kTestBlock tests, their scores on all training examples, tile by tile: for
  /// results that are larger than memory.
  void removal_tiles(const Scores& products, const Receiver& receive);
  /// The same for labels: [tests][count][K], the predicted change of the test loss when example i's label becomes c and
  /// the model is retrained, −(wᵢ/W) s_tᵀ(∇ℓ(xᵢ, c) − ∇ℓᵢ) (equation 3; the regulariser cancels). 0 at its own label.
  void relabel_tiles(const Scores& products, std::span<const std::int32_t> labels, const Receiver& receive);
  /// Sums of the scores over the sets' members: [tests][groups].
  std::vector<double> group_scores(const Scores& products, const GroupMembers& groups);

  /// From now on removals are scored to second order in the example that goes: `shifts` [n][K] of
  /// Objective::newton_shifts, with ε = wᵢ/W and the Hessian that the solver belongs to.
  void use_newton_shifts(std::span<const double> shifts);

  /// Most bytes of device memory that solving and scoring a block of tests take, kTestBlock of them or all of `test`,
  /// `width` numbers a pair, beside the solver.
  static std::size_t plan(const Objective<T>& train, const Objective<double>& test, Index width);

 private:
  /// s_t in units of their own, so that single precision neither underflows nor overflows.
  struct Scaled {
    Buffer<T> products;                  // [tests][p]
    std::vector<double> units, offsets;  // [tests]; λ s_tᵀθ over the regularised blocks
  };
  Scaled scale(const Scores& products) const;

  Objective<T>& train_;
  Objective<double>& test_;
  Solver& solver_;
  std::vector<double> theta_;
  Buffer<T> shifts_;  // [n][K], or empty
};

/// Self-influence of training examples: (wᵢ/W) ∇ℓᵢᵀ (H + damping·I)⁻¹ ∇ℓᵢ, no regulariser in either factor; the
/// predicted rise of an example's own loss when it is removed. Never negative for a positive definite H.
struct SelfInfluence {
  std::vector<double> values;  ///< [rows]
  SolveReport report;   ///< of the right-hand sides ∇ℓᵢ, or of the unit vectors that the inverse was made from
  double residual = 0;  ///< of every (H + damping·I)s = ∇ℓᵢ: at most this, relative to ‖∇ℓᵢ‖
};
/// By a solve for each of `rows`.
SelfInfluence self_influence(Objective<double>& train, Solver& solver, std::span<const Index> rows,
                             const Progress& progress = {});

/// Whether the next function is there and takes less work than a solve for every example.
bool has_shorter_self_influence(const Objective<double>& train);
/// Of all examples, by a certified inverse (engine/inverse.hpp) and Objective::gradient_forms.
SelfInfluence self_influence_by_inverse(Objective<double>& train, Solver& solver, double damping,
                                        const Progress& progress = {});

}  // namespace clout
