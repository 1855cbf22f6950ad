#include <algorithm>
#include <clout/engine/objective.hpp>
#include <clout/engine/scaling.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>

namespace clout {
namespace {

// Unit vectors that go through one product together when a Hessian is assembled.
constexpr Index kUnitBlock = 32;
// Norms beyond: squares of entries leave float64's range.
constexpr double kSmallNorm = 1e-120, kLargeNorm = 1e120;

}  // namespace

ParameterRanges regularized_ranges(const std::vector<ParameterBlock>& layout) {
  ParameterRanges ranges;
  for (const ParameterBlock& block : layout) {
    if (!block.regularized) continue;
    Index size = 1;
    for (const Index extent : block.shape) size *= extent;
    ensure(ranges.count < ParameterRanges::kMost, "more regularised blocks than are provided for");
    ranges.add(block.offset, block.offset + size);
  }
  return ranges;
}

template <class T>
void Objective<T>::explicit_hessian(double damping, MatrixView<T> out) {
  const Index p = this->parameters();
  Buffer<T> units(this->device(), kUnitBlock * p);
  std::vector<T> host(static_cast<std::size_t>(kUnitBlock * p));
  for (Index first = 0; first < p; first += kUnitBlock) {
    const Index count = std::min(kUnitBlock, p - first);
    std::fill(host.begin(), host.end(), T{0});
    for (Index j = 0; j < count; ++j) host[static_cast<std::size_t>(j * p + first + j)] = T{1};
    units.upload(std::span<const T>(host).first(static_cast<std::size_t>(count * p)));
    hessian_product(units.view(count, p), damping, out.rows_from(first, count));
  }
}

template <class T>
std::size_t Objective<T>::hessian_memory() const {
  return static_cast<std::size_t>(kUnitBlock * this->parameters()) * sizeof(T) + working_memory(kUnitBlock);
}

template <class T>
void Objective<T>::hessian_diagonal(double, MatrixView<T>) {
  ensure(false, "this objective has no diagonal of its Hessian");
}
template <class T>
KroneckerFactors Objective<T>::kronecker_factors() {
  throw InternalError("this objective has no Kronecker factors");
}
template <class T>
void Objective<T>::label_tangents(MatrixView<const T>, Index, MatrixView<T>) {
  ensure(false, "this objective has no labels to exchange");
}
template <class T>
std::vector<double> Objective<T>::gradient_forms(MatrixView<const T>, Index, Index) {
  throw InternalError("this objective has no leverages");
}
template <class T>
std::vector<double> Objective<T>::newton_shifts(MatrixView<const T>, MatrixView<const T>, double, Index, Index) {
  throw InternalError("this objective has no leverages");
}
template <class T>
void Objective<T>::shifted_tangents(MatrixView<const T>, MatrixView<const T>, Index, MatrixView<T>) {
  ensure(false, "this objective has no leverages");
}

template <class T>
void Objective<T>::batch_gradients(MatrixView<const T>, const Index*, Index, const Exclusions&, MatrixView<T>) {
  ensure(false, "this objective has no gradients of minibatches");
}
template <class T>
void Objective<T>::batch_hessian_products(MatrixView<const T>, const Index*, Index, Index, MatrixView<T>) {
  ensure(false, "this objective has no Hessian products of minibatches");
}
template <class T>
void Objective<T>::divergence_gradients(MatrixView<const T>, MatrixView<T>) {
  ensure(false, "this objective has no divergence in function space");
}
template <class T>
void Objective<T>::removal_constants(const Removals&, MatrixView<T>) {
  ensure(false, "this objective has no retraining in difference form");
}
template <class T>
void Objective<T>::removal_differences(const Removals&, MatrixView<const T>, MatrixView<T>) {
  ensure(false, "this objective has no retraining in difference form");
}
template <class T>
void Objective<T>::gradients_without(const Removals&, MatrixView<const T>, MatrixView<T>) {
  ensure(false, "this objective has no retraining in difference form");
}

template <class T>
double objective_value(Objective<T>& objective, MatrixView<const T> theta) {
  const Index n = objective.examples();
  Buffer<T> losses(objective.device(), n);
  objective.losses(losses.view(n, 1));
  double mean = 0;
  const std::vector<T> host = losses.to_host();
  for (Index i = 0; i < n; ++i) {
    const double weight = objective.example_weight(i);
    if (weight != 0) mean += weight / objective.total_weight() * static_cast<double>(host[static_cast<std::size_t>(i)]);
  }

  const std::vector<T> parameters = to_host(objective.device(), theta);
  double squares = 0;
  const ParameterRanges ranges = regularized_ranges(objective.layout());
  for (int r = 0; r < ranges.count; ++r)
    for (Index i = ranges.range[r].begin; i < ranges.range[r].end; ++i) {
      const double value = static_cast<double>(parameters[static_cast<std::size_t>(i)]);
      squares += value * value;
    }
  return mean + 0.5 * objective.l2() * squares;
}

template <class T>
double kept_weight(const Objective<T>& objective, const std::vector<Index>& group) {
  const double total = objective.total_weight();
  double kept = total;
  for (const Index row : group) kept -= objective.example_weight(row);
  if (kept < 0.5 * total) {  // the difference would have lost digits
    std::vector<bool> goes(static_cast<std::size_t>(objective.examples()));
    for (const Index row : group) goes[static_cast<std::size_t>(row)] = true;
    kept = 0;
    for (Index i = 0; i < objective.examples(); ++i)
      if (!goes[static_cast<std::size_t>(i)]) kept += objective.example_weight(i);
  }
  require(kept > 0, "examples to remove: together they are all the weight there is; something must stay");
  return kept;
}

template <class T>
std::vector<double> row_norms(Device& device, MatrixView<const T> rows) {
  Buffer<double> squares(device, rows.rows);
  device.kernels<T>().vector_dots(device, {rows, rows, squares.data()});
  std::vector<double> norms = squares.to_host();
  for (std::size_t row = 0; row < norms.size(); ++row) {
    double& norm = norms[row];
    norm = std::sqrt(norm);
    if (norm >= kSmallNorm && norm <= kLargeNorm) continue;
    const std::vector<T> values = to_host(device, rows.rows_from(static_cast<Index>(row), 1));
    norm = scaled_norm(std::vector<double>(values.begin(), values.end()));
  }
  return norms;
}

template class Objective<float>;
template class Objective<double>;
template double objective_value(Objective<float>&, MatrixView<const float>);
template double objective_value(Objective<double>&, MatrixView<const double>);
template double kept_weight(const Objective<float>&, const std::vector<Index>&);
template double kept_weight(const Objective<double>&, const std::vector<Index>&);
template std::vector<double> row_norms(Device&, MatrixView<const float>);
template std::vector<double> row_norms(Device&, MatrixView<const double>);

}  // namespace clout
