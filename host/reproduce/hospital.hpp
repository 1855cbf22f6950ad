#pragma once
// Section 5.3 of Koh & Liang 2017: a hospital's training set is made unlike its patients by leaving out children, and
// influence finds the four that are left.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Runs the experiment in double precision and writes summary.json, largest.csv, scores.npy, manifest.json and the
/// figure (PNG, SVG) into --out.
void hospital(const cli::Invocation& call);

}  // namespace clout::reproduce
