#pragma once
// The record beside every result: what was run, on what, with which inputs, and when.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clout::io {

class ResultFiles;

/// "2026-01-31T23:59:59Z"
std::string utc_text(std::chrono::system_clock::time_point time);

/// Where the manifest of the output file `output` belongs: FILE.manifest.json.
std::filesystem::path manifest_beside(const std::filesystem::path& output);

class Manifest {
 public:
  struct Run {
    std::string version;                    ///< of clout
    std::vector<std::string> command_line;  ///< the program's name first
    std::optional<std::uint64_t> seed;
    std::string device;                                          ///< "cpu", "cuda:0"
    std::string precision;                                       ///< "double" or "single"
    std::string cpu;                                             ///< the host processor's model
    std::vector<std::pair<std::string, std::string>> libraries;  ///< name, version
  };

  /// The start time is now.
  explicit Manifest(Run run);

  /// Records path, size in bytes and SHA-256 of a file that the run reads. A path given twice stands once. Throws
  /// InvalidInput where it cannot be read.
  void add_input(const std::filesystem::path& path);

  /// A fact of this run beside the usual ones; stands before the times. A key set twice keeps the last value.
  void set(std::string_view key, nlohmann::ordered_json value);

  /// The end time is now, unless it is set already.
  void finish();

  /// "finished" is null before finish().
  nlohmann::ordered_json to_json() const;

  /// finish(), and writes the JSON, indented by 2 (see AtomicFile).
  void write(const std::filesystem::path& path);
  /// The same as one of `files`; "results" are the names of those that were added before.
  void write(ResultFiles& files, const std::filesystem::path& path);

 private:
  std::string finished_text();

  Run run_;
  nlohmann::ordered_json inputs_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json facts_ = nlohmann::ordered_json::object();
  std::chrono::system_clock::time_point started_;
  std::optional<std::chrono::system_clock::time_point> finished_;
};

}  // namespace clout::io
