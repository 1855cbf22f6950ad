#include <algorithm>
#include <clout/engine/hessian_operator.hpp>
#include <clout/engine/solver_choice.hpp>
#include <cmath>

namespace clout {
namespace {

// Products for each right-hand side and decimal digit, as all of MNIST takes them (docs/results/block-cg-2026-11-27.txt):
// 8.3 by separate iterations; to ten digits 3.7 by blocks of 8, 2.8 of 16, 2.2 of 32, which is close to 7/∛k.
constexpr double kProductsPerDigit = 8.3, kOfBlock = 7;
// Blocks of fewer right-hand sides gain less by their directions than their small matrices cost.
constexpr Index kLeastBlock = 4;

std::string rounded(double value) { return std::to_string(static_cast<long long>(std::llround(value))); }

}  // namespace

template <class T>
SolverChoice choose_solver(const Objective<T>& objective, Index right_hand_sides, double tolerance, Index most_direct,
                           std::size_t direct_bytes) {
  const Index block = std::min(right_hand_sides, HessianOperator<T>::kBlock), p = objective.parameters();
  const bool shares = block >= kLeastBlock;
  const double digits = std::max(1.0, -std::log10(tolerance)), count = static_cast<double>(right_hand_sides);
  const double each = shares ? kOfBlock / std::cbrt(static_cast<double>(block)) : kProductsPerDigit;
  const double iterated = count * digits * each;
  const double factorised = objective.factor_cost() + count;  // each solution is certified by a product
  SolverChoice choice{.name = shares ? "block-cg" : "cg", .reason = {}};
  choice.reason = std::to_string(right_hand_sides) + (right_hand_sides == 1 ? " right-hand side takes" : " right-hand sides take") + " some " +
                  rounded(iterated) + " Hessian products by " + choice.name + ", and a factor of the explicit Hessian is worth " + rounded(factorised);
  if (iterated <= factorised) return choice;
  const Device& device = objective.device();
  const std::size_t used = device.used_memory(), limit = device.memory_limit();
  if (p > most_direct) choice.reason += ", but more than " + std::to_string(most_direct) + " parameters are not factorised";
  else if (limit < used || limit - used < direct_bytes) choice.reason += ", but the " + std::to_string(direct_bytes) + " bytes that takes are beyond the memory limit";
  else choice.name = "direct";
  return choice;
}

template SolverChoice choose_solver(const Objective<float>&, Index, double, Index, std::size_t);
template SolverChoice choose_solver(const Objective<double>&, Index, double, Index, std::size_t);

}  // namespace clout
