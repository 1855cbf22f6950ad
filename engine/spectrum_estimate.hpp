#pragma once
// The ends of a Hessian's spectrum and its trace, by products alone: for any number of parameters.

#include <clout/engine/lanczos.hpp>
#include <clout/engine/spectrum.hpp>

namespace clout {

struct SpectrumOptions {
  Index most_steps = 300;     ///< of Lanczos; p, or what the memory limit has room for, where that is less
  double tolerance = 1e-6;    ///< of both ends' error bounds, relative to the largest eigenvalue's size
  Index most_probes = 256;    ///< of the trace
  double trace_error = 0.01;  ///< standard error that ends probing, relative to the trace
  std::uint64_t seed = 0;
};

/// Hutchinson's estimate of tr H, unbiased (Hutchinson 1990), with what Lanczos knows taken out: tr(VᵀHV) + the mean of
/// zᵀPHPz over random signs z, P = I − VVᵀ. That is Hutch++ (Meyer, Musco, Musco & Woodruff 2021) with the subspace
/// that is there already in the place of a sketch.
struct TraceEstimate {
  double value = 0;
  double standard_error = 0;  ///< from the spread over the probes; 0 where V is everything
  double within = 0;          ///< tr(VᵀHV), exact
  Index probes = 0;           ///< products with one vector
};

struct SpectrumEstimate {
  /// Rayleigh quotients of the ends' Ritz vectors, recomputed with a product of their own, and the norms of what they
  /// leave, ‖Hy − θy‖: some eigenvalue is as near as that.
  double smallest = 0, smallest_error = 0, largest = 0, largest_error = 0;
  /// No eigenvalue lies below, none above, except each with the probability kDoubt over the start vectors.
  double at_least = 0, at_most = 0;
  Index negative_at_least = 0;  ///< eigenvalues below −rounding: as many as Ritz values, by interlacing
  double rounding = 0;          ///< nearer to zero than this counts as zero
  bool is_converged = false;    ///< both errors within tolerance, and the smallest's small beside it
  Index steps = 0, products = 0;
  RitzValues ritz;
  TraceEstimate trace;

  static constexpr double kDoubt = 1e-9;

  SpectrumEnds ends() const;
};

/// Of H + damping·I as `hessian` has it. Holds most_steps + 1 vectors and a block of probes; the same seed gives the
/// same bits. Throws NotCertified where a product is not finite, and OutOfMemory where not even two steps fit.
SpectrumEstimate estimate_spectrum(HessianOperator<double> hessian, const SpectrumOptions& options = {},
                                   const Progress& progress = {});

/// ε with which m steps from a random start leave (λ_max − θ_max)/(λ_max − λ_min) above ε with a probability of `doubt`
/// at most: 1.648 √p e^(−√ε (2m − 1)) (Kuczyński & Woźniakowski 1992, theorem 4.2); 1 where they say nothing.
double lanczos_doubt(Index steps, Index parameters, double doubt);

}  // namespace clout
