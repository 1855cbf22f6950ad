#pragma once
// train --model convnet.

#include <clout/host/cli/verbs.hpp>

namespace clout::cli {

/// What `train` writes into its folder: moments.npy for networks alone.
inline constexpr std::initializer_list<const char*> kTrainResults = {"params.npy", "dual.npy", "moments.npy", "train.json",
                                                                     "manifest.json"};

/// Adam for --steps steps, a checkpoint in the folder's train.journal every --checkpoint-every. The journal stays, so that
/// --resume with more steps goes on from the last one, to the same bits as one run.
template <class T>
void train_network(const Invocation& call);

}  // namespace clout::cli
