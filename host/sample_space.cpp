#include <cblas.h>
#include <lapack.h>

#include <clout/host/sample_space.hpp>
#include <clout/kernels/error.hpp>
#include <cmath>

namespace clout {
namespace {

// Below this margin 1 − nλ(M⁻¹)ᵢᵢ, which is of the size of pᵢ(1 − pᵢ), has lost too many digits to be divided by it.
constexpr double kLeastMargin = -7;

/// body(entry) for the entries of one row.
template <class Body>
void for_row(const SparseRows<double>& x, Index row, const Body& body) {
  for (auto at = static_cast<std::size_t>(x.starts[static_cast<std::size_t>(row)]);
       at < static_cast<std::size_t>(x.starts[static_cast<std::size_t>(row + 1)]); ++at)
    body(x.places[at], x.values[at]);
}

/// Xᵀ, row by row.
SparseRows<double> transposed(const SparseRows<double>& x) {
  std::vector<std::vector<std::pair<std::uint32_t, double>>> columns(static_cast<std::size_t>(x.columns));
  for (Index row = 0; row < x.rows(); ++row)
    for_row(x, row, [&](std::uint32_t place, double value) {
      columns[place].emplace_back(static_cast<std::uint32_t>(row), value);
    });
  SparseRows<double> rows{.columns = x.rows()};
  for (const auto& column : columns) {
    for (const auto& [place, value] : column) {
      rows.places.push_back(place);
      rows.values.push_back(value);
    }
    rows.starts.push_back(static_cast<Index>(rows.values.size()));
  }
  return rows;
}

class SampleSpaceCorrection : public Correction<double> {
 public:
  SampleSpaceCorrection(std::shared_ptr<const SampleSpace> factor, Device& device)
      : factor_(std::move(factor)), device_(device) {}
  std::string name() const override { return "sample-space"; }
  Index products() const override { return 0; }
  void correct(MatrixView<const double> residuals, const std::vector<double>&, MatrixView<double> corrections,
               std::vector<ColumnReport>& columns) override;

 private:
  std::shared_ptr<const SampleSpace> factor_;
  Device& device_;
};

void SampleSpaceCorrection::correct(MatrixView<const double> residuals, const std::vector<double>&,
                                    MatrixView<double> corrections, std::vector<ColumnReport>& columns) {
  std::vector<double> v(static_cast<std::size_t>(residuals.columns));
  for (Index j = 0; j < residuals.rows; ++j) {
    ColumnReport& column = columns[static_cast<std::size_t>(j)];
    if (column.status != ColumnStatus::running) continue;
    device_.copy_to_host(v.data(), residuals.row(j), v.size() * sizeof(double));
    device_.copy_to_device(corrections.row(j), factor_->solve(v).data(), v.size() * sizeof(double));
    ++column.iterations;
  }
}

}  // namespace

double& SampleSpace::at(std::vector<double>& matrix, Index row, Index column) const {
  return matrix[static_cast<std::size_t>(column * examples() + row)];
}

SampleSpace::SampleSpace(const SparseRows<double>& x) : x_(x), gram_(static_cast<std::size_t>(x.rows() * x.rows())) {
  const SparseRows<double> columns = transposed(x);
  for (Index i = 0; i < x.rows(); ++i) {
    double* const row = gram_.data() + i * x.rows();
    for_row(x, i, [&](std::uint32_t place, double value) {
      for_row(columns, place, [&](std::uint32_t j, double other) { row[j] += value * other; });
    });
  }
}

void SampleSpace::factorise(std::span<const double> margins, double l2) {
  const Index n = examples();
  margins_.assign(margins.begin(), margins.end());
  l2_ = l2;
  roots_.clear();
  for (const double m : margins_) roots_.push_back(std::exp(-std::abs(m) / 2) / (1 + std::exp(-std::abs(m))));
  factor_.resize(gram_.size());
  for (Index j = 0; j < n; ++j) {
    for (Index i = j; i < n; ++i)
      at(factor_, i, j) = roots_[static_cast<std::size_t>(i)] * roots_[static_cast<std::size_t>(j)] * at(gram_, i, j);
    at(factor_, j, j) += static_cast<double>(n) * l2;
  }
  const auto order = static_cast<lapack_int>(n);
  lapack_int failed = 0;
  LAPACK_dpotrf("L", &order, factor_.data(), &order, &failed);
  if (failed != 0)
    throw NotCertified("sample space: the n × n matrix is not positive definite in double; raise the regulariser");
  LAPACK_dtrtri("L", "N", &order, factor_.data(), &order, &failed);
  ensure(failed == 0, "sample space: LAPACK rejected the factor");
}

std::vector<double> SampleSpace::self_influence() const {
  const Index n = examples();
  const auto scale = static_cast<double>(n);
  std::vector<double> values;
  for (Index i = 0; i < n; ++i) {
    const auto here = static_cast<std::size_t>(i);
    const double m = margins_[here];
    if (m >= kLeastMargin) {
      // δ²/c = e^(−m) with δ = 1/(1 + e^m), so (1/n) δ² xᵀH⁻¹x is e^(−m) times what the diagonal says.
      const double* const column = factor_.data() + i * n + i;
      const double diagonal = cblas_ddot(static_cast<int>(n - i), column, 1, column, 1);  // (M⁻¹)ᵢᵢ
      values.push_back(std::exp(-m) * std::max(0.0, 1 - scale * l2_ * diagonal));
      continue;
    }
    std::vector<double> b(static_cast<std::size_t>(n));
    for (std::size_t j = 0; j < b.size(); ++j) b[j] = roots_[j] * gram_[here * b.size() + j];
    cblas_dtrmv(CblasColMajor, CblasLower, CblasNoTrans, CblasNonUnit, static_cast<int>(n), factor_.data(),
                static_cast<int>(n), b.data(), 1);
    const double form =
        (gram_[here * b.size() + here] - cblas_ddot(static_cast<int>(n), b.data(), 1, b.data(), 1)) / l2_;
    const double slope = 1 / (1 + std::exp(m));
    values.push_back(slope * slope * form / scale);
  }
  return values;
}

std::vector<double> SampleSpace::solve(std::span<const double> v) const {
  const int n = static_cast<int>(examples());
  std::vector<double> u = outputs_of(x_, v);
  for (std::size_t i = 0; i < u.size(); ++i) u[i] *= roots_[i];
  for (const CBLAS_TRANSPOSE transpose : {CblasNoTrans, CblasTrans})
    cblas_dtrmv(CblasColMajor, CblasLower, transpose, CblasNonUnit, n, factor_.data(), n, u.data(), 1);
  std::vector<double> s(v.begin(), v.end());
  for (Index i = 0; i < examples(); ++i) {
    const double factor = roots_[static_cast<std::size_t>(i)] * u[static_cast<std::size_t>(i)];
    for_row(x_, i, [&](std::uint32_t place, double value) { s[place] -= factor * value; });
  }
  for (double& value : s) value /= l2_;
  return s;
}

std::unique_ptr<Solver> make_sample_space_solver(std::shared_ptr<const SampleSpace> factor, Objective<double>& exact,
                                                 double tolerance, Progress progress) {
  auto correction = std::make_unique<SampleSpaceCorrection>(std::move(factor), exact.device());
  return std::make_unique<CertifiedSolver<double>>(HessianOperator<double>(exact, 0.0), std::move(correction),
                                                   tolerance, std::move(progress));
}

std::vector<double> outputs_of(const SparseRows<double>& x, std::span<const double> w) {
  std::vector<double> z;
  for (Index row = 0; row < x.rows(); ++row) {
    double sum = 0;
    for_row(x, row, [&](std::uint32_t place, double value) { sum += value * w[place]; });
    z.push_back(sum);
  }
  return z;
}

}  // namespace clout
