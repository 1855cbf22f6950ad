#include <clout/engine/direct_solver.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

template <class T>
class FactorCorrection : public Correction<T> {
 public:
  explicit FactorCorrection(std::shared_ptr<const HessianFactor<T>> factor) : factor_(std::move(factor)) {}
  std::string name() const override { return "direct"; }
  Index products() const override { return 0; }
  void correct(MatrixView<const T> residuals, const std::vector<double>&, MatrixView<T> corrections,
               std::vector<ColumnReport>& columns) override {
    Device& device = factor_->device();
    device.kernels<T>().combine(device, {1.0, residuals, 0.0, corrections});
    factor_->solve(corrections);
    for (ColumnReport& column : columns)
      if (column.status == ColumnStatus::running) ++column.iterations;
  }

 private:
  std::shared_ptr<const HessianFactor<T>> factor_;
};

}  // namespace

template <class T>
HessianFactor<T>::HessianFactor(Objective<T>& objective, double damping, const Progress& progress)
    : device_(objective.device()), size_(objective.parameters()), matrix_(device_, size_ * size_) {
  if (progress) progress("explicit Hessian", 0, 2);
  objective.explicit_hessian(damping, matrix_.view(size_, size_));
  factorise(objective, damping, progress);
}

template <class T>
HessianFactor<T>::HessianFactor(Objective<T>& objective, Buffer<T> hessian, double damping, const Progress& progress)
    : device_(objective.device()), size_(objective.parameters()), matrix_(std::move(hessian)) {
  device_.kernels<T>().add_diagonal(device_, {{}, 0.0, damping, matrix_.view(size_, size_)});
  factorise(objective, damping, progress);
}

template <class T>
void HessianFactor<T>::factorise(Objective<T>& objective, double damping, const Progress& progress) {
  const MatrixView<T> matrix = matrix_.view(size_, size_);
  if (damping == 0) objective.fix_symmetries(matrix);
  if (progress) progress("factorisation", 1, 2);
  Index failed_at = 0;
  device_.kernels<T>().cholesky_factor(device_, {matrix, &failed_at});
  if (failed_at != 0)
    throw NotCertified("direct: H + damping*I is not positive definite (its leading minor of order " +
                       std::to_string(failed_at) + " of " + std::to_string(size_) +
                       " is not); raise --l2, or --damping where there is one (clout spectrum says to what)" +
                       (sizeof(T) == 4 ? ", or factorise in double (--precision double)" : ""));
  if (progress) progress("factorisation", 2, 2);
}

template <class T>
void HessianFactor<T>::solve(MatrixView<T> vectors) const {
  device_.kernels<T>().cholesky_solve(device_, {matrix_.view(size_, size_), vectors});
}

template <class T>
std::vector<double> gains(const HessianFactor<T>& factor, MatrixView<double> gradients, MatrixView<T> room) {
  Device& device = factor.device();
  std::vector<double> norms = row_norms<double>(device, gradients);
  for (std::size_t row = 0; row < norms.size(); ++row) {  // in units of their own: T may be single
    const MatrixView<double> gradient = gradients.rows_from(static_cast<Index>(row), 1);
    if (norms[row] > 0) {
      device.kernels<double>().combine(device, {0.0, {}, 1 / norms[row], gradient});
    } else {
      const std::vector<double> equal(static_cast<std::size_t>(factor.size()),
                                      1 / std::sqrt(static_cast<double>(factor.size())));
      device.copy_to_device(gradient.data, equal.data(), equal.size() * sizeof(double));
    }
  }
  device.kernels<T>().from_double(device, {gradients, room});
  factor.solve(room);
  return row_norms<T>(device, room);
}

template <class T>
std::unique_ptr<Solver> make_direct_solver(std::shared_ptr<const HessianFactor<T>> factor, Objective<double>& exact,
                                           double damping, double tolerance, Progress progress) {
  return std::make_unique<CertifiedSolver<T>>(HessianOperator<double>(exact, damping),
                                              std::make_unique<FactorCorrection<T>>(std::move(factor)), tolerance,
                                              std::move(progress));
}

template class HessianFactor<float>;
template class HessianFactor<double>;
template std::vector<double> gains(const HessianFactor<float>&, MatrixView<double>, MatrixView<float>);
template std::vector<double> gains(const HessianFactor<double>&, MatrixView<double>, MatrixView<double>);
template std::unique_ptr<Solver> make_direct_solver(std::shared_ptr<const HessianFactor<float>>, Objective<double>&,
                                                    double, double, Progress);
template std::unique_ptr<Solver> make_direct_solver(std::shared_ptr<const HessianFactor<double>>, Objective<double>&,
                                                    double, double, Progress);

}  // namespace clout
