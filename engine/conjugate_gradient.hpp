#pragma once
// Conjugate gradients for many right-hand sides side by side (Hestenes & Stiefel 1952), scalars on the device.

#include <clout/engine/device_loop.hpp>
#include <clout/engine/preconditioner.hpp>
#include <clout/engine/solver.hpp>
#include <clout/kernels/workspace.hpp>

namespace clout {

/// CG as the inner solver of a CertifiedSolver. pᵀ(H + damping·I)p ≤ 0 ends a column with negative_curvature.
/// The loop is the device's, which also judges whether a column still runs; the host comes back for a look ever more
/// rarely. Where the objective cannot be recorded, the host drives the same loop.
///
/// A column's first directions are kept (ConjugateGradientState), and what a correction has left of the same right-hand side
/// goes on with them: rounding then costs few products more in single precision than in double.
template <class T>
class ConjugateGradient : public Correction<T> {
 public:
  ConjugateGradient(HessianOperator<T> hessian, Index max_iterations,
                    std::shared_ptr<Preconditioner<T>> preconditioner = nullptr)
      : hessian_(hessian), max_iterations_(max_iterations), preconditioner_(std::move(preconditioner)) {
    require(max_iterations > 0, "conjugate gradients: the iteration limit must be positive");
  }
  ConjugateGradient(const ConjugateGradient&) = delete;
  ConjugateGradient& operator=(const ConjugateGradient&) = delete;

  std::string name() const override { return "cg"; }
  Index products() const override {
    return hessian_.products() + (preconditioner_ ? preconditioner_->products() : 0);
  }
  void correct(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
               std::vector<ColumnReport>& columns) override;
  std::size_t scratch(Index width, const void* planned) const override;
  void watch(std::function<void(double share)> look) override { look_ = std::move(look); }
  void describe(SolveReport& report) const override;

 private:
  struct Scratch {
    Workspace memory;
    ConjugateGradientState<T> state;
    Index width = 0;
  };
  void carve(Workspace& w, ConjugateGradientState<T>& state, Index width) const;
  void reserve(Index width);
  /// The loop on `state`, recorded where it can be.
  void show_loop(const ConjugateGradientState<T>& state);
  void iterate(const ConjugateGradientState<T>& state, const std::vector<double>& targets);
  /// The least that a running column has behind it of the decades from 1 to its target.
  double share_done(const ConjugateGradientState<T>& state, const std::vector<double>& targets) const;
  void report(const ConjugateGradientState<T>& state, std::vector<ColumnReport>& columns) const;
  /// Of Rayleigh, of a column's kept directions; NaN where there are none.
  double largest_kept_quotient(const ConjugateGradientState<T>& state, Index column) const;

  HessianOperator<T> hessian_;
  Index max_iterations_;
  std::shared_ptr<Preconditioner<T>> preconditioner_;
  Scratch scratch_;
  std::function<void(double share)> look_;
  MatrixView<T> loop_x_;  // what the loop was shown: its width, and where the solutions are
  std::unique_ptr<Loop> loop_;
};

/// Smallest and largest eigenvalue of the symmetric tridiagonal matrix that `iterations` steps of CG with these
/// coefficients imply (Golub & Van Loan, section 10.2): Ritz estimates of the operator's.
struct RitzEstimates {
  double smallest, largest;
};
RitzEstimates ritz_estimates(const std::vector<double>& alpha, const std::vector<double>& beta);

/// A ready solver: CG in precision T, certified in double. `fast` and `exact` are the same objective at the same θ.
template <class T>
std::unique_ptr<Solver> make_conjugate_gradient(Objective<T>& fast, Objective<double>& exact, double damping,
                                                double tolerance, Index max_iterations = 10'000,
                                                Progress progress = {},
                                                std::shared_ptr<Preconditioner<T>> preconditioner = nullptr);

}  // namespace clout
