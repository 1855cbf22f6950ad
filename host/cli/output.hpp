#pragma once
// What a verb says and writes when it is done.

#include <clout/engine/solve_report.hpp>
#include <clout/host/cli/options.hpp>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/journal.hpp>
#include <clout/host/io/manifest.hpp>
#include <clout/kernels/error.hpp>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>

namespace clout::cli {

/// The facts of a result: one short table on standard output, or with --json one object and nothing else.
void print_facts(const Options& options, const nlohmann::ordered_json& facts);

/// A solve's report: counts, and one entry per right-hand side.
nlohmann::ordered_json to_json(const SolveReport& report);

/// How LiSSA worked, for all columns together; empty for other solvers.
nlohmann::ordered_json lissa_facts(const SolveReport& report);

/// What ended a run: the exit code that stands for it, and the line that says it.
struct Failure {
  Fault fault;
  std::string message;
};
Failure failure_of(const std::exception& error);

/// Throws NotCertified unless the report is certified or --allow-uncertified is given; then it warns.
void settle(const Options& options, const SolveReport& report);

/// The result folder of --out: made and checked for writing before anything is computed, and taken away again, with the
/// parents that were made for it, where nothing came to be in it.
class OutputFolder {
 public:
  /// `results`: names of all files that this verb writes, one run some, another others. Throws InvalidInput where the
  /// folder cannot be made or written to, and where one of them is an input of this run.
  explicit OutputFolder(const Options& options, std::initializer_list<const char*> results);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// What the manifest here says that an earlier run of this verb wrote, and `results` do not hold, goes away when they
  /// take their place.
  void supersede_earlier(io::ResultFiles& results) const;

 private:
  /// Folders that are not there yet, the innermost first; takes away those that stay empty.
  struct Missing {
    explicit Missing(const std::filesystem::path& path);
    Missing(const Missing&) = delete;
    Missing& operator=(const Missing&) = delete;
    ~Missing();
    std::vector<std::filesystem::path> folders;
  };

  std::filesystem::path path_;
  std::vector<std::string> results_;
  Missing missing_;
};

/// --resume, and `folder` holds the whole results of this same request, and no `journal` of unfinished work: then says
/// so, and nothing is left to do. `request` is the journal's fingerprint; the manifest keeps it for the next time.
bool is_finished(const Options& options, const OutputFolder& folder, const char* journal, const std::string& request,
                 io::Manifest& manifest);

/// A journal in which no block stands is no work to go on with: it goes away with whatever ended the run.
struct EmptyJournal {
  io::Journal& journal;
  ~EmptyJournal() {
    try {
      if (journal.completed().empty()) journal.finish();
    } catch (const Error&) {  // then it stays, and the next run says so
    }
  }
};

inline constexpr const char* kReport = ".report.json";

/// What `reproduce all` keeps of its experiments.
inline constexpr const char* kExperiments = "experiments.json";

/// --out holds a journal, which no run leaves without blocks in it, or what `reproduce all` has done: --resume goes on.
bool holds_unfinished_work(const Options& options);

/// Checks early, before anything is computed, that --out, its manifest and what else will lie `beside` it (FILE and
/// suffix) can be written later, and that none of them is an input of this run.
void check_writable(const Options& options, std::initializer_list<const char*> beside = {});

/// Adds `values`, rounded to T, as an array file. Throws NotCertified, naming the first place, where one is not finite.
template <class T, class Value>
void write_values(io::ResultFiles& results, const std::filesystem::path& path, const std::vector<Index>& shape,
                  const std::vector<Value>& values);

/// Writes an array file, its manifest and, where there is one, its report (else an earlier one's goes away); not
/// finite: as write_values.
template <class T>
void write_array(const Options& options, io::Manifest& manifest, const std::vector<Index>& shape,
                 const std::vector<T>& values, const std::string& report = "");

/// %.{digits}g
std::string number_text(double value, int digits = 6);

/// A line on standard error.
void warn(const std::string& message);

}  // namespace clout::cli
