#pragma once
// What every experiment of `reproduce` has: a folder for its results, a device, a record of what went in, and an end.

#include <chrono>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/host/progress.hpp>
#include <memory>
#include <vector>

namespace clout::reproduce {

/// Seconds since it was made or last asked.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// What was asked for: every option that changes an experiment's results, but for the device. Stands in the manifest,
/// so that `all --resume` can tell whether results are those of its own request.
nlohmann::ordered_json request_of(const cli::Options& options);

/// An experiment derives from it.
class ExperimentRun {
 protected:
  /// `results`: names of all files that the figure's runs write, one some, another others. Throws InvalidInput, before
  /// anything long is begun, where they cannot be written or no figure be drawn.
  ExperimentRun(const cli::Invocation& call, std::initializer_list<const char*> results);

  const Progress& progress() const { return bar_.callback(); }
  /// --data, where it is given.
  std::optional<std::filesystem::path> data_folder() const;
  /// NAME.journal. Its request, in this order: `request`, what every run has, `more`.
  io::Journal open_journal(const std::string& name, nlohmann::ordered_json request,
                           const nlohmann::ordered_json& more = nlohmann::ordered_json::object());
  /// Adds summary.json, writes everything, draws the figure of that name (draw_figure), and prints the facts.
  void finish(io::ResultFiles& results, nlohmann::ordered_json facts, const std::string& figure,
              const std::vector<std::string>& arguments);

  const cli::Options& options_;
  cli::OutputFolder folder_;
  std::unique_ptr<Device> device_;
  io::Manifest manifest_;
  ProgressBar bar_;
  Stopwatch watch_;
  nlohmann::ordered_json seconds_;
};

}  // namespace clout::reproduce
