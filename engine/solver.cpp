#include <algorithm>
#include <chrono>
#include <clout/engine/scaling.hpp>
#include <clout/engine/solver.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/kernels/workspace.hpp>
#include <cmath>

namespace clout {
namespace {

// A round that does not at least halve the residual has hit what the precision can reach.
constexpr double kLeastProgress = 0.5;
constexpr int kMaxRounds = 60;
// The inner solver aims below the tolerance, so that the true residual passes where the recursive one does.
constexpr double kInnerMargin = 0.5;
// Norms beyond: squares of entries leave float64's range, so the right-hand side is solved in other units.
constexpr double kSmallNorm = 1e-120, kLargeNorm = 1e120;

bool is_running(const ColumnReport& column) { return column.status == ColumnStatus::running; }

/// Right-hand sides in units of their own: powers of two, so that nothing is rounded; 1 wherever that does.
class Scaled {
 public:
  /// `norms` are v's, as the device has them.
  Scaled(Device& device, MatrixView<const double> v, std::vector<double> norms)
      : device_(device), v_(v), norms_(std::move(norms)), units_(norms_.size(), 1.0) {
    for (std::size_t j = 0; j < norms_.size(); ++j) {
      if (norms_[j] >= kSmallNorm && norms_[j] <= kLargeNorm) continue;
      const std::vector<double> row = to_host(device, v.rows_from(static_cast<Index>(j), 1));
      units_[j] = binary_unit(row);
      if (units_[j] == 1) continue;  // zero or not finite, and the norm says so
      norms_[j] = scaled_norm(row) / units_[j];
    }
  }

  /// Euclidean, in units.
  const std::vector<double>& norms() const { return norms_; }

  void copy_to(MatrixView<double> out) const {
    device_.kernels<double>().combine(device_, {1.0, v_, 0.0, out});
    scale(out, true);
  }
  /// Solutions for the scaled right-hand sides become solutions for the right-hand sides.
  void give_back(MatrixView<double> solutions) const { scale(solutions, false); }

 private:
  void scale(MatrixView<double> rows, bool inverse) const {
    for (std::size_t j = 0; j < units_.size(); ++j)
      if (units_[j] != 1)
        device_.kernels<double>().combine(
            device_, {0.0, {}, inverse ? 1 / units_[j] : units_[j], rows.rows_from(static_cast<Index>(j), 1)});
  }

  Device& device_;
  MatrixView<const double> v_;
  std::vector<double> norms_, units_;
};

}  // namespace

template <class T>
struct CertifiedSolver<T>::Block {
  MatrixView<double> residual, product;
  MatrixView<T> scaled, correction;
  MatrixView<double> correction_double;
  MatrixView<double> squares;  // [1][width]

  void carve(Workspace& w, Index width, Index p) {
    residual = w.matrix<double>(width, p);
    product = w.matrix<double>(width, p);
    correction_double = w.matrix<double>(width, p);
    scaled = w.matrix<T>(width, p);
    correction = w.matrix<T>(width, p);
    squares = w.matrix<double>(1, width);
  }
  /// Euclidean norms, in double; takes no memory.
  std::vector<double> norms(Device& device, MatrixView<const double> rows) const {
    device.kernels<double>().vector_dots(device, {rows, rows, squares.data});
    std::vector<double> values(static_cast<std::size_t>(rows.rows));
    device.copy_to_host(values.data(), squares.data, values.size() * sizeof(double));
    for (double& value : values) value = std::sqrt(value);
    return values;
  }
};

template <class T>
CertifiedSolver<T>::CertifiedSolver(HessianOperator<double> exact, std::unique_ptr<Correction<T>> correction,
                                    double tolerance, Progress progress)
    : exact_(exact), correction_(std::move(correction)), tolerance_(tolerance), progress_(std::move(progress)) {
  require(tolerance > 0, "tolerance of a solve: expected a positive number");
}

template <class T>
SolveReport CertifiedSolver<T>::solve(MatrixView<const double> right_hand_sides, MatrixView<double> solutions) {
  const Index k = right_hand_sides.rows, p = size();
  require(k > 0, "right-hand sides: there are none; expected at least one");
  require(right_hand_sides.columns == p && solutions.rows == k && solutions.columns == p,
          "right-hand sides: [" + std::to_string(k) + "][" + std::to_string(right_hand_sides.columns) +
              "], solutions: [" + std::to_string(solutions.rows) + "][" + std::to_string(solutions.columns) +
              "]; expected [k][" + std::to_string(p) + "] for both");
  const auto start = std::chrono::steady_clock::now();
  const Index products_before = correction_->products(), exact_before = exact_.products();

  const Index width = planned_width(k);
  Block block;
  Workspace workspace(device(), [&](Workspace& w) { block.carve(w, width, p); });
  exact_.reserve(width);

  SolveReport report;
  report.solver = correction_->name();
  report.tolerance = tolerance_;
  report.rounding = HessianOperator<T>::kRounding;
  report.damping = exact_.damping();
  for (Index first = 0; first < k; first += width) {
    const Index count = std::min(width, k - first);
    if (progress_)
      correction_->watch([this, first, count, k](double share) {
        progress_("solve", static_cast<double>(first) + share * static_cast<double>(count), static_cast<double>(k));
      });
    std::vector<ColumnReport> columns(static_cast<std::size_t>(count));
    solve_block(block, right_hand_sides.rows_from(first, count), solutions.rows_from(first, count), columns);
    report.columns.insert(report.columns.end(), columns.begin(), columns.end());
    if (progress_) progress_("solve", static_cast<double>(first + count), static_cast<double>(k));
  }
  correction_->describe(report);
  report.products = correction_->products() - products_before;
  report.certifying_products = exact_.products() - exact_before;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

template <class T>
Index CertifiedSolver<T>::planned_width(Index columns) const {
  const auto plan = [&](Index width) {
    const std::size_t own = Workspace::plan([&](Workspace& w) { Block().carve(w, width, size()); });
    return own + exact_.scratch(width) + correction_->scratch(width, &exact_.objective());
  };
  // By the limit alone, not by what happens to be free: the same request is cut the same way, run after run.
  const std::size_t used = device().used_memory(), limit = device().memory_limit(),
                    left = limit > used ? limit - used : 0;
  for (Index width = std::min(columns, kBlock);; width = (width + 1) / 2) {
    const std::size_t needed = plan(width);
    if (needed <= left) return width;
    if (width == 1)
      throw OutOfMemory("solve: one right-hand side at a time needs " + std::to_string(needed) +
                        " bytes of device memory beside the " + std::to_string(used) + " in use; " +
                        std::to_string(left) + " are left under the memory limit, so none fits: raise it");
  }
}

template <class T>
void CertifiedSolver<T>::solve_block(Block& block, MatrixView<const double> v, MatrixView<double> s,
                                     std::vector<ColumnReport>& columns) {
  const KernelTable<double>& kernels = device().template kernels<double>();
  const Index k = v.rows;
  MatrixView<double> residual = block.residual.rows_from(0, k);
  MatrixView<double> product = block.product.rows_from(0, k);

  const Scaled scaled(device(), v, block.norms(device(), v));
  const std::vector<double>& norms = scaled.norms();
  kernels.combine(device(), {0.0, {}, 0.0, s});
  scaled.copy_to(residual);
  std::vector<double> residual_norms = norms;
  for (std::size_t j = 0; j < columns.size(); ++j) {
    ColumnReport& column = columns[j];
    column.relative_residual = norms[j] > 0 ? 1.0 : 0.0;
    if (!std::isfinite(norms[j])) column.status = ColumnStatus::not_finite;
    else if (norms[j] == 0) column.status = ColumnStatus::converged;  // s = 0 is exact
  }

  for (int round = 0; round < kMaxRounds && std::any_of(columns.begin(), columns.end(), is_running); ++round) {
    correct_block(block, residual_norms, norms, s, columns);
    exact_.apply(s, product);
    scaled.copy_to(residual);
    kernels.combine(device(), {-1.0, product, 1.0, residual});
    residual_norms = block.norms(device(), residual);
    for (std::size_t j = 0; j < columns.size(); ++j) {
      ColumnReport& column = columns[j];
      if (norms[j] == 0 || column.status == ColumnStatus::not_finite) continue;
      const double before = column.relative_residual;
      column.relative_residual = residual_norms[j] / norms[j];
      if (!is_running(column)) continue;
      ++column.refinements;
      if (column.relative_residual <= tolerance_) column.status = ColumnStatus::converged;
      else if (!std::isfinite(column.relative_residual)) column.status = ColumnStatus::not_finite;
      else if (!correction_->refines()) column.status = ColumnStatus::iteration_limit;
      else if (column.relative_residual > kLeastProgress * before) column.status = ColumnStatus::stagnated;
    }
  }
  for (ColumnReport& column : columns)
    if (is_running(column)) column.status = ColumnStatus::stagnated;
  scaled.give_back(s);
}

template <class T>
void CertifiedSolver<T>::correct_block(Block& block, const std::vector<double>& residual_norms,
                                       const std::vector<double>& norms, MatrixView<double> s,
                                       std::vector<ColumnReport>& columns) {
  const KernelTable<T>& kernels = device().template kernels<T>();
  const KernelTable<double>& in_double = device().template kernels<double>();
  const Index k = s.rows;
  MatrixView<T> scaled = block.scaled.rows_from(0, k), correction = block.correction.rows_from(0, k);
  MatrixView<double> correction_double = block.correction_double.rows_from(0, k);

  // Residuals go in with norm 1, so that single precision neither underflows nor loses their directions.
  std::vector<double> targets(columns.size(), 1.0);
  std::vector<bool> was_running(columns.size());
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const Index row = static_cast<Index>(j);
    was_running[j] = is_running(columns[j]);
    const MatrixView<double> residual = block.residual.rows_from(row, 1);
    in_double.combine(device(), {0.0, {}, was_running[j] ? 1.0 / residual_norms[j] : 0.0, residual});
    if (was_running[j]) targets[j] = kInnerMargin * tolerance_ * norms[j] / residual_norms[j];
  }
  kernels.from_double(device(), {block.residual.rows_from(0, k), scaled});
  correction_->correct(scaled, targets, correction, columns);
  kernels.to_double(device(), {correction, correction_double});
  for (std::size_t j = 0; j < columns.size(); ++j) {
    if (!was_running[j] || columns[j].status == ColumnStatus::not_finite) continue;
    const Index row = static_cast<Index>(j);
    in_double.combine(device(), {residual_norms[j], correction_double.rows_from(row, 1), 1.0, s.rows_from(row, 1)});
  }
}

void require_certified(const SolveReport& report) {
  if (!report.certified()) throw NotCertified(report.solver + ": " + report.first_failure());
}

template class CertifiedSolver<float>;
template class CertifiedSolver<double>;

}  // namespace clout
