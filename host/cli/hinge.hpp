#pragma once
// --model margin --loss hinge: trained and retrained by its dual problem.

#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/verbs.hpp>

namespace clout::cli {

/// Throws InvalidInput where the dual problem does not serve: with a bias, or without a regulariser.
void expect_dual(const Options& options);

/// Warns where training examples are on their margin at the problem's θ: their influence hangs on rounding.
void warn_of_kinks(Problem& problem);

/// To a duality gap of --tolerance: params.npy, dual.npy and train.json.
template <class T>
void train_hinge(const Invocation& call);

/// Without each set, every model to a duality gap of --tolerance, beside influence: loo.csv.
template <class T>
void retrain_hinge(const Invocation& call);

}  // namespace clout::cli
