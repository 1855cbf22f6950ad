#pragma once
// What makes conjugate gradients' operator flatter: P⁻¹ ≈ (H + damping·I)⁻¹, cheap to apply.

#include <clout/engine/direct_solver.hpp>
#include <clout/engine/hessian_operator.hpp>
#include <clout/kernels/workspace.hpp>

namespace clout {

/// z = P⁻¹r, P⁻¹ symmetric positive definite and the same for every call.
template <class T>
class Preconditioner {
 public:
  virtual ~Preconditioner() = default;
  virtual std::string description() const = 0;
  /// Takes the memory for k vectors, and makes P⁻¹ where that is still to be done.
  virtual void reserve(Index k) = 0;
  /// z ← P⁻¹r, [k][p]; nothing but started kernels if can_record().
  virtual void apply(MatrixView<const T> r, MatrixView<T> z) = 0;
  virtual bool can_record() const { return true; }
  /// Hessian products with one vector that making it has taken so far.
  virtual Index products() const { return 0; }
  /// Bytes of device memory that reserve(k) would take beyond what is held by now.
  virtual std::size_t scratch(Index k) const = 0;
};

/// H ≈ U Λ Uᵀ + μI by a randomized Nyström approximation of rank r (Frangella, Tropp & Udell 2021, algorithm 2.1), and
/// P⁻¹ = (λ_r + μ) U (Λ + μ)⁻¹ Uᵀ + (I − U Uᵀ) (their equation 1.3; λ_r the least of Λ), with μ what is known to be on the
/// diagonal of H + damping·I: the damping, and the regulariser where it acts on all parameters. Made at the first use by r
/// products. Throws NotCertified where the Hessian beyond μ is not positive semidefinite along the sketch.
template <class T>
class NystromPreconditioner : public Preconditioner<T> {
 public:
  /// Refuses a rank that is not from 1 to the number of parameters.
  NystromPreconditioner(HessianOperator<T> hessian, Index rank, std::uint64_t seed);

  std::string description() const override { return "nystrom, rank " + std::to_string(rank_); }
  void reserve(Index k) override;
  void apply(MatrixView<const T> r, MatrixView<T> z) override;
  Index products() const override { return hessian_.products(); }
  std::size_t scratch(Index k) const override;

 private:
  struct Room {
    MatrixView<T> sketch, products;  // [rank][p] Ω, Y
    double* small = nullptr;         // [rank][max(rank, k)]
  };
  void carve(Workspace& w, Room& room, Index k) const;
  void make();

  HessianOperator<T> hessian_;
  Index rank_;
  std::uint64_t seed_;
  double shift_;  // μ
  Index width_ = 0;
  bool is_made_ = false;
  Workspace memory_;
  Room room_;
  MatrixView<T> factor_;  // [rank][p] rows √(1 − (λ_r + μ)/(Λ_i + μ)) u_i: P⁻¹ = I − FᵀF
};

/// P⁻¹ = (H′ + damping′·I)⁻¹ by the Cholesky factor of a Hessian near by: of other parameters, weights or damping.
template <class T>
class FactorPreconditioner : public Preconditioner<T> {
 public:
  explicit FactorPreconditioner(std::shared_ptr<const HessianFactor<T>> factor) : factor_(std::move(factor)) {}

  std::string description() const override { return "factor"; }
  void reserve(Index) override {}
  void apply(MatrixView<const T> r, MatrixView<T> z) override;
  bool can_record() const override { return false; }  // the library's triangular solves take memory
  std::size_t scratch(Index) const override { return 0; }

 private:
  std::shared_ptr<const HessianFactor<T>> factor_;
};

}  // namespace clout
