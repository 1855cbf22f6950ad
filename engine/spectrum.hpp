#pragma once
// All eigenvalues of a Hessian: whether it is positive definite, and which damping makes it so.

#include <clout/engine/solve_advice.hpp>
#include <clout/engine/solver.hpp>

namespace clout {

struct Spectrum {
  std::vector<double> eigenvalues;  ///< of H, ascending: [p]
  double rounding = 0;              ///< eigenvalues are known to about this; nearer to zero they count as zero

  double smallest() const { return eigenvalues.front(); }
  double largest() const { return eigenvalues.back(); }
  double trace() const;
  Index negative() const;  ///< below −rounding
  Index positive() const;  ///< above rounding
  Index zero() const { return static_cast<Index>(eigenvalues.size()) - negative() - positive(); }  ///< within rounding
  bool is_positive_definite() const { return positive() == static_cast<Index>(eigenvalues.size()); }
  SpectrumEnds ends() const;
  double advised_damping() const { return ends().advised_damping(); }
};

/// By the explicit Hessian, in double on the objective's device: 8p² bytes.
Spectrum spectrum(Objective<double>& objective, const Progress& progress = {});

/// Of a Hessian that is assembled already and stays as it is, [p][p]: 8p² bytes beside it, given back.
Spectrum spectrum(Device& device, MatrixView<const double> hessian);

}  // namespace clout
