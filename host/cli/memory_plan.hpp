#pragma once
// How much device memory a job will take, known before it starts.

#include <clout/host/cli/problem.hpp>

namespace clout::cli {

/// Bytes, at most.
struct MemoryPlan {
  std::size_t data = 0;            ///< in use already: the data, the model
  std::size_t solver = 0;          ///< of solving (H + damping·I)s = v, a factor included
  std::size_t scoring = 0;         ///< beside that
  std::size_t without_factor = 0;  ///< the sum, were the solver cg

  std::size_t total() const { return data + solver + scoring; }
  /// The parts in whole MiB that add up to mebibytes(total()): each may be less than 1 too small or too large.
  struct Mebibytes {
    std::size_t data, solver, scoring;
  };
  Mebibytes in_mebibytes() const;
};

/// Of solving, in working precision T, with --solver.
template <class T>
std::size_t solver_memory(const std::string& solver, const Options& options, Objective<T>& fast,
                          const Objective<double>& exact);

/// Of influence on test examples with `width` numbers for each pair (and, with --second-order, the inverse that takes).
template <class T>
MemoryPlan influence_plan(Problem& problem, const Objective<double>& test, Index width);
/// Of self-influence.
template <class T>
MemoryPlan self_influence_plan(Problem& problem);

/// Throws OutOfMemory, before anything is computed, where the plan is beyond --memory-limit or the device's free
/// memory.
void require_memory(const std::string& verb, const MemoryPlan& plan, const Device& device);

/// In whole MiB, rounded up.
std::size_t mebibytes(std::size_t bytes);

}  // namespace clout::cli
