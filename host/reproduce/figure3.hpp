#pragma once
// Figure 3 of Koh & Liang 2017: influence of a smooth hinge loss beside retraining of the hinge itself.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// A support vector machine for MNIST's ones against its sevens, retrained exactly without the 100 points that matter most
/// to test image 1597, beside smooth hinges' influence at the same weights. Writes summary.json, figure3.csv, curve.csv,
/// losses.csv, manifest.json and the figure into --out.
void figure3(const cli::Invocation& call);

}  // namespace clout::reproduce
