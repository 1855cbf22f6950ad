#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/host/cli/memory_plan.hpp>
#include <clout/host/cli/solvers.hpp>
#include <type_traits>

namespace clout::cli {
namespace {

// Columns beside the matrix that a library's factorisation may ask for.
constexpr Index kFactorColumns = 256;
constexpr Index kUnitVectors = 64;  // of the inverse that are on the device at once

std::size_t bytes(Index numbers, std::size_t each) { return static_cast<std::size_t>(numbers) * each; }

/// Of the certified inverse of a p × p Hessian, and of the examples' forms with it.
std::size_t inverse_memory(const Objective<double>& exact) {
  const Index p = exact.parameters();
  return bytes(p * p + kUnitVectors * p, sizeof(double)) + exact.leverage_memory();
}

}  // namespace

std::size_t mebibytes(std::size_t bytes) { return (bytes + (std::size_t{1} << 20) - 1) >> 20; }

MemoryPlan::Mebibytes MemoryPlan::in_mebibytes() const {
  const std::size_t first = mebibytes(data), second = mebibytes(data + solver);
  return {first, second - first, mebibytes(total()) - second};
}

namespace {

/// Of solving for `width` right-hand sides at a time.
template <class T>
std::size_t memory_of_width(const std::string& solver, const Options& options, Objective<T>& fast,
                            const Objective<double>& exact, Index width) {
  const Index p = exact.parameters();
  const std::size_t certified = bytes(width * p, 3 * sizeof(double) + 2 * sizeof(T)) + exact.working_memory(width);
  if (solver == "direct")
    return bytes(p * p, sizeof(T)) + std::max(certified, fast.hessian_memory() + bytes(kFactorColumns * p, sizeof(T)));
  const HessianOperator<T> hessian(fast, options.damping);
  return certified + fast.working_memory(width) + make_correction<T>(solver, options, hessian)->scratch(width, &fast);
}

/// Of objectives beside the problem's own, in both precisions: what they hold at θ, and X where bytes are not shared.
template <class T>
std::size_t second_objectives(Problem& problem, const Objective<double>& exact) {
  const Dataset<double>& data = problem.data();
  const Index n = exact.examples();
  std::size_t both = bytes(n * (2 * exact.classes() + 4) + exact.parameters(), sizeof(T) + sizeof(double));
  if (std::is_same_v<T, float> && !data.has_bytes()) both += bytes((data.is_sparse() ? 3 : 1) * n * data.features(), sizeof(T));
  return both;
}

/// Beside the solver's.
template <class T>
std::size_t influence_memory(Problem& problem, const Objective<double>& test, Index width) {
  const Options& o = problem.options();
  const Objective<double>& exact = problem.objective<double>();
  std::size_t scoring = Influence<T>::plan(problem.objective<T>(), test, width);
  if (!o.second_order) return scoring;
  // The Hessian without an example, or a set of them, belongs to objectives of its own.
  if (o.groups.empty()) scoring += inverse_memory(exact);
  return scoring + second_objectives<T>(problem, exact);
}

template <class T>
std::size_t self_influence_memory(const Objective<double>& exact) {
  const Index p = exact.parameters();
  if (has_shorter_self_influence(exact) && p <= kMostDirectParameters) return inverse_memory(exact);
  return bytes(2 * CertifiedSolver<T>::kBlock * p, sizeof(double)) + exact.working_memory(1);
}

template <class T>
MemoryPlan plan_beside(std::size_t scoring, Problem& problem, Index right_hand_sides) {
  choose_solver<T>(problem, right_hand_sides, scoring);
  const std::string& solver = problem.options().solver;
  MemoryPlan plan{.data = problem.device().used_memory(), .scoring = scoring};
  plan.solver = solver_memory<T>(solver, problem, right_hand_sides, scoring);
  plan.without_factor = plan.data + scoring + solver_memory<T>("cg", problem, right_hand_sides, scoring);
  return plan;
}

}  // namespace

template <class T>
std::size_t solver_memory(const std::string& solver, Problem& problem, Index right_hand_sides, std::size_t beside) {
  const std::size_t taken = problem.device().used_memory() + beside, limit = problem.device().memory_limit();
  for (Index width = std::min(right_hand_sides, CertifiedSolver<T>::kBlock);; width = (width + 1) / 2) {
    const std::size_t needed =
        memory_of_width<T>(solver, problem.options(), problem.objective<T>(), problem.objective<double>(), width);
    if (width == 1 || taken + needed <= limit) return needed;
  }
}

template <class T>
void choose_solver(Problem& problem, Index right_hand_sides, std::size_t beside) {
  problem.choose_solver(right_hand_sides, beside + solver_memory<T>("direct", problem, right_hand_sides, beside));
}
template void choose_solver<float>(Problem&, Index, std::size_t);
template void choose_solver<double>(Problem&, Index, std::size_t);

template <class T>
MemoryPlan influence_plan(Problem& problem, const Objective<double>& test, Index width, Index right_hand_sides) {
  return plan_beside<T>(influence_memory<T>(problem, test, width), problem, right_hand_sides);
}
template MemoryPlan influence_plan<float>(Problem&, const Objective<double>&, Index, Index);
template MemoryPlan influence_plan<double>(Problem&, const Objective<double>&, Index, Index);

template <class T>
MemoryPlan self_influence_plan(Problem& problem) {
  const Objective<double>& exact = problem.objective<double>();
  const Index count = has_shorter_self_influence(exact) ? exact.parameters() : exact.examples();
  return plan_beside<T>(self_influence_memory<T>(exact), problem, count);
}
template MemoryPlan self_influence_plan<float>(Problem&);
template MemoryPlan self_influence_plan<double>(Problem&);

void require_memory(const std::string& verb, const MemoryPlan& plan, const Device& device) {
  const std::size_t limit = device.memory_limit(), free = device.info().memory_available;
  const bool is_limited = plan.total() > limit;
  if (!is_limited && (free == 0 || plan.total() - plan.data <= free)) return;
  const MemoryPlan::Mebibytes parts = plan.in_mebibytes();
  std::string line = verb + ": " + std::to_string(mebibytes(plan.total())) + " MiB of device memory are needed (" +
                     std::to_string(parts.data) + " MiB data and model, " + std::to_string(parts.solver) +
                     " MiB solver, " + std::to_string(parts.scoring) + " MiB scores); " +
                     (is_limited ? "the memory limit is " + memory_in_words(limit)
                                 : memory_in_words(free) + " are free of " +
                                       memory_in_words(device.info().memory_total));
  if (plan.without_factor < plan.total())
    line += "; --solver cg needs " + std::to_string(mebibytes(plan.without_factor)) + " MiB";
  throw OutOfMemory(line);
}

}  // namespace clout::cli
