#pragma once
// Every training point's influence on itself, for `influence --self` and `audit`.

#include <clout/engine/influence.hpp>
#include <clout/host/cli/memory_plan.hpp>

namespace clout::cli {

/// Of all training points, certified or, with --allow-uncertified, warned of.
template <class T>
SelfInfluence all_self_influences(Problem& problem);

/// The facts that the table of every run of influence and audit begins with.
nlohmann::ordered_json first_facts(Problem& problem, const SolveReport& report, double gradient_norm, double residual);

}  // namespace clout::cli
