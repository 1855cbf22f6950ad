#pragma once
// The verbs of the program. Each adds its sub-command and says what runs when it is chosen.

#include <clout/host/cli/options.hpp>
#include <functional>
#include <string>
#include <vector>

namespace clout::cli {

/// What a verb is given beside its options.
struct Invocation {
  Options options;
  std::vector<std::string> command_line;
};
using Run = std::function<void(const Invocation&)>;

/// What runs `body.operator()<T>(call)` with T as --precision says.
template <class Body>
Run in_precision(Body body) {
  return [body](const Invocation& call) {
    if (call.options.is_single()) body.template operator()<float>(call);
    else body.template operator()<double>(call);
  };
}

/// Adds a verb: its help text ends with `example`. `run` is remembered in `chosen` when the verb is on the line.
CLI::App& add_verb(CLI::App& app, const std::string& name, const std::string& what, const std::string& example,
                   Run run, Run& chosen);

void add_info(CLI::App& app, Options& options, Run& chosen);
void add_engine_verbs(CLI::App& app, Options& options, Run& chosen);
void add_spectrum(CLI::App& app, Options& options, Run& chosen);
void add_job_verbs(CLI::App& app, Options& options, Run& chosen);
void add_attack(CLI::App& app, Options& options, Run& chosen);
void add_audit(CLI::App& app, Options& options, Run& chosen);
void add_reproduce(CLI::App& app, Options& options, Run& chosen);
void add_count_words(CLI::App& app, Options& options, Run& chosen);

}  // namespace clout::cli
