#pragma once
// What a spectrum means for a solve, in words.

#include <clout/engine/objective.hpp>
#include <clout/engine/solve_advice.hpp>
#include <clout/host/cli/options.hpp>
#include <nlohmann/json.hpp>

namespace clout::cli {

struct SpectrumAdvice {
  /// advised_damping, sure_damping, condition, cg_products, direct_products, lissa_passes and one line each:
  /// definiteness, damping_advice, solver_advice. null: not known, or not there.
  nlohmann::ordered_json facts;
  /// What the solvers cost where a product takes so many seconds.
  nlohmann::ordered_json in_seconds(double product) const;
};

/// For solves to --tolerance's default with H of `objective`.
SpectrumAdvice advise(const SpectrumEnds& ends, Objective<double>& objective, const Options& options);

}  // namespace clout::cli
