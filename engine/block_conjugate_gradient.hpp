#pragma once
// Conjugate gradients for right-hand sides that share their directions: BCGrQ (Dubrulle 2001), with the block's rank.

#include <clout/engine/small_matrix.hpp>
#include <clout/engine/solver.hpp>
#include <clout/kernels/workspace.hpp>
#include <limits>

namespace clout {

/// Block CG as the inner solver of a CertifiedSolver. The residuals R = C·Q are kept as an orthonormal basis Q, [m][p], with
/// coefficients; a column is done where its part of C is small. Directions that the block's residuals have lost to rounding
/// leave the basis, and products with them. A block without positive curvature ends all columns with negative_curvature.
///
/// Every step takes a product with each direction, and all columns gain by all of them: 8 to 32 columns take a quarter to a
/// half of the products of as many separate solves. The small matrices are the host's. The directions of the first steps
/// are kept: later ones stay conjugate to them, and so do those of later rounds for the same right-hand sides.
template <class T>
class BlockConjugateGradient : public Correction<T> {
 public:
  BlockConjugateGradient(HessianOperator<T> hessian, Index max_iterations)
      : hessian_(hessian), max_iterations_(max_iterations) {
    require(max_iterations > 0, "block conjugate gradients: the iteration limit must be positive");
  }

  std::string name() const override { return "block-cg"; }
  Index products() const override { return hessian_.products(); }
  void correct(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
               std::vector<ColumnReport>& columns) override;
  std::size_t scratch(Index width, const void* planned) const override;
  void watch(std::function<void(double share)> look) override { look_ = std::move(look); }

  /// Steps whose directions are kept, and vectors of p numbers that a column of the block takes in all.
  static constexpr Index kKeptSteps = 8, kVectors = 4 + 2 * kKeptSteps;

 private:
  struct Block {
    MatrixView<T> basis, directions, products, room;  // [width][p]: Q, P, (H + damping·I) P
    MatrixView<T> kept_p, kept_w;                     // [kKeptSteps·width][p] directions of the first steps, products
    double* small = nullptr;                          // [width][kKeptSteps·width]
    Index width = 0;
  };
  void carve(Workspace& w, Block& block, Index width) const;
  void reserve(Index width);
  SmallMatrix gram(MatrixView<const T> a, MatrixView<const T> b);
  /// out ← C·x + b·out.
  void combine(const SmallMatrix& coefficients, MatrixView<const T> x, double b, MatrixView<T> out);
  /// Makes the first m rows of the basis, which are R, an orthonormal one of their span to rounding; returns F, [rank][m],
  /// with R = Fᵀ·basis.
  SmallMatrix orthonormalize(Index m);
  /// One pass of that.
  SmallMatrix spread(Index m, double smallest);
  /// Keeps P and W of a step and (PᵀW)⁻¹ while there is room.
  void keep(const SmallMatrix& alpha);
  /// G·(PᵀW)⁻¹ of the kept directions, for products G of some vectors with them.
  SmallMatrix along_kept(SmallMatrix g) const;
  /// Makes the first rows of the basis, of residuals with coefficients c, orthogonal to the kept directions; corrections
  /// follow.
  void project(const SmallMatrix& c, MatrixView<T> corrections);
  /// Makes the first m directions conjugate to the kept ones.
  void conjugate(Index m);
  struct Quotients {  // of Rayleigh, of directions
    double smallest = std::numeric_limits<double>::infinity(), largest = -smallest;
  };
  void meet(const SmallMatrix& curvature, Quotients& met);
  /// What all of the directions' curvatures say where they are not positive.
  void refuse(const SmallMatrix& curvature, Quotients met, std::vector<ColumnReport>& columns);

  HessianOperator<T> hessian_;
  Index max_iterations_;
  Workspace memory_;
  Block block_;
  std::vector<SmallMatrix> kept_;  // (PᵀW)⁻¹ of each kept step
  Index kept_rows_ = 0;
  std::function<void(double share)> look_;
};

/// A ready solver: block CG in precision T, certified in double. `fast` and `exact` are the same objective at the same θ.
template <class T>
std::unique_ptr<Solver> make_block_conjugate_gradient(Objective<T>& fast, Objective<double>& exact, double damping,
                                                      double tolerance, Index max_iterations = 10'000,
                                                      Progress progress = {});

}  // namespace clout
