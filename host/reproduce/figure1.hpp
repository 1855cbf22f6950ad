#pragma once
// Figure 1 of Koh & Liang 2017: influence beside what is left of it without the training loss, and without the Hessian.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Logistic regression of MNIST's ones against its sevens, in double; every training point's influence on test image 30 and
/// its three variants. Writes summary.json, figure1.csv, images.npy, manifest.json and the figure into --out.
void figure1(const cli::Invocation& call);

}  // namespace clout::reproduce
