#pragma once
// Figure 6 of Koh & Liang 2017: training labels of a spam filter are flipped, and those examples are checked first that
// influence, loss or chance point at.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Trains with products in precision T, every fit to a gradient norm of 1e-10 in double, and writes summary.json,
/// figure6.csv, repeats.csv, manifest.json and the figure (PNG, SVG) into --out.
template <class T>
void figure6(const cli::Invocation& call);

}  // namespace clout::reproduce
