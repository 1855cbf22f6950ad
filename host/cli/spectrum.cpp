// spectrum: all eigenvalues of the Hessian, and what follows from them for solves.

#include <clout/engine/spectrum.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/cli/verbs.hpp>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;

void run_spectrum(const Invocation& call) {
  const Options& o = call.options;
  if (o.is_single()) throw InvalidInput("--precision single: eigenvalues are in double; expected double");
  check_writable(o);
  Problem problem(o, call.command_line);
  require_explicit(problem.parameters());
  const Spectrum spectrum = clout::spectrum(problem.objective<double>(), problem.progress());
  Facts facts{{"parameters", problem.parameters()},
              {"smallest", spectrum.smallest()},
              {"largest", spectrum.largest()},
              {"trace", spectrum.trace()},
              {"negative", spectrum.negative()},
              {"positive", spectrum.positive()},
              {"rounding", spectrum.rounding},
              {"positive_definite", spectrum.is_positive_definite()},
              {"advised_damping", spectrum.advised_damping()}};
  Facts all = facts;
  all["eigenvalues"] = spectrum.eigenvalues;
  io::ResultFiles results;
  results.add(o.out, all.dump(2) + "\n");
  problem.manifest().write(results, io::manifest_beside(o.out));
  results.commit();
  facts["written"] = o.out;
  print_facts(o, facts);
}

}  // namespace

void add_spectrum(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(app, "spectrum", "all eigenvalues of the Hessian, and the damping that makes it positive definite",
                           "clout spectrum --model convnet --l2 0.001 --x x.npy --y y.npy --params params.npy --out "
                           "spectrum.json",
                           run_spectrum, chosen);
  add_common(sub, o);
  add_model(sub, o);
  add_data(sub, o, true);
  add_curvature(sub, o);
  add_out(sub, o, "the .json file to write");
}

}  // namespace clout::cli
