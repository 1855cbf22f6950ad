#pragma once
// Which solver a job is worth: by counts of Hessian products, so that the same request is solved the same way everywhere.

#include <clout/engine/objective.hpp>
#include <string>

namespace clout {

struct SolverChoice {
  std::string name;    ///< "cg", "block-cg", "direct"
  std::string reason;  ///< in words, with the counts
};

/// What `right_hand_sides` solves to `tolerance` take: products that conjugate gradients need, as far as that can be said
/// beforehand, against those that the explicit Hessian and its factor are worth (Objective::factor_cost). At most
/// `most_direct` parameters are factorised, and where the memory limit leaves the `direct_bytes` that the job then takes.
template <class T>
SolverChoice choose_solver(const Objective<T>& objective, Index right_hand_sides, double tolerance, Index most_direct,
                           std::size_t direct_bytes);

}  // namespace clout
