#pragma once
// LiSSA: solves by steps on minibatches (Agarwal, Bullins & Hazan 2016; Koh & Liang 2017, section 3), tuned by itself.

#include <clout/engine/lissa_tuning.hpp>
#include <clout/engine/solver.hpp>
#include <clout/kernels/workspace.hpp>
#include <optional>

namespace clout {

/// Zero means: chosen from the Hessian (or, as published, the paper's).
struct LissaOptions {
  double scale = 0;   ///< σ
  Index depth = 0;    ///< steps of a round
  Index batch = 0;    ///< examples of a step
  Index repeats = 0;  ///< chains with batches of their own, whose mean is taken
  bool published = false;
  std::uint64_t seed = 0;

  static constexpr Index kMostRepeats = 4096;
};

/// LiSSA as the inner solver of a CertifiedSolver: s ← s + (v − (H_B + damping·I)s)/σ from s = v/σ, for k right-hand
/// sides and r repeats side by side; the right-hand sides of a repeat share its batches. damping is plain: the fixed
/// point of the expectation is (H + damping·I)⁻¹v.
///
/// Its own way: batches drawn with replacement on the device, the second half of every chain averaged, rounds added up
/// by the certified loop. A round solves for what the full Hessian left in double, so that the noise of its batches
/// shrinks with the residual: that is the variance-reduced form (SVRG: Johnson & Zhang 2013), and it converges to any
/// tolerance. Each round looks at its correction with one full product before it is taken: where it leaves more than
/// half of the residual, the chains go on to twice their depth; where it leaves more than there was, or where estimates
/// outgrow every solution, σ is doubled and the round begins anew.
///
/// As published (`published`): σ = 25, 5,000 steps, batches of 1, 10 repeats unless said otherwise; batches walk
/// through permutations of the data without replacement, repeat after repeat; the chains' last estimates are averaged,
/// and nothing is refined. The published code's own damping is damping/σ (math.md).
template <class T>
class Lissa : public Correction<T> {
 public:
  /// Throws InvalidInput where the objective has no Hessian products of minibatches, or a number of `options` does not
  /// fit the data.
  Lissa(HessianOperator<T> hessian, const LissaOptions& options, Progress progress = {});

  std::string name() const override { return "lissa"; }
  Index products() const override { return hessian_.products() + spectrum_products_; }
  bool refines() const override { return !options_.published; }
  void describe(SolveReport& report) const override;
  void correct(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
               std::vector<ColumnReport>& columns) override;
  /// Where a batch's size is left open, it may come to be kLissaMostBatch.
  std::size_t scratch(Index width, const void* planned) const override;

 private:
  /// Device memory for the chains of one round.
  struct Chains {
    Workspace memory;
    Index width = 0;                    // right-hand sides that fit
    MatrixView<T> right_hand_sides;     // [k][p]
    MatrixView<T> mean, product;        // [k][p]
    MatrixView<T> estimates, products;  // [r·k][p]
    MatrixView<T> sums;                 // [r·k][p]
    Buffer<Index> rows;                 // [r][b], or the published walk's [depth][r][b]
  };

  bool choose(std::vector<ColumnReport>& columns);
  void carve(Workspace& w, Chains& chains, Index width) const;
  void reserve(Index width);
  void upload_walk();
  const Index* batch(Index step);
  void start();
  bool run(Index first, Index last);
  bool outgrows(Index step);
  bool settle_round();
  void average();
  std::vector<double> residual_norms();
  std::vector<double> spreads();
  bool double_scale();

  HessianOperator<T> hessian_;
  LissaOptions options_;
  Progress progress_;
  ParameterRanges regularized_;
  LissaReport chosen_;
  LissaSpectrum spectrum_;
  Index spectrum_products_ = 0, deepest_ = 0;
  bool is_chosen_ = false;
  Chains chains_;
  Index width_ = 0, round_ = 0;  // of the call at hand
};

/// A ready solver: LiSSA in precision T, certified in double. `fast` and `exact` are the same objective at the same θ.
template <class T>
std::unique_ptr<Solver> make_lissa(Objective<T>& fast, Objective<double>& exact, double damping, double tolerance,
                                   const LissaOptions& options, Progress progress = {});

}  // namespace clout
