#pragma once
// retrain --model convnet.

#include <clout/host/cli/verbs.hpp>

namespace clout::cli {

/// Further steps of Adam from --params and --moments without each set, beside damped influence: loo.csv.
template <class T>
void retrain_network(const Invocation& call);

/// To the minimum of the proximal objective Q or of the PBRF without each set, to a gradient norm: loo.csv.
void retrain_proximal(const Invocation& call);

}  // namespace clout::cli
