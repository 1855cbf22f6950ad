#pragma once
// The solver that the options ask for.

#include <clout/engine/block_conjugate_gradient.hpp>
#include <clout/engine/conjugate_gradient.hpp>
#include <clout/engine/curvature_preconditioners.hpp>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/lissa.hpp>
#include <clout/host/cli/problem.hpp>
#include <nlohmann/json.hpp>

namespace clout::cli {

inline void require_explicit(Index parameters) {
  require(parameters <= kMostDirectParameters,
          "an explicit Hessian of " + std::to_string(parameters) + " parameters; expected at most " +
              std::to_string(kMostDirectParameters) + " (--solver cg has no such limit)");
}

template <class T>
std::shared_ptr<const HessianFactor<T>> make_factor(Problem& problem, double damping) {
  require_explicit(problem.parameters());
  return std::make_shared<HessianFactor<T>>(problem.objective<T>(), damping, problem.progress());
}

/// --preconditioner; null for none.
template <class T>
std::shared_ptr<Preconditioner<T>> make_preconditioner(const Options& o, HessianOperator<T> hessian) {
  if (o.preconditioner == "nystrom") return std::make_shared<NystromPreconditioner<T>>(hessian, o.rank, o.seed);
  if (o.preconditioner == "jacobi") return std::make_shared<JacobiPreconditioner<T>>(hessian);
  if (o.preconditioner == "kronecker") return std::make_shared<KroneckerPreconditioner<T>>(hessian);
  return nullptr;
}

/// --solver, in working precision T, as the inner solver of a CertifiedSolver: any but direct.
template <class T>
std::unique_ptr<Correction<T>> make_correction(const std::string& solver, const Options& o, HessianOperator<T> hessian,
                                               Progress progress = {}) {
  if (solver == "lissa")
    return std::make_unique<Lissa<T>>(hessian,
                                      LissaOptions{.scale = o.scale,
                                                   .depth = o.depth,
                                                   .batch = o.batch_size,
                                                   .repeats = o.repeats,
                                                   .published = o.published,
                                                   .seed = o.seed},
                                      std::move(progress));
  if (solver == "block-cg") return std::make_unique<BlockConjugateGradient<T>>(hessian, o.max_iterations);
  return std::make_unique<ConjugateGradient<T>>(hessian, o.max_iterations, make_preconditioner<T>(o, hessian));
}

/// --solver, in working precision T, certified in double to `tolerance`, for one objective in both precisions.
template <class T>
std::unique_ptr<Solver> make_solver(Problem& problem, Objective<T>& fast, Objective<double>& exact, double damping,
                                    double tolerance) {
  const Options& o = problem.options();
  if (o.solver == "direct") {
    require_explicit(problem.parameters());
    return make_direct_solver<T>(std::make_shared<HessianFactor<T>>(fast, damping, problem.progress()), exact, damping,
                                 tolerance, problem.progress());
  }
  auto inner = make_correction<T>(o.solver, o, HessianOperator<T>(fast, damping), problem.progress());
  return std::make_unique<CertifiedSolver<T>>(HessianOperator<double>(exact, damping), std::move(inner), tolerance,
                                              problem.progress());
}

/// The same for the problem's own objective, --damping and --tolerance.
template <class T>
std::unique_ptr<Solver> make_solver(Problem& problem) {
  const Options& o = problem.options();
  return make_solver<T>(problem, problem.objective<T>(), problem.objective<double>(), o.damping, o.tolerance);
}

/// Everything about the solver that changes a solution's bits: for fingerprints.
inline nlohmann::ordered_json solver_facts(const Options& o, const DeviceInfo& device) {
  nlohmann::ordered_json facts{{"solver", o.solver},       {"damping", o.damping},
                               {"curvature", o.curvature}, {"tolerance", o.tolerance},
                               {"precision", o.precision}, {"device", device.name + ", " + device.model}};
  if (o.solver == "direct") facts["threads"] = device.threads;  // LAPACK's bits depend on them
  else if (o.solver == "lissa")
    facts.update({{"scale", o.scale},         {"depth", o.depth},         {"batch_size", o.batch_size},
                  {"repeats", o.repeats},     {"published", o.published}, {"seed", o.seed}});
  else facts["max_iterations"] = o.max_iterations;
  // Right-hand sides that share their directions know of each other, and the limit says how many do.
  if (o.solver == "block-cg" && !o.memory_limit.empty()) facts["memory_limit"] = o.memory_limit;
  if (o.preconditioner != "none") facts["preconditioner"] = o.preconditioner;
  if (o.preconditioner == "nystrom") facts.update({{"rank", o.rank}, {"seed", o.seed}});
  if (o.preconditioner == "kronecker") facts["threads"] = device.threads;  // of LAPACK's eigenvectors likewise
  return facts;
}

/// Why --solver auto became what it is, among a run's facts.
inline void add_choice(nlohmann::ordered_json& facts, const Problem& problem) {
  if (!problem.solver_choice().empty()) facts["solver_choice"] = problem.solver_choice();
}

}  // namespace clout::cli
