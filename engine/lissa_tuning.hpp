#pragma once
// What LiSSA's steps must be like, read off the Hessian: no parameter has to be guessed.

#include <clout/engine/hessian_operator.hpp>
#include <clout/engine/solve_report.hpp>

namespace clout {

/// Repeats where none are given: the fewest that show a spread.
inline constexpr Index kLissaRepeats = 2;
inline constexpr Index kLissaLanczosSteps = 12;
inline constexpr Index kLissaMostBatch = 1024;  // unasked: where more would help, σ is larger instead

/// What the choice rests on.
struct LissaSpectrum {
  double largest = 0;   ///< eigenvalue of H + damping·I
  double smallest = 0;  ///< eigenvalue of H + damping·I that the right-hand sides may have a part in
  double noise =
      0;  ///< mean trace of an example's Hessian, or its root mean square Frobenius norm where that is larger
  Index products = 0;  ///< Hessian products that it took
};

/// Mean trace of an example's Hessian, or its root mean square Frobenius norm where that is larger: Hutchinson's
/// estimate on examples drawn at random, each with a vector of its own. Where the objective has_batch_products().
template <class T>
double example_noise(Objective<T>& objective, std::uint64_t seed);
/// Bytes of device memory that takes.
template <class T>
std::size_t noise_memory(const Objective<T>& objective);

/// Measures H + damping·I: its extreme eigenvalues by a few steps of Lanczos from a random vector and from some
/// right-hand sides ([k][p], of norm 1), the noise on a sample of examples. Where H + damping·I is found not positive
/// definite, or not finite, every running column of `columns` is given up, with the quotient that was met.
template <class T>
LissaSpectrum measure_spectrum(const HessianOperator<T>& hessian, MatrixView<const T> right_hand_sides,
                               std::uint64_t seed, std::vector<ColumnReport>& columns);

/// σ for batches of b. s ← s + (v − (H_B + damping·I)s)/σ keeps its mean square bounded for σ > λ_max/2 + tr/(2b)
/// (math.md); this is λ_max/2 + 1.75 tr/(2b), and 1.1 λ_max/2 at least.
double lissa_scale(const LissaSpectrum& spectrum, Index batch);

/// Steps after which a round leaves about a quarter of the residual: their first half forgets the start (to a tenth, in
/// the flattest direction), the average of the second half, over r repeats, has little noise left.
Index lissa_depth(const LissaSpectrum& spectrum, double scale, Index batch, Index repeats);

/// Passes over the data, in batches and in full, that a right-hand side may take to `tolerance`, with that batch and
/// depth and rounds that leave a quarter each.
double lissa_passes(const LissaSpectrum& spectrum, Index examples, Index repeats, double tolerance);

/// b, so that noise adds a quarter to σ: larger batches would hardly allow longer steps.
Index lissa_batch(const LissaSpectrum& spectrum, Index examples);

}  // namespace clout
