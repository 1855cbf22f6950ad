#pragma once
// Scores on their way out: block by block into a file that may be larger than memory, and into a journal what else a
// run that goes on must know of a block.

#include <clout/engine/influence.hpp>
#include <clout/host/cli/options.hpp>
#include <clout/host/cli/top_points.hpp>
#include <clout/host/io/journal.hpp>
#include <clout/host/io/resumable_file.hpp>

namespace clout::cli {

/// An array file [tests][columns][width], or [tests][columns] where width is 1, of numbers rounded to T.
template <class T>
class ScoreFile {
 public:
  /// Errors as io::ResumableFile's.
  ScoreFile(const std::filesystem::path& path, Index tests, Index columns, Index width, bool resume);

  /// A tile of test examples from `first_test` on. Throws NotCertified where a number is beyond T.
  void write(Index first_test, const typename Influence<T>::Tile& tile);
  io::ResumableFile& file() { return file_; }
  /// Of the whole file.
  static std::uint64_t bytes(Index tests, Index columns, Index width);

 private:
  static std::string header(Index tests, Index columns, Index width);

  std::string name_;
  Index columns_, width_;
  std::uint64_t header_bytes_;
  io::ResumableFile file_;
  std::vector<T> rounded_;
};

/// One block of test examples: how they were solved for, and each one's most helpful and most harmful points.
struct ScoredBlock {
  SolveReport report;
  std::vector<TopPoints> tops;  // [tests]

  std::vector<double> pack() const;
  /// The block of `tests` examples that pack() made into `values`, in a run with the same options.
  static ScoredBlock unpack(std::span<const double> values, Index tests, const Options& options, double tolerance);
};

/// A journal and the file that it speaks of, once there is one. What ends a run leaves both, for --resume, where blocks
/// are finished and the results were not refused; else neither.
struct UnfinishedScores {
  io::Journal& journal;
  io::ResumableFile* file = nullptr;
  bool refused = false;  ///< the results can never be written by this request
  ~UnfinishedScores();
};

}  // namespace clout::cli
