#pragma once
// Figure 5: training images changed by less than a level of their 8-bit pixels flip predictions on test images.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Writes figure5.csv, group.csv, images.npy, summary.json, a manifest, and figure5.png and .svg into --out.
/// Throws NotCertified where a fit or a solve misses its tolerance.
void figure5(const cli::Invocation& call);

}  // namespace clout::reproduce
