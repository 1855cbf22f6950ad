#pragma once
// A trained network as `clout train --model convnet` leaves it in a folder.

#include <clout/engine/adam.hpp>
#include <clout/host/io/manifest.hpp>
#include <filesystem>

namespace clout::reproduce {

/// In double, whatever the files hold: float32 is kept exactly.
struct Checkpoint {
  AdamState<double> state;
  AdamOptions options;  ///< batch order (seed), rate and drops of the training, to go on with
};

/// Reads params.npy, moments.npy, train.json (steps) and manifest.json (seed) of `folder` for a model of p parameters,
/// and adds them to the manifest's inputs. Throws InvalidInput where one is missing or does not fit.
Checkpoint read_checkpoint(const std::filesystem::path& folder, Index parameters, io::Manifest& manifest);

}  // namespace clout::reproduce
