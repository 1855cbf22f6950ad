#pragma once
// Which training points made the model predict this: the public face of the library.

#include <clout/engine/solver.hpp>

namespace clout {

/// Influence scores of every training example on the loss of test examples (Koh & Liang 2017, equation 2).
///
/// score[t][i] = loss_change_if_removed = (wᵢ/W) s_tᵀ(∇ℓᵢ + λθ_reg) with (H + damping·I) s_t = ∇ℓ(z_t): the predicted
/// change of test example t's loss when training example i is removed and the model retrained. Positive: the example
/// is helpful. The test loss carries no regulariser, the training gradient does (their footnote 1).
template <class T>
class Influence {
 public:
  /// `train` and `test` are the same model at the same θ on two data sets; the solver belongs to `train`.
  Influence(Objective<T>& train, Objective<double>& test, Solver& solver, std::vector<double> theta);

  struct Scores {
    std::vector<double> values;  ///< [tests][n]
    std::vector<double> norms;   ///< [tests] ‖s_t‖₂: how far a loss moves, to first order, per unit of gradient
    SolveReport report;
  };
  /// Scores on single test examples, by their rows in the test data.
  Scores scores(std::span<const Index> test_rows, const Progress& progress = {});

  /// Inverse-Hessian-vector products s_t alone: [tests][p], and their norms.
  Scores inverse_products(std::span<const Index> test_rows);

 private:
  Objective<T>& train_;
  Objective<double>& test_;
  Solver& solver_;
  std::vector<double> theta_;
};

/// Self-influence of training examples: (wᵢ/W) ∇ℓᵢᵀ (H + damping·I)⁻¹ ∇ℓᵢ, no regulariser in either factor; the
/// predicted rise of an example's own loss when it is removed. Never negative for a positive definite H.
struct SelfInfluence {
  std::vector<double> values;  ///< [rows]
  SolveReport report;
};
SelfInfluence self_influence(Objective<double>& train, Solver& solver, std::span<const Index> rows,
                             const Progress& progress = {});

}  // namespace clout
