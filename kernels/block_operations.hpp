#pragma once
// The contract of the operations on blocks of few long vectors, and of block conjugate gradients: as in operations.hpp.

#include <clout/kernels/operations.hpp>

namespace clout {

/// products[i][j] = a_i · b_j, in double.
template <class T>
struct BlockProducts {
  MatrixView<const T> a, b;    // [k][p], [m][p]
  double* products = nullptr;  // [k][m], device memory
};

/// out ← C·x + b·out, in double, rounded once. x and out share no memory.
template <class T>
struct BlockCombine {
  MatrixView<const T> x;                 // [m][p]
  const double* coefficients = nullptr;  // C, [k][m], device memory
  double b = 0;
  MatrixView<T> out;                     // [k][p]
};

/// Block conjugate gradients (BCGrQ, Dubrulle 2001) with m directions P for k right-hand sides: everything small. The
/// residuals are Q·C with an orthonormal basis Q, [m][p] like P and W = (H + damping·I)P. Matrices are row-major, in double;
/// all pointers are device memory.
///
/// Directions of the first steps may be kept, in slots of `kept_width` vectors: later ones stay conjugate to them. Empty
/// slots, and what a slot has beyond its directions, are zeros.
struct BlockGradientState {
  static constexpr Index kKeptSteps = 8;
  /// A direction that differs from those before it by a smaller square, as a part of its own, is one of them but for rounding.
  static constexpr double kDependent = 1e-7;
  /// What is left of the square of a vector of the first pass's basis, 1 but for rounding, where it is rounding itself.
  static constexpr double kRounding = 1e-2;
  Index rank = 0;                      // m
  Index columns = 0;                   // k
  Index kept_width = 0;                // vectors in a slot
  double least = 0;                    // part of the largest basis vector, or curvature, below which one is rounding
  double* coefficients = nullptr;      // [m][k] C
  double* curvature = nullptr;         // [m][m] PᵀW of the step, set by the caller
  double* lengths = nullptr;           // [m][m] PᵀP likewise
  double* gram = nullptr;              // [m][m], or with the kept vectors [m][kKeptSteps·kept_width], likewise
  double* work = nullptr;              // [m][m]
  double* factor = nullptr;            // [m][m] N, where N·P is orthonormal; or L of Q = L·(the basis of the first pass)
  double* inverse = nullptr;           // [m][m] what makes the basis of a pass of the one before
  double* step = nullptr;              // [m][m] S: directions are Q′ + S·P, coefficients S·C
  double* to_corrections = nullptr;    // [k][m], or [k][kKeptSteps·kept_width]: of P, or of kept vectors, to the corrections
  double* to_block = nullptr;          // [m][m], or [m][kKeptSteps·kept_width]: of W, or of kept vectors, to Q or P
  double* kept_inverses = nullptr;     // [kKeptSteps][kept_width][kept_width] (PᵀW)⁻¹ of kept steps
  std::int32_t* kept = nullptr;        // [1] how many slots are filled
  std::int32_t* moves = nullptr;       // [1] whether the step was one: 0 where curvature is not positive or nothing runs
  double* quotients = nullptr;         // [2] smallest and largest quotient of Rayleigh so far
  double* norms = nullptr;             // [k] of the residuals
  double* targets = nullptr;           // [k] converged where norm ≤ target
  std::int32_t* status = nullptr;      // [k] ColumnStatus
  std::int32_t* iterations = nullptr;  // [k]
};

/// Slot number `kept` ← P and W, if there is one and the step moves.
template <class T>
struct BlockKeep {
  MatrixView<const T> p, w;        // [m][p]
  MatrixView<T> kept_p, kept_w;    // [kKeptSteps·kept_width][p]
  BlockGradientState state;
};

}  // namespace clout
