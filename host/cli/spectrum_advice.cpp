#include <clout/engine/lissa_tuning.hpp>
#include <clout/engine/spectrum_estimate.hpp>
#include <clout/host/cli/memory_plan.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/solvers.hpp>
#include <clout/host/cli/spectrum_advice.hpp>
#include <cmath>
#include <limits>

namespace clout::cli {
namespace {

using Facts = nlohmann::ordered_json;
using Definiteness = SpectrumEnds::Definiteness;

std::string brief(double value) { return number_text(value, 3); }

std::string chance() { return "but for a chance of " + brief(SpectrumEstimate::kDoubt); }

std::string definiteness_line(const SpectrumEnds& ends) {
  const std::string found =
      ends.are_all ? "the smallest eigenvalue is " + brief(ends.smallest) + ", known to " + brief(ends.rounding)
                   : "an eigenvalue is within " + brief(ends.smallest_error) + " of " + brief(ends.smallest);
  const std::string floor = std::isfinite(ends.at_least) ? "none is below " + brief(ends.at_least) + ", " + chance()
                                                         : "so few steps say nothing about others";
  switch (ends.definiteness()) {
    case Definiteness::definite:
      return "positive definite: " + found + (ends.are_all ? "" : "; " + floor);
    case Definiteness::indefinite:
      return "not positive definite: " + found;
    case Definiteness::singular:
      return "singular to rounding: " + found;
    case Definiteness::not_known:
      break;
  }
  return "not known to be positive definite: " + found + "; " + floor + " (more --lanczos-steps may tell)";
}

std::string damping_line(const SpectrumEnds& ends, double damping) {
  if (ends.definiteness() == Definiteness::definite)
    return "none is needed; the condition number is " + brief(ends.condition(0));
  std::string line =
      "--damping " + brief(damping) + " makes it positive definite, condition number " + brief(ends.condition(damping));
  if (const double sure = ends.sure_damping(); sure > damping && std::isfinite(sure) && !ends.are_all)
    line += ", as far as Lanczos saw; --damping " + brief(sure) + " does, " + chance();
  return line;
}

/// Right-hand sides from which on the factor costs less than CG, in products.
Index break_even(Index direct, const SpectrumEnds::Count& cg) { return direct / std::max(cg.products, Index{1}) + 1; }

std::string solver_line(const SpectrumEnds::Count& cg, Index parameters, double damping, double tolerance,
                        double passes) {
  const std::string with = damping > 0 ? " with --damping " + brief(damping) : "";
  std::string line = "--solver cg" + with + ": " + (cg.is_bound ? "at most " : "about ") + std::to_string(cg.products) +
                     " products a right-hand side to " + brief(tolerance);
  if (parameters <= kMostDirectParameters)
    line += "; --solver direct (" +
            std::to_string(mebibytes(static_cast<std::size_t>(parameters * parameters) * sizeof(double))) +
            " MiB, at most " + std::to_string(parameters) + " products once) from " +
            std::to_string(break_even(parameters, cg)) + " right-hand sides on";
  if (std::isfinite(passes)) line += "; --solver lissa: up to " + brief(passes) + " passes over the data";
  return line;
}

}  // namespace

SpectrumAdvice advise(const SpectrumEnds& ends, Objective<double>& objective, const Options& o) {
  const Index p = objective.parameters();
  const double damping = ends.advised_damping();
  const SpectrumEnds::Count cg = ends.cg_products(damping, o.tolerance);
  double passes = std::numeric_limits<double>::quiet_NaN();
  if (objective.has_batch_products())
    passes = lissa_passes({.largest = ends.largest + damping,
                           .smallest = ends.smallest + damping,
                           .noise = example_noise(objective, o.seed)},
                          objective.examples(), kLissaRepeats, o.tolerance);
  const auto number = [](double value) { return std::isfinite(value) ? Facts(value) : Facts(nullptr); };
  return {{{"advised_damping", damping},
           {"sure_damping", number(ends.sure_damping())},
           {"condition", number(ends.condition(damping))},
           {"cg_products", cg.products},
           {"cg_products_are_a_bound", cg.is_bound},
           {"direct_products", p <= kMostDirectParameters ? Facts(p) : Facts(nullptr)},
           {"lissa_passes", number(passes)},
           {"definiteness", definiteness_line(ends)},
           {"damping_advice", damping_line(ends, damping)},
           {"solver_advice", solver_line(cg, p, damping, o.tolerance, passes)}}};
}

Facts SpectrumAdvice::in_seconds(double product) const {
  const auto seconds = [&](const char* count) {
    const Facts& products = facts.at(count);
    return products.is_null() ? Facts(nullptr) : Facts(products.get<double>() * product);
  };
  return {{"seconds_per_product", product},
          {"cg_seconds", seconds("cg_products")},
          {"direct_seconds_at_most", seconds("direct_products")},
          {"lissa_seconds_at_most", seconds("lissa_passes")}};
}

}  // namespace clout::cli
