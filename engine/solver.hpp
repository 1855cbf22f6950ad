#pragma once
// Certified solves of (H + damping·I) s = v for many right-hand sides.

#include <clout/engine/hessian_operator.hpp>
#include <clout/engine/solve_report.hpp>
#include <functional>
#include <memory>
#include <span>

namespace clout {

/// Called now and then by long computations: stage, done, total. May throw Interrupted to stop them.
using Progress = std::function<void(const std::string& stage, double done, double total)>;

/// Solves (H + damping·I) s = v, damping meaning the same in every solver: what is added to H's diagonal.
class Solver {
 public:
  virtual ~Solver() = default;
  /// Right-hand sides and solutions are rows in double, [k][p]. Every column is reported with its true residual in
  /// double; nothing is thrown for a column that fails: ask the report.
  virtual SolveReport solve(MatrixView<const double> right_hand_sides, MatrixView<double> solutions) = 0;
  virtual Device& device() const = 0;
  virtual Index size() const = 0;
};

/// One approximate solve in working precision T. The certified loop calls it with residuals until they are small.
template <class T>
class Correction {
 public:
  virtual ~Correction() = default;
  virtual std::string name() const = 0;
  /// Solves for k residuals of norm 1 (or exactly 0: leave those), [k][p], each to `targets[j]` relative. A column
  /// whose status is set to anything but running or converged is given up. Where a column's `refinements` is not 0, its
  /// residual is what is left of the same right-hand side after the last call.
  virtual void correct(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
                       std::vector<ColumnReport>& columns) = 0;
  /// Hessian products with one vector done so far.
  virtual Index products() const = 0;
  /// Bytes of device memory that correct() for `width` columns would take beyond what is held by now, without the
  /// scratch of the objective at `planned`, which is in the caller's plan.
  virtual std::size_t scratch(Index width, const void* planned) const {
    return static_cast<void>(width), static_cast<void>(planned), std::size_t{0};
  }
  /// `look` is called now and then during correct() with the share of the way that lies behind, and may throw to stop
  /// it.
  virtual void watch(std::function<void(double share)> look) { static_cast<void>(look); }
  /// Whether corrections of what corrections left may be added; else a solve ends with the first.
  virtual bool refines() const { return true; }
  /// Adds to a report what this method alone knows.
  virtual void describe(SolveReport& report) const { static_cast<void>(report); }
};

/// Below this relative residual conjugate gradients in precision T only move rounding around.
template <class T>
inline constexpr double kReachable = 0;
template <>
inline constexpr double kReachable<float> = 3e-6;

/// The one loop behind every solver: s ← s + correction(v − (H + damping·I) s), the residual in double, until it is
/// ≤ tolerance·‖v‖ or stops falling. In double one round is the rule; in single precision this is iterative
/// refinement. Right-hand sides go in blocks of `kBlock`, numbered from the request, or of as many as
/// the memory limit has room for where that is less: planned before anything is computed. Throws OutOfMemory with
/// the bytes for one right-hand side where not even that fits.
template <class T>
class CertifiedSolver : public Solver {
 public:
  static constexpr Index kBlock = 32;

  /// `exact` and the correction must belong to the same θ, data and damping.
  CertifiedSolver(HessianOperator<double> exact, std::unique_ptr<Correction<T>> correction, double tolerance,
                  Progress progress = {});

  SolveReport solve(MatrixView<const double> right_hand_sides, MatrixView<double> solutions) override;
  Device& device() const override { return exact_.device(); }
  Index size() const override { return exact_.size(); }

 private:
  struct Block;
  /// Columns that are solved side by side.
  Index planned_width(Index columns) const;
  void solve_block(Block& block, MatrixView<const double> v, MatrixView<double> s, std::vector<ColumnReport>& columns);
  void correct_block(Block& block, const std::vector<double>& residual_norms, const std::vector<double>& norms,
                     MatrixView<double> s, std::vector<ColumnReport>& columns);

  HessianOperator<double> exact_;
  std::unique_ptr<Correction<T>> correction_;
  double tolerance_;
  Progress progress_;
};

/// Makes a solver's failure an exception: throws NotCertified with the report's line unless all columns are certified.
void require_certified(const SolveReport& report);

}  // namespace clout
