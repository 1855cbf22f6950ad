#include <algorithm>
#include <clout/engine/block_conjugate_gradient.hpp>
#include <clout/engine/influence.hpp>
#include <clout/host/cli/memory_plan.hpp>
#include <clout/host/cli/solvers.hpp>

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

template <class T>
std::size_t solver_memory(const std::string& solver, const Options& options, Objective<T>& fast,
                          const Objective<double>& exact) {
  const Index p = exact.parameters(), block = CertifiedSolver<T>::kBlock;
  const std::size_t certified = bytes(block * p, 3 * sizeof(double) + 2 * sizeof(T)) + exact.working_memory(block);
  if (solver == "direct")
    return bytes(p * p, sizeof(T)) + std::max(certified, fast.hessian_memory() + bytes(kFactorColumns * p, sizeof(T)));
  if (solver == "block-cg")
    return certified + fast.working_memory(block) + bytes(BlockConjugateGradient<T>::kVectors * block * p, sizeof(T)) +
           bytes(BlockConjugateGradient<T>::kMatrices * block * block, sizeof(double));
  const auto preconditioner = make_preconditioner<T>(options, HessianOperator<T>(fast, options.damping));
  return certified + fast.working_memory(block) + (preconditioner ? preconditioner->scratch(block) : 0) +
         bytes((3 + 2 * ConjugateGradientState<T>::kKept) * block * p, sizeof(T)) +
         bytes(2 * options.max_iterations * block, sizeof(double));
}

template <class T>
MemoryPlan influence_plan(Problem& problem, const Objective<double>& test, Index width) {
  const Options& o = problem.options();
  Objective<T>& fast = problem.objective<T>();
  const Objective<double>& exact = problem.objective<double>();
  MemoryPlan plan;
  plan.data = problem.device().used_memory();
  plan.scoring = Influence<T>::plan(fast, test, width);
  if (o.second_order && fast.has_leverages())
    // The Hessian without an example belongs to objectives of their own, which share the data's bytes alone.
    plan.scoring += inverse_memory(exact) + bytes(exact.examples() * (2 * exact.classes() + exact.input_size() + 2),
                                                  sizeof(T) + sizeof(double));
  plan.solver = solver_memory<T>(o.solver, o, fast, exact);
  plan.without_factor = plan.data + plan.scoring + solver_memory<T>("cg", o, fast, exact);
  return plan;
}
template MemoryPlan influence_plan<float>(Problem&, const Objective<double>&, Index);
template MemoryPlan influence_plan<double>(Problem&, const Objective<double>&, Index);

template <class T>
MemoryPlan self_influence_plan(Problem& problem) {
  const Options& o = problem.options();
  Objective<T>& fast = problem.objective<T>();
  const Objective<double>& exact = problem.objective<double>();
  MemoryPlan plan;
  plan.data = problem.device().used_memory();
  plan.scoring =
      has_shorter_self_influence(exact)
          ? inverse_memory(exact)
          : bytes(2 * CertifiedSolver<T>::kBlock * exact.parameters(), sizeof(double)) + exact.working_memory(1);
  plan.solver = solver_memory<T>(o.solver, o, fast, exact);
  plan.without_factor = plan.data + plan.scoring + solver_memory<T>("cg", o, fast, exact);
  return plan;
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
