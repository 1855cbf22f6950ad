#pragma once
// Cholesky of the explicit Hessian: the reference for every other solver, and the engine of exact leave-one-out.

#include <clout/engine/solver.hpp>

namespace clout {

/// (H + damping·I) = C Cᵀ in precision T. Throws NotCertified where the matrix is not positive definite (the line says
/// at which leading minor and what to change) and OutOfMemory where p² numbers do not fit.
template <class T>
class HessianFactor {
 public:
  HessianFactor(Objective<T>& objective, double damping, const Progress& progress = {});
  /// The same from H itself, [p][p], assembled without damping and taken over: for callers that need H for more.
  HessianFactor(Objective<T>& objective, Buffer<T> hessian, double damping, const Progress& progress = {});

  /// Solves in place for the rows of [k][p].
  void solve(MatrixView<T> vectors) const;
  Device& device() const { return device_; }
  Index size() const { return size_; }

 private:
  void factorise(Objective<T>& objective, double damping, const Progress& progress);

  Device& device_;
  Index size_;
  Buffer<T> matrix_;  // [p][p]
};

/// ‖F⁻¹g‖/‖g‖ for each row g of [k][p]: how far a gradient is from zero. Of equal entries where g = 0. `gradients` are
/// overwritten, `room` is [k][p].
template <class T>
std::vector<double> gains(const HessianFactor<T>& factor, MatrixView<double> gradients, MatrixView<T> room);

/// A ready solver: a factor in precision T, refined until the true residual in double is ≤ tolerance.
template <class T>
std::unique_ptr<Solver> make_direct_solver(std::shared_ptr<const HessianFactor<T>> factor, Objective<double>& exact,
                                           double damping, double tolerance, Progress progress = {});

}  // namespace clout
