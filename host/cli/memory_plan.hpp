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

/// Of solving, in working precision T, with `solver` beside so many other bytes: of as many right-hand sides at a time
/// as the memory limit leaves room for, or of one.
template <class T>
std::size_t solver_memory(const std::string& solver, Problem& problem, Index right_hand_sides, std::size_t beside);

/// Makes a --solver auto the one that so many right-hand sides are worth, and the memory limit leaves room for beside so
/// many other bytes.
template <class T>
void choose_solver(Problem& problem, Index right_hand_sides, std::size_t beside = 0);

/// Of influence on test examples with `width` numbers for each pair (and, with --second-order, the inverse that takes),
/// and of self-influence. A --solver auto is chosen likewise.
template <class T>
MemoryPlan influence_plan(Problem& problem, const Objective<double>& test, Index width, Index right_hand_sides);
template <class T>
MemoryPlan self_influence_plan(Problem& problem);

/// Throws OutOfMemory, before anything is computed, where the plan is beyond --memory-limit or the device's free
/// memory.
void require_memory(const std::string& verb, const MemoryPlan& plan, const Device& device);

/// In whole MiB, rounded up.
std::size_t mebibytes(std::size_t bytes);

}  // namespace clout::cli
