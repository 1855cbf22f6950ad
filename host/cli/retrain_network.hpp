#pragma once
// retrain --model convnet.

#include <clout/host/cli/verbs.hpp>

namespace clout::cli {

/// Further steps of Adam from --params and --moments without each set, beside damped influence: loo.csv.
template <class T>
void retrain_network(const Invocation& call);

}  // namespace clout::cli
