#include <clout/host/cli/problem.hpp>
#include <clout/host/io/sha256.hpp>
#include <clout/host/reproduce/all.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/run.hpp>

namespace clout::reproduce {
namespace {

namespace fs = std::filesystem;
using Facts = nlohmann::ordered_json;

enum class State { not_run, finished, failed };

const char* to_string(State state) {
  switch (state) {
    case State::finished:
      return "finished";
    case State::failed:
      return "failed";
    case State::not_run:
      break;
  }
  return "not run";
}

/// A whole object of JSON; null where the file is none.
Facts read_object(const fs::path& path) {
  std::error_code unknown;
  if (!fs::is_regular_file(path, unknown) || fs::file_size(path, unknown) == 0) return nullptr;
  Facts object = Facts::parse(io::read_text(path, "a JSON object"), nullptr, false);
  return object.is_object() ? object : Facts(nullptr);
}

/// Why results with this manifest are not those of `options`; empty where they are.
std::string difference(const Facts& manifest, const cli::Options& options, const Facts& device) {
  const Facts expected{
      {"version", CLOUT_VERSION}, {"device", device}, {"seed", options.seed}, {"request", request_of(options)}};
  for (const auto& [key, value] : expected.items()) {
    const Facts found = manifest.value(key, Facts());
    if (found != value) return key + " " + found.dump() + "; expected " + value.dump();
  }
  for (const Facts& input : manifest.at("inputs")) {
    const fs::path path = input.at("path").get<std::string>();
    std::error_code unknown;
    if (!fs::is_regular_file(path, unknown) || Facts(io::sha256_file(path)) != input.at("sha256"))
      return "an input " + io::display(path) + " that is not there any more or has changed; expected the same files";
  }
  return {};
}

/// The folder of `options` holds an experiment's whole results.
bool is_finished(const cli::Options& options, const Facts& device) {
  const fs::path folder(options.out);
  const Facts manifest = read_object(folder / "manifest.json"), summary = read_object(folder / "summary.json");
  if (manifest.is_null() || summary.is_null() || cli::holds_unfinished_work(options)) return false;
  std::string why;
  try {
    why = difference(manifest, options, device);
  } catch (const Facts::exception&) {
    return false;  // no manifest of ours
  }
  if (!why.empty())
    throw InvalidInput("--resume: " + io::display(folder) + " holds results of another request, with " + why +
                       ", or another --out");
  return true;
}

class AllExperiments {
 public:
  AllExperiments(const cli::Invocation& call, const std::vector<ExperimentCall>& experiments)
      : options_(call.options),
        experiments_(experiments),
        folder_(call.options, {"report.html", cli::kExperiments, "manifest.json"}),
        manifest_(cli::make_manifest(options_, call.command_line, *cli::open_device(options_))) {
    require_plotting();
    for (const ExperimentCall& each : experiments_) outcomes_.push_back(outcome_before(each.call.options));
  }

  void run();

 private:
  struct Outcome {
    State state;
    cli::Failure failure{};  // of one that failed
  };

  Outcome outcome_before(const cli::Options& options) const;
  /// Throws Interrupted and nothing else; the report then tells what was begun.
  Outcome attempt(const ExperimentCall& experiment) const;
  void say(std::size_t which, const std::string& what) const;
  void write_states() const;
  void finish();

  const cli::Options& options_;
  const std::vector<ExperimentCall>& experiments_;
  cli::OutputFolder folder_;
  io::Manifest manifest_;
  std::vector<Outcome> outcomes_;
};

AllExperiments::Outcome AllExperiments::outcome_before(const cli::Options& options) const {
  if (options_.resume) return {is_finished(options, manifest_.to_json()["device"]) ? State::finished : State::not_run};
  if (cli::holds_unfinished_work(options))
    throw InvalidInput("--out: " + io::display(options.out) +
                       " holds unfinished work; expected --resume to go on with it, or another --out");
  return {State::not_run};
}

AllExperiments::Outcome AllExperiments::attempt(const ExperimentCall& experiment) const {
  try {
    experiment.run(experiment.call);
    return {State::finished};
  } catch (const Interrupted&) {
    write_states();
    throw;
  } catch (const std::exception& error) {
    return {State::failed, cli::failure_of(error)};
  }
}

void AllExperiments::say(std::size_t which, const std::string& what) const {
  std::fprintf(stderr, "clout: %zu of %zu, %s: %s\n", which + 1, experiments_.size(), experiments_[which].name.c_str(),
               what.c_str());
}

void AllExperiments::write_states() const {
  Facts states = Facts::array();
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    states.push_back({{"name", experiments_[i].name}, {"state", to_string(outcomes_[i].state)}});
    if (outcomes_[i].state == State::failed)
      states.back().update(
          {{"exit_code", static_cast<int>(outcomes_[i].failure.fault)}, {"reason", outcomes_[i].failure.message}});
  }
  // A reason may hold any bytes; JSON may not.
  io::write_file(folder_ / cli::kExperiments,
                 Facts{{"experiments", states}}.dump(2, ' ', false, Facts::error_handler_t::replace) + "\n");
  write_report(folder_.path());
}

void AllExperiments::run() {
  const bool told = options_.progress.value_or(!options_.quiet);
  write_states();
  for (std::size_t i = 0; i < experiments_.size(); ++i) {
    check_interrupt();
    if (outcomes_[i].state == State::finished) {
      if (told) say(i, "finished before");
      continue;
    }
    if (told) say(i, "begins");
    Stopwatch watch;
    outcomes_[i] = attempt(experiments_[i]);
    if (outcomes_[i].state == State::failed) say(i, outcomes_[i].failure.message);
    else if (told) say(i, "finished in " + cli::number_text(watch.lap(), 3) + " s");
    write_states();
  }
  finish();
}

void AllExperiments::finish() {
  manifest_.write(folder_ / "manifest.json");
  Facts facts{{"figure", "all"}};
  std::string failed;
  Fault first{};
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    facts[experiments_[i].name] = to_string(outcomes_[i].state);
    if (outcomes_[i].state != State::failed) continue;
    if (failed.empty()) first = outcomes_[i].failure.fault;
    failed += (failed.empty() ? "" : ", ") + experiments_[i].name;
  }
  facts["report"] = (folder_ / "report.html").string();
  cli::print_facts(options_, facts);
  if (!failed.empty()) throw Error(first, "failed: " + failed + " (each with its reason above and in report.html)");
}

}  // namespace

void reproduce_all(const cli::Invocation& call, const std::vector<ExperimentCall>& experiments) {
  AllExperiments(call, experiments).run();
}

}  // namespace clout::reproduce
