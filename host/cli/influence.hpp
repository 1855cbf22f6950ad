#pragma once
// The verb `influence`.

#include <clout/host/cli/verbs.hpp>

namespace clout::cli {

template <class T>
void run_influence(const Invocation& call);

}  // namespace clout::cli
