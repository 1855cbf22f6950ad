#pragma once
// Lanczos' method: eigenvalues of a Hessian from products alone, with bounds of their errors.

#include <clout/engine/hessian_operator.hpp>
#include <clout/kernels/workspace.hpp>

namespace clout {

/// What m steps know: the eigenvalues θᵢ of the tridiagonal T = VᵀHV, V the m orthonormal vectors so far.
struct RitzValues {
  std::vector<double> values;   ///< θᵢ, ascending: [m]
  std::vector<double> bounds;   ///< |β_m s_mi|: an eigenvalue of H is as near as that to θᵢ, but for rounding
  std::vector<double> weights;  ///< s_1i², which the start vector has of each; their sum is 1
  std::vector<double> vectors;  ///< sᵢ, in V's coordinates: [m][m], row after row
};

/// Lanczos with full reorthogonalisation (Golub & Van Loan, section 10.3): every new vector is made orthogonal to all
/// before it twice, in double, so that no eigenvalue appears more often than it is there. m steps hold m + 1 vectors of
/// p.
template <class T>
class Lanczos {
 public:
  /// Takes the memory for `most_steps` steps (p at most).
  Lanczos(HessianOperator<T> hessian, Index most_steps);
  /// Bytes of that.
  static std::size_t memory(Index p, Index most_steps);

  /// Begins anew from `vector`, [1][p], of any length. Where it is zero no step can be taken.
  void start(MatrixView<const T> vector);
  /// Up to `steps` more: fewer where is_finished().
  void advance(Index steps);

  Index steps() const { return static_cast<Index>(diagonal_.size()); }
  /// No further step: no room, a subspace that H maps into itself, or a number that is none.
  bool is_finished() const { return steps() == most_steps_ || is_invariant_ || !is_finite_; }
  /// Every vector that H makes of the start is in the subspace, to rounding: the values are eigenvalues.
  bool is_invariant() const { return is_invariant_; }
  bool is_finite() const { return is_finite_; }

  /// Throws NotCertified where LAPACK's QL iteration fails.
  RitzValues ritz() const;
  /// V: [m][p].
  MatrixView<const T> basis() const { return basis_.rows_from(0, steps()); }
  /// Σᵢ coordinates[i] vᵢ, [1][p].
  void combine_basis(std::span<const double> coordinates, MatrixView<T> out) const;
  /// tr(VᵀHV).
  double trace() const;
  HessianOperator<T>& hessian() { return hessian_; }

 private:
  static void carve(Workspace& w, MatrixView<T>& basis, double*& dots, Index p, Index most_steps);

  HessianOperator<T> hessian_;
  Index most_steps_;
  Workspace memory_;
  MatrixView<T> basis_;                          // [most_steps + 1][p]
  double* dots_ = nullptr;                       // [most_steps + 1]
  std::vector<double> diagonal_, off_diagonal_;  // α, β: [m]
  bool is_invariant_ = true, is_finite_ = true;
};

/// w ← w − Vᵀ(Vw) with V, [m][p], orthonormal; returns Vw, [m]. `dots` is device memory for m numbers.
template <class T>
std::vector<double> project_out(Device& device, MatrixView<const T> basis, MatrixView<T> w, double* dots);

}  // namespace clout
