#pragma once
// Figure 2 (right) of Koh & Liang 2017: predicted against actual change of a test loss, the all-convolutional network
// on 5,500 images of MNIST.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Starts from a trained checkpoint (--checkpoint), predicts in double, retrains without each point by further steps of
/// Adam in precision T and, in double, to the minimum of the proximal objective and of the proximal Bregman response
/// function. Writes summary.json, loo.csv, loo_random.csv, random_tests.csv, changes.npy, manifest.json and the figure
/// (PNG, SVG) into --out.
template <class T>
void figure2_convnet(const cli::Invocation& call);

}  // namespace clout::reproduce
