#pragma once
// Figure 2 (middle) of Koh & Liang 2017: LiSSA's influence against leave-one-out retraining.

#include <clout/host/cli/verbs.hpp>

namespace clout::reproduce {

/// Solves for one test image with LiSSA as published and tuned by itself, and holds both predictions against the same exact
/// retrainings without each of the most influential points. Writes summary.json, loo.csv and the figure.
template <class T>
void figure2_lissa(const cli::Invocation& call);

}  // namespace clout::reproduce
