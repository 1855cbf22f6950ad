#pragma once
// The verb `retrain`, and the parts of it that `reproduce` shares.

#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/host/leave_one_out.hpp>

namespace clout::cli {

template <class T>
void run_retrain(const Invocation& call);

}  // namespace clout::cli
