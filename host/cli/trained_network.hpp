#pragma once
// What `train --model convnet` leaves in a folder, read again.

#include <clout/engine/adam.hpp>
#include <clout/host/cli/options.hpp>
#include <filesystem>
#include <optional>

namespace clout::cli {

/// How a network was trained.
struct NetworkTraining {
  Index steps = 0;
  AdamOptions options;
  std::optional<double> l2;          ///< trainings of earlier versions do not say
  std::optional<bool> is_weighted;   ///< by --weights; likewise
};

/// From train.json. Throws InvalidInput where it is not there, or not a network's.
NetworkTraining read_network_training(const std::filesystem::path& train_json);

/// First and second moments of moments.npy, [2][p]. Throws InvalidInput where the shape is another or a second moment,
/// a mean of squares, is negative.
std::vector<double> read_moments(const std::string& path, Index parameters);

/// Whether steps have run away: from `start` to `reached`, beyond ten times that, or what knowing nothing costs. Then throws
/// NotCertified or, with --allow-uncertified, warns.
bool has_run_away(const Options& options, const std::string& verb, const std::string& what, double reached, double start,
                  Index classes, Index steps);

/// train.json of a network's training beside --params, where that is a params.npy; else empty.
std::filesystem::path training_of_params(const Options& options);

/// `options` with --batch, --learning-rate, --drops and --l2 as `train_json` has them, --seed where none is given, and,
/// where no --moments are, the moments beside it and its number of steps. Throws InvalidInput where the command line says
/// otherwise of the first four or of --start-step, has --weights where the training had none or the reverse, or the moments
/// are missing.
Options with_training(Options options, const std::filesystem::path& train_json);

}  // namespace clout::cli
