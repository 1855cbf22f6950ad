#pragma once
// Figure 2 (left) of Koh & Liang 2017: predicted against actual change of a test loss, multinomial logistic regression
// on MNIST.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Runs the experiment with products in precision T and writes summary.json, loo.csv, loo_random.csv,
/// random_tests.csv, manifest.json and the figure (PNG, SVG) into --out.
template <class T>
void figure2_linear(const cli::Invocation& call);

}  // namespace clout::reproduce
