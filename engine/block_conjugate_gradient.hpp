#pragma once
// Conjugate gradients for right-hand sides that share their directions: BCGrQ (Dubrulle 2001), with the block's rank.

#include <clout/engine/device_loop.hpp>
#include <clout/engine/solver.hpp>
#include <clout/kernels/block_operations.hpp>
#include <clout/kernels/workspace.hpp>

namespace clout {

/// Block CG as the inner solver of a CertifiedSolver. The residuals R = C·Q are kept as an orthonormal basis Q, [m][p], with
/// coefficients; a column is done where its part of C is small. Directions that the block's residuals have lost to rounding
/// become zeros. Where a block meets curvature that is not positive, its columns are solved one by one: each ends for itself.
///
/// Every step takes a product with each direction, and all columns gain by all of them: 8 to 32 columns take a quarter to a
/// half of the products of as many separate solves. The loop is the device's, small matrices and the judging of columns
/// included. The directions of the first steps are kept: later ones stay conjugate to them, and so do those of later rounds
/// for the same right-hand sides.
template <class T>
class BlockConjugateGradient : public Correction<T> {
 public:
  BlockConjugateGradient(HessianOperator<T> hessian, Index max_iterations)
      : hessian_(hessian), max_iterations_(max_iterations) {
    require(max_iterations > 0, "block conjugate gradients: the iteration limit must be positive");
  }
  BlockConjugateGradient(const BlockConjugateGradient&) = delete;
  BlockConjugateGradient& operator=(const BlockConjugateGradient&) = delete;

  std::string name() const override { return "block-cg"; }
  Index products() const override { return hessian_.products(); }
  void correct(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
               std::vector<ColumnReport>& columns) override;
  std::size_t scratch(Index width, const void* planned) const override;
  void watch(std::function<void(double share)> look) override { look_ = std::move(look); }

  /// Vectors of p numbers that a column of the block takes in all, and at most so many squares of the block's width.
  static constexpr Index kVectors = 4 + 2 * BlockGradientState::kKeptSteps;
  static constexpr Index kMatrices = 8 + 4 * BlockGradientState::kKeptSteps;

 private:
  struct Block {
    MatrixView<T> x;                                  // [k][p] corrections, the caller's
    MatrixView<T> basis, directions, products, room;  // [m][p]: Q, P, (H + damping·I) P
    MatrixView<T> kept_p, kept_w;                     // [kKeptSteps·m][p] directions of the first steps, products
    BlockGradientState small;
  };
  void carve(Workspace& w, Block& block, Index width) const;
  void reserve(Index width);
  /// The block at the start of a correction: C = I, Q = R.
  Block begin(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
              const std::vector<ColumnReport>& columns);
  void forget(const Block& block);
  /// A correction, with the kept directions or without.
  Block run(MatrixView<const T> residuals, const std::vector<double>& targets, MatrixView<T> corrections,
            const std::vector<ColumnReport>& columns, bool goes_on);
  /// Which columns ran, `columns` as they were before, and ended without an answer.
  std::vector<std::size_t> failures(const Block& block, const std::vector<ColumnReport>& columns);
  /// Leaves out the basis vectors that are zero.
  void pack(Block& block);

  // What a step is made of: kernels alone.
  void step(const Block& block);
  /// Q − W α and X + P α C; the directions are kept while there is room.
  void move(const Block& block);
  /// Makes Q orthogonal to the kept directions; corrections follow.
  void project(const Block& block);
  /// Makes Q orthonormal; C follows, and columns are judged.
  void orthonormalize(const Block& block);
  /// Makes P conjugate to the kept directions.
  void conjugate(const Block& block);
  void products_of(MatrixView<const T> a, MatrixView<const T> b, double* out);

  void show_loop(const Block& block);
  double share_done(const Block& block);
  void report(const Block& block, std::vector<ColumnReport>& columns);
  /// What all of the directions' curvatures say where they are not positive.
  void refuse(const Block& block, std::vector<ColumnReport>& columns);

  HessianOperator<T> hessian_;
  Index max_iterations_;
  Workspace memory_;
  Block block_;  // for the largest width so far
  Index width_ = 0, kept_width_ = 0;
  Block shown_;  // what the loop was shown
  std::unique_ptr<Loop> loop_;
  std::function<void(double share)> look_;
};

/// A ready solver: block CG in precision T, certified in double. `fast` and `exact` are the same objective at the same θ.
template <class T>
std::unique_ptr<Solver> make_block_conjugate_gradient(Objective<T>& fast, Objective<double>& exact, double damping,
                                                      double tolerance, Index max_iterations = 10'000,
                                                      Progress progress = {});

}  // namespace clout
