#pragma once
// The verb `retrain`, and the parts of it that `reproduce` shares.

#include <clout/host/cli/exact_retraining.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/host/leave_one_out.hpp>

namespace clout::cli {

template <class T>
void run_retrain(const Invocation& call);

/// Everything that changes the bits of retrained linear models: for journals. `block`: models side by side; `factorises`:
/// LAPACK's bits, which depend on threads, are in them.
std::string retrain_request(Problem& problem, Index block, bool factorises);

/// How well losses of a linear model are known on test examples of these norms, [tests].
ChangeErrors linear_change_errors(Problem& problem, const std::vector<double>& test_norms);

}  // namespace clout::cli
