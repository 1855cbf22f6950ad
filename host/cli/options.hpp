#pragma once
// What the command line says, as plain values.

#include <CLI/CLI.hpp>
#include <clout/kernels/matrix_view.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace clout::cli {

/// Every verb's options in one place, so that a flag means the same in all of them.
struct Options {
  // Everywhere.
  std::string device = "auto", precision = "double", memory_limit;
  int threads = 0;
  std::uint64_t seed = 0;
  bool quiet = false, json = false, allow_uncertified = false;
  std::optional<bool> progress;

  // The model and its data.
  std::string model = "logistic", spec, loss = "logistic";
  double temperature = 0;  // of the smooth hinge; 0: not given
  Index classes = 0, features = 0;
  bool bias = false;
  double l2 = 0;
  std::string x, y, params, weights, vectors, out, storage = "auto";

  // Solving, training, asking.
  std::string solver = "cg", curvature = "hessian", preconditioner = "none";
  Index rank = 64;  // of a preconditioner
  double damping = 0, tolerance = 1e-10;
  Index max_iterations = 10'000, top = 10;
  double scale = 0;
  Index depth = 0, batch_size = 0, repeats = 0;  // of LiSSA; 0: not given
  bool published = false;
  std::string method = "auto";  // of spectrum
  Index lanczos_steps = 300;
  std::string test_x, test_y;
  std::vector<Index> test_index;
  bool per_example = false, self = false, flips = false, second_order = false, plan = false;

  // Attacks.
  Index points = 1;
  double step = 0, box = 0;    // 0: not given
  std::vector<double> range;   // LOW HIGH, where given
  bool together = false;

  // Training by Adam; the defaults are the paper's (figure 2, right).
  Index steps = 500'000, batch = 500, checkpoint_every = 10'000, start_step = 0, controls = 3, adam_points = 0;
  double learning_rate = 1e-4;
  std::vector<Index> drops = {110'000, 220'000};

  // Retraining and reproducing.
  std::string indices, groups, moments, data, retraining = "adam";
  bool all = false, resume = false, quick = false;
  std::string figure, panel, checkpoint, train_features, test_features, levels = "published";

  std::set<std::string> given;  // names of the options on the command line: "--batch"

  bool is_single() const { return precision == "single"; }
  bool is_given(const std::string& name) const { return given.contains(name); }
};

inline constexpr std::uint64_t kMostClasses = 1'000'000;

/// Finite numbers only: CLI11's own ranges let NaN and infinity through.
CLI::Validator positive();
CLI::Validator not_negative();
/// Decimal integers from `least` to `most`: CLI11 wraps or cuts off what does not fit.
CLI::Validator whole(std::uint64_t least, std::uint64_t most = std::numeric_limits<Index>::max());

/// One of a few words.
CLI::Validator one_of(const std::vector<std::string>& words);

void add_common(CLI::App& app, Options& options);
/// What --model may be.
inline const std::vector<std::string> kModelNames{"logistic", "margin", "convnet"};

void add_model(CLI::App& app, Options& options);
/// --loss and --temperature.
void add_margin(CLI::App& app, Options& options);
void add_data(CLI::App& app, Options& options, bool with_params);
void add_vectors(CLI::App& app, Options& options);
void add_solver(CLI::App& app, Options& options);
void add_lissa(CLI::App& app, Options& options);
void add_curvature(CLI::App& app, Options& options);
void add_adam(CLI::App& app, Options& options);
void add_tests(CLI::App& app, Options& options);
/// --out: a file or a folder, as `what` says.
void add_out(CLI::App& app, Options& options, const std::string& what);

/// "8G", "500M", "1024" → bytes. Throws InvalidInput.
std::size_t parse_bytes(const std::string& text);

}  // namespace clout::cli
