#pragma once
// `reproduce all`: every experiment in a folder of its own, and one report of them.

#include <clout/host/cli/verbs.hpp>
#include <functional>
#include <string>
#include <vector>

namespace clout::reproduce {

/// One of the experiments: what it is given is what it would be given alone.
struct ExperimentCall {
  std::string name;  ///< of its folder in --out
  cli::Invocation call;
  std::function<void(const cli::Invocation&)> run;
};

/// Runs them one after the other, and writes experiments.json, report.html (anew after each) and manifest.json into the
/// --out of `call`. One that fails is told and left behind: when all have had their turn, an Error with the fault of
/// the first is thrown. With --resume those that are finished stay as they are. Throws InvalidInput, before anything is
/// run, where their results are another request's, or where there is unfinished work and no --resume.
void reproduce_all(const cli::Invocation& call, const std::vector<ExperimentCall>& experiments);

}  // namespace clout::reproduce
