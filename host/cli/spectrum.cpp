// spectrum: eigenvalues of the Hessian, all of them or both ends, and what follows from them for solves.

#include <chrono>
#include <clout/engine/spectrum_estimate.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/cli/spectrum_advice.hpp>
#include <clout/host/cli/verbs.hpp>
#include <cmath>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

/// By the memory limit alone: the same request is answered by the same method, run after run.
bool is_explicit(const Problem& problem, const Objective<double>& objective) {
  const Options& o = problem.options();
  if (o.method != "auto") return o.method == "explicit";
  const Index p = objective.parameters();
  const Device& device = objective.device();
  const std::size_t needed = static_cast<std::size_t>(p * p) * sizeof(double) + objective.hessian_memory();
  return p <= kMostDirectParameters && device.used_memory() + needed <= device.memory_limit();
}

Facts explicit_facts(const Spectrum& spectrum) {
  return {{"method", "explicit"},
          {"smallest", spectrum.smallest()},
          {"largest", spectrum.largest()},
          {"trace", spectrum.trace()},
          {"negative", spectrum.negative()},
          {"zero_within_rounding", spectrum.zero()},
          {"positive", spectrum.positive()},
          {"rounding", spectrum.rounding},
          {"positive_definite", spectrum.is_positive_definite()}};
}

Facts estimate_facts(const SpectrumEstimate& estimate) {
  const auto definiteness = estimate.ends().definiteness();
  Facts positive = nullptr;  // not known
  if (definiteness == SpectrumEnds::Definiteness::definite) positive = true;
  if (definiteness == SpectrumEnds::Definiteness::indefinite) positive = false;
  const auto number = [](double value) { return std::isfinite(value) ? Facts(value) : Facts(nullptr); };
  return {{"method", "lanczos"},
          {"smallest", estimate.smallest},
          {"smallest_error", estimate.smallest_error},
          {"largest", estimate.largest},
          {"largest_error", estimate.largest_error},
          {"converged", estimate.is_converged},
          {"steps", estimate.steps},
          {"at_least", number(estimate.at_least)},
          {"at_most", number(estimate.at_most)},
          {"doubt", SpectrumEstimate::kDoubt},
          {"trace", estimate.trace.value},
          {"trace_standard_error", number(estimate.trace.standard_error)},
          {"trace_within", estimate.trace.within},
          {"probes", estimate.trace.probes},
          {"products", estimate.products},
          {"negative_at_least", estimate.negative_at_least},
          {"rounding", estimate.rounding},
          {"positive_definite", positive}};
}

/// Seconds of one Hessian product, after one that takes its scratch.
double seconds_per_product(Objective<double>& objective) {
  const Index p = objective.parameters();
  Buffer<double> vector(objective.device(), p), product(objective.device(), p);
  vector.upload(std::vector<double>(static_cast<std::size_t>(p), 1.0));
  HessianOperator<double> hessian(objective, 0);
  hessian.apply(vector.view(1, p), product.view(1, p));
  objective.device().synchronize();
  const auto start = std::chrono::steady_clock::now();
  hessian.apply(vector.view(1, p), product.view(1, p));
  objective.device().synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run_spectrum(const Invocation& call) {
  const Options& o = call.options;
  if (o.is_single()) throw InvalidInput("--precision single: eigenvalues are in double; expected double");
  check_writable(o);
  Problem problem(o, call.command_line);
  Objective<double>& objective = problem.objective<double>();
  Facts facts{{"parameters", problem.parameters()}}, values;
  SpectrumEnds ends;
  if (is_explicit(problem, objective)) {
    require_explicit(problem.parameters());
    const Spectrum spectrum = clout::spectrum(objective, problem.progress());
    facts.update(explicit_facts(spectrum));
    values["eigenvalues"] = spectrum.eigenvalues;
    ends = spectrum.ends();
  } else {
    const SpectrumEstimate estimate = estimate_spectrum(
        HessianOperator<double>(objective, 0), {.most_steps = o.lanczos_steps, .seed = o.seed}, problem.progress());
    facts.update(estimate_facts(estimate));
    values["ritz_values"] = estimate.ritz.values;
    values["ritz_bounds"] = estimate.ritz.bounds;
    ends = estimate.ends();
  }
  const SpectrumAdvice advice = advise(ends, objective, o);
  facts.update(advice.facts);
  Facts all = facts;
  all.update(values);
  io::ResultFiles results;
  results.add(o.out, all.dump(2) + "\n");
  problem.manifest().write(results, io::manifest_beside(o.out));
  results.commit();
  // Times are said, not written: the same run gives the same file.
  facts.update(advice.in_seconds(seconds_per_product(objective)));
  facts["written"] = o.out;
  print_facts(o, facts);
}

}  // namespace

void add_spectrum(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(
      app, "spectrum", "eigenvalues of the Hessian: is it positive definite, which damping makes it so, which solver",
      "clout spectrum --model convnet --l2 0.001 --x x.npy --y y.npy --params params.npy --out "
      "spectrum.json",
      run_spectrum, chosen);
  add_common(sub, o);
  add_model(sub, o);
  add_data(sub, o, true);
  add_curvature(sub, o);
  sub.add_option(
         "--method", o.method,
         "explicit (all eigenvalues of the assembled Hessian), lanczos (both ends, by products), or auto: explicit "
         "where it fits")
      ->check(one_of({"auto", "explicit", "lanczos"}))
      ->capture_default_str();
  sub.add_option("--lanczos-steps", o.lanczos_steps, "most steps of Lanczos, each a product and a vector in memory")
      ->check(whole(2))
      ->capture_default_str();
  add_out(sub, o, "the .json file to write");
}

}  // namespace clout::cli
