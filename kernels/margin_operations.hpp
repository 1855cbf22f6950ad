#pragma once
// The operations of two-class margin models on the kernel table; conventions as in operations.hpp.

#include <clout/kernels/matrix_view.hpp>

namespace clout {

/// Losses of a margin m = y z, y = ±1 (math.md, "Margin losses").
enum class MarginLoss {
  logistic,      ///< log(1 + e^(−m))
  hinge,         ///< max(0, 1 − m); its first derivative at m = 1 is taken as 0, its second as 0 everywhere
  smooth_hinge,  ///< t log(1 + e^((1−m)/t))
};

template <class T>
struct MarginFunction {
  MarginLoss loss = MarginLoss::logistic;
  T temperature = 1;  // t > 0, of the smooth hinge
};

/// ℓ(y z), and what z has to do with it: dℓ/dz = y ℓ′(m), d²ℓ/dz² = ℓ″(m). Nothing overflows that T can hold: not at
/// |m| = 1e4, nor at t = 1e-6.  About 20 flops and an exponential a number.
template <class T>
struct MarginPass {
  MarginFunction<T> function;
  MatrixView<const T> outputs;           // [n][k] z
  const std::int32_t* labels = nullptr;  // [n]; 0: y = −1, 1: y = +1
  MatrixView<T> losses;                  // [n][k] or null
  MatrixView<T> slopes;                  // [n][k] or null; may be the same memory as outputs
  MatrixView<T> curvatures;              // [n][k] or null
};

/// dℓ/dz at a + z minus dℓ/dz at a, in place of z. Smooth losses lose no digit where z is small.
template <class T>
struct MarginDifference {
  MarginFunction<T> function;
  MatrixView<const T> outputs;           // [n][1] a
  const std::int32_t* labels = nullptr;  // [n]
  MatrixView<T> differences;             // [n][k] z, overwritten
};

/// Every row times its factor, in place.
template <class T>
struct ScaleRows {
  MatrixView<const T> factors;  // [n][1]
  MatrixView<T> rows;           // [n][k]
};

}  // namespace clout
