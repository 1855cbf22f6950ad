#pragma once
// Figure 4 of Koh & Liang 2017: what helps a kernel machine, and what helps a network, to tell two classes of photographs apart.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// An RBF support vector machine and logistic regression on a frozen network's features, on photographs of dogs and ships;
/// influence of every training image on one test image beside its distance in pixels. Writes summary.json, figure4.csv,
/// images.npy, manifest.json and the figure into --out.
void figure4(const cli::Invocation& call);

}  // namespace clout::reproduce
