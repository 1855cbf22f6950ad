#include <algorithm>
#include <clout/engine/solve_report.hpp>
#include <cmath>
#include <cstdio>

namespace clout {
namespace {

constexpr double kSingleRounding = 1e-9;  // above: the working precision is single
constexpr double kSolvable = 1e-6;        // of the largest eigenvalue: a damping that any solver can work with

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string reached(const ColumnReport& column, const SolveReport& report) {
  return "a true relative residual of " + short_number(column.relative_residual) + ", tolerance " +
         short_number(report.tolerance);
}

/// What LiSSA's user may change, where CG's advice would not do.
std::string lissa_advice(const ColumnReport& column, const SolveReport& report) {
  const LissaReport& lissa = *report.lissa;
  const std::string sigma = "sigma = " + short_number(lissa.scale);
  const std::string setting = sigma + ", " + std::to_string(lissa.depth) + " steps, batches of " +
                              std::to_string(lissa.batch) + ", " + std::to_string(lissa.repeats) + " repeats";
  if (column.status == ColumnStatus::diverged)
    return "steps grew beyond any solution with " + sigma +
           (lissa.published ? ": raise --scale or --batch-size, or leave --published out, which finds its own"
                            : "; H + damping*I may not be positive definite: raise --damping or --l2");
  if (lissa.steps == 0)
    return "a round would take " + std::to_string(lissa.depth) + " steps (" + sigma + ", smallest eigenvalue " +
           short_number(lissa.smallest_eigenvalue) +
           "): raise --damping or --l2, use --solver cg, or ask for as many by --depth";
  if (lissa.published)
    return "the published way ends (" + setting + ") with " + reached(column, report) +
           ": leave --published out, which refines, or raise --tolerance";
  return "rounds (" + setting + ") stopped improving at " + reached(column, report) +
         ": leave --scale, --depth and --batch-size out, or raise --depth, --batch-size, --damping or --tolerance" +
         (report.rounding > kSingleRounding ? ", or use --precision double" : "");
}

std::string advice(const ColumnReport& column, const SolveReport& report) {
  const double tolerance = report.tolerance, damping = report.damping;
  const bool is_limit = column.status == ColumnStatus::stagnated || column.status == ColumnStatus::iteration_limit;
  if (report.lissa && (is_limit || column.status == ColumnStatus::diverged)) return lissa_advice(column, report);
  switch (column.status) {
    case ColumnStatus::negative_curvature:
      // Beside the largest eigenvalue met, a quotient this small is zero but for rounding.
      if (column.smallest_rayleigh > -report.rounding * column.largest_eigenvalue)
        return "H + damping*I is singular to rounding: a direction with Rayleigh quotient " +
               short_number(column.smallest_rayleigh) + " was met beside an eigenvalue of " +
               short_number(column.largest_eigenvalue) +
               "; the right-hand side may leave the range of H: raise --l2, or --damping, to " +
               short_number(damping + kSolvable * column.largest_eigenvalue) + " for a condition number of 1e6";
      return "H + damping*I is not positive definite: a direction with Rayleigh quotient " +
             short_number(column.smallest_rayleigh) + " was met; a damping above " +
             short_number(damping - column.smallest_rayleigh) + " would have been enough so far";
    case ColumnStatus::stagnated:
      return "the true relative residual stopped falling at " + short_number(column.relative_residual) +
             ", above the tolerance " + short_number(tolerance) +
             "; the right-hand side may leave the range of a singular H, or the condition is too bad for this "
             "precision: raise --damping (clout spectrum says to what) or --tolerance" +
             (report.rounding > kSingleRounding ? ", or use --precision double" : "");
    case ColumnStatus::iteration_limit:
      return "the iteration limit was reached at " + reached(column, report) + ": raise --max-iterations, --damping or --tolerance";
    case ColumnStatus::not_finite:
      return "NaN or infinity in the right-hand side or in a Hessian product: check the vectors and the parameters";
    case ColumnStatus::running:
    case ColumnStatus::converged:
    case ColumnStatus::diverged: break;
  }
  return "true relative residual " + short_number(column.relative_residual) + ", tolerance " + short_number(tolerance);
}

}  // namespace

void SolveReport::append(const SolveReport& part) {
  if (columns.empty()) {
    *this = part;
    return;
  }
  columns.insert(columns.end(), part.columns.begin(), part.columns.end());
  products += part.products;
  certifying_products += part.certifying_products;
  seconds += part.seconds;
  preconditioner_products = part.preconditioner_products;
  if (part.lissa) lissa = part.lissa;  // counts from the solver's beginning
}

bool SolveReport::certified() const {
  return std::all_of(columns.begin(), columns.end(), [this](const ColumnReport& column) {
    return column.status == ColumnStatus::converged && column.relative_residual <= tolerance;
  });
}

double SolveReport::max_relative_residual() const {
  double worst = 0;
  for (const ColumnReport& column : columns) {
    if (std::isnan(column.relative_residual)) return column.relative_residual;  // the worst of all
    worst = std::max(worst, column.relative_residual);
  }
  return worst;
}

std::string SolveReport::first_failure() const {
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const ColumnReport& column = columns[j];
    if (column.status == ColumnStatus::converged && column.relative_residual <= tolerance) continue;
    return "right-hand side " + std::to_string(j) + ": " + to_string(column.status) + ": " +
           advice(column, *this);
  }
  return {};
}

std::string to_string(ColumnStatus status) {
  switch (status) {
    case ColumnStatus::running: return "running";
    case ColumnStatus::converged: return "converged";
    case ColumnStatus::negative_curvature: return "negative_curvature";
    case ColumnStatus::stagnated: return "stagnated";
    case ColumnStatus::iteration_limit: return "iteration_limit";
    case ColumnStatus::not_finite: return "not_finite";
    case ColumnStatus::diverged: return "diverged";
  }
  return "unknown";
}

}  // namespace clout
