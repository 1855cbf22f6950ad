// The program `clout`: one line in, one exit code out.

#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/host/progress.hpp>
#include <clout/kernels/error.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>

namespace clout::cli {

CLI::App& add_verb(CLI::App& app, const std::string& name, const std::string& what, const std::string& example,
                   Run run, Run& chosen) {
  CLI::App& sub = *app.add_subcommand(name, what);
  sub.footer("Example:\n  " + example);
  sub.callback([run = std::move(run), &chosen] { chosen = run; });
  return sub;
}

namespace {

int fail(const Failure& failure) {
  std::fprintf(stderr, "clout: %s\n", failure.message.c_str());
  return static_cast<int>(failure.fault);
}

/// An option whose description begins with names of models or of solvers ("logistic, margin: …") is of those alone: given
/// with another, it would do nothing.
void expect_options_of(const CLI::App& verb, const std::string& choice, const std::string& chosen,
                       const std::vector<std::string>& choices) {
  for (const CLI::Option* option : verb.get_options()) {
    if (option->count() == 0) continue;
    const std::string what = option->get_description();
    std::string owners;
    for (std::size_t at = 0; owners.empty();) {
      const std::size_t end = what.find_first_of(",:", at);
      if (end == std::string::npos || std::ranges::find(choices, what.substr(at, end - at)) == choices.end() ||
          what.substr(at, end - at) == chosen)
        break;
      if (what[end] == ':') owners = what.substr(0, end);
      at = end + 2;
    }
    if (!owners.empty())
      throw InvalidInput(option->get_name() + ": is of " + choice + " " + owners + ", not of " + chosen);
  }
}

/// "" is no name of a file, and no number.
void expect_values(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options())
    for (const std::string& value : option->results())
      if (value.empty()) throw InvalidInput(option->get_name() + ": is empty; expected a value");
}

/// CLI11's words for what is often met, as all other refusals are worded: what, where, what was expected.
std::string usage_line(const CLI::ParseError& error) {
  const std::string line = error.what();
  const std::size_t colon = line.find(": ");
  if (colon == std::string::npos) return line;
  const std::string before = line.substr(0, colon), behind = line.substr(colon + 2);
  if (dynamic_cast<const CLI::ExtrasError*>(&error))
    return behind + ": not known here; expected the options of this verb";
  if (dynamic_cast<const CLI::ConversionError*>(&error)) {  // what takes a value has checked it before
    const std::size_t equals = behind.find(" = ");
    return behind.substr(0, equals) + ": is given a value; expected none";
  }
  if (!dynamic_cast<const CLI::ArgumentMismatch*>(&error)) return line;
  return before + (behind.ends_with("missing") ? ": has no value; expected one" : ": is given twice; expected one value");
}

/// CLI11 says only that a subcommand is required.
void expect_verb(const CLI::App& app, const std::string& word) {
  std::string known;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) {
    if (verb->get_name() == word) return;
    known += (known.empty() ? "" : ", ") + verb->get_name();
  }
  if (word.starts_with('-')) return;
  throw InvalidInput((word.empty() ? "no verb" : word + ": no such verb") + "; expected one of " + known);
}

/// The exit code of a run that went well, unless standard output did not take what was printed.
int printed() {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return 0;
  return fail(
      {Fault::input, "standard output: cannot be written; expected room for what is printed (result files are whole)"});
}

int run(int argc, char** argv) {
  CLI::App app("clout: which training points made the model predict this, and what would happen without them?");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("clout ") + CLOUT_VERSION);
  Invocation call;
  call.command_line.assign(argv, argv + argc);
  Run chosen;
  add_info(app, call.options, chosen);
  add_engine_verbs(app, call.options, chosen);
  add_spectrum(app, call.options, chosen);
  add_job_verbs(app, call.options, chosen);
  add_attack(app, call.options, chosen);
  add_audit(app, call.options, chosen);
  add_reproduce(app, call.options, chosen);
  add_count_words(app, call.options, chosen);
  try {
    expect_verb(app, argc > 1 ? argv[1] : "");
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    app.exit(request);
    return printed();
  } catch (const InvalidInput& error) {
    return fail(failure_of(error));
  } catch (const CLI::ParseError& error) {
    return fail(failure_of(InvalidInput(usage_line(error) + " (clout --help, clout VERB --help)")));
  }
  const CLI::App& verb = *app.get_subcommands().front();
  catch_interrupts();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit then is an error of the write, said in one line
  try {
    for (const CLI::Option* option : verb.get_options())
      if (option->count() > 0) call.options.given.insert(option->get_name());
    expect_values(verb);
    expect_options_of(verb, "--model", call.options.model, kModelNames);
    expect_options_of(verb, "--solver", call.options.solver, {"auto", "cg", "block-cg", "direct", "lissa"});
    if (call.options.is_given("--rank") && call.options.preconditioner != "nystrom")
      throw InvalidInput("--rank: is of --preconditioner nystrom; expected that too");
    chosen(call);
    return printed();
  } catch (const Interrupted& error) {
    const bool goes_on = verb.get_option_no_throw("--resume") != nullptr && holds_unfinished_work(call.options);
    const char* left = goes_on ? "; what was finished is kept, --resume goes on" : "; nothing was written";
    return fail({error.fault(), std::string(error.what()) + left});
  } catch (const std::exception& error) {
    return fail(failure_of(error));
  }
}

}  // namespace
}  // namespace clout::cli

int main(int argc, char** argv) { return clout::cli::run(argc, argv); }
