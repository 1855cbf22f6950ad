// Single examples of logistic regression with their own curvature, and with other labels.

#include <algorithm>
#include <clout/kernels/kernel_table.hpp>
#include <clout/models/logistic_regression.hpp>
#include <clout/models/shapes.hpp>
#include <cmath>

namespace clout {
namespace {

// Numbers of K × K matrices that are in memory at once.
constexpr Index kMostForms = Index{1} << 22;
// A pivot below this part of its matrix's largest entry (which is about 1) is zero but for rounding.
constexpr double kSmallestPivot = 1e-12;

Index rows_at_once(Index classes) { return std::clamp<Index>(kMostForms / (classes * classes), 1, 4096); }

/// δ = p − e_y; p_y − 1 as −Σ_{c≠y} p_c, which does not cancel.
template <class T>
std::vector<double> residual(const T* p, Index classes, Index label) {
  std::vector<double> delta(p, p + classes);
  delta[static_cast<std::size_t>(label)] = 0;
  double others = 0;
  for (const double value : delta) others += value;
  delta[static_cast<std::size_t>(label)] = -others;
  return delta;
}

/// S z = p ∘ (z − (p·z)1), z relative to that of the likeliest class.
template <class T>
void apply_curvature(const T* p, Index classes, Index top, double* z, Index step) {
  const double reference = z[top * step];
  double mean = 0;
  for (Index c = 0; c < classes; ++c) mean += static_cast<double>(p[c]) * (z[c * step] -= reference);
  for (Index c = 0; c < classes; ++c) z[c * step] = static_cast<double>(p[c]) * (z[c * step] - mean);
}

/// Solves A x = b, [K][K], in place of both, by elimination with pivoting; false where A is singular to rounding.
bool solve_small(double* a, double* b, Index size) {
  for (Index step = 0; step < size; ++step) {
    Index pivot = step;
    for (Index r = step + 1; r < size; ++r)
      if (std::abs(a[r * size + step]) > std::abs(a[pivot * size + step])) pivot = r;
    if (!(std::abs(a[pivot * size + step]) > kSmallestPivot)) return false;
    if (pivot != step) {
      std::swap_ranges(a + step * size, a + (step + 1) * size, a + pivot * size);
      std::swap(b[step], b[pivot]);
    }
    for (Index r = step + 1; r < size; ++r) {
      const double factor = a[r * size + step] / a[step * size + step];
      for (Index c = step; c < size; ++c) a[r * size + c] -= factor * a[step * size + c];
      b[r] -= factor * b[step];
    }
  }
  for (Index r = size; r-- > 0;) {
    for (Index c = r + 1; c < size; ++c) b[r] -= a[r * size + c] * b[c];
    b[r] /= a[r * size + r];
  }
  return true;
}

}  // namespace

template <class T>
void LogisticRegression<T>::label_tangents(MatrixView<const T> vectors, Index first, MatrixView<T> out) {
  const Index k = vectors.rows, classes = shape_.classes;
  expect_vectors("vectors of label tangents", vectors, parameters());
  expect_shape("label tangents", out.rows, out.columns, out.rows, classes * k);
  const MatrixView<T> probabilities = probabilities_.view(examples(), classes);
  Buffer<std::int32_t> labels(device(), out.rows);
  for_outputs(vectors, first, out.rows, [&](Index row, MatrixView<T> tangents) {
    for (Index c = 0; c < classes; ++c) {
      const std::vector<std::int32_t> same(static_cast<std::size_t>(tangents.rows), static_cast<std::int32_t>(c));
      labels.upload(same);
      kernels().softmax_loss_tangent(device(),
                                     {probabilities.rows_from(first + row, tangents.rows), labels.data(), tangents,
                                      MatrixView<T>(out.row(row) + c * k, tangents.rows, k, out.stride)});
    }
  });
}

template <class T>
LinearLeverages<T> LogisticRegression<T>::leverages_of(MatrixView<const T> matrix, Index first,
                                                       MatrixView<T> out) const {
  const bool by_entries = this->takes_entries();
  const FeatureView<T> x = by_entries ? data_.product_view() : data_.view();
  const auto sparse = by_entries ? data_.sparse_view().rows_from(first) : SparseFeatures<T>{};
  return {.features = x.rows_from(first, out.rows),
          .shape = shape_,
          .matrix = matrix,
          .out = out,
          .sparse = sparse,
          .scratch = {}};
}

template <class T>
void LogisticRegression<T>::find_leverages(MatrixView<const T> matrix, Index first, MatrixView<T> out) {
  LinearLeverages<T> op = leverages_of(matrix, first, out);
  const std::size_t bytes = kernels().linear_leverages_scratch(device(), op);
  Buffer<std::byte> scratch(device(), static_cast<Index>(bytes));
  op.scratch = {scratch.data(), bytes};
  kernels().linear_leverages(device(), op);
}

template <class T>
std::size_t LogisticRegression<T>::leverage_memory() const {
  const Index classes = shape_.classes, rows = std::min(rows_at_once(classes), examples());
  const auto op = leverages_of({nullptr, parameters(), parameters()}, 0, {nullptr, rows, classes * classes});
  return static_cast<std::size_t>(rows * classes * (classes + 1)) * sizeof(T) +
         std::max(kernels().linear_leverages_scratch(device(), op), this->working_memory(1));
}

template <class T>
std::vector<double> LogisticRegression<T>::gradient_forms(MatrixView<const T> matrix, Index first, Index count) {
  expect_shape("matrix of forms", matrix.rows, matrix.columns, parameters(), parameters());
  const Index classes = shape_.classes, at_once = rows_at_once(classes);
  Buffer<T> forms(device(), std::min(at_once, count) * classes * classes);
  std::vector<double> values;
  for (Index row = first; row < first + count; row += at_once) {
    const Index rows = std::min(at_once, first + count - row);
    find_leverages(matrix, row, forms.view(rows, classes * classes));
    const std::vector<T> m = to_host(device(), forms.view(rows, classes * classes));
    const std::vector<T> p = to_host(device(), probabilities_.view(examples(), classes).rows_from(row, rows));
    for (Index i = 0; i < rows; ++i) {
      const auto delta =
          residual(p.data() + i * classes, classes, data_.host_labels()[static_cast<std::size_t>(row + i)]);
      double sum = 0;
      for (Index c = 0; c < classes; ++c)
        for (Index other = 0; other < classes; ++other)
          sum += delta[static_cast<std::size_t>(c)] * delta[static_cast<std::size_t>(other)] *
                 static_cast<double>(m[static_cast<std::size_t>((i * classes + c) * classes + other)]);
      values.push_back(sum);
    }
  }
  return values;
}

// q = (I − εSM)⁻¹ εS (Mδ + Uᵀ along), from Woodbury's identity for H′ − εUSUᵀ.
template <class T>
std::vector<double> LogisticRegression<T>::newton_shifts(MatrixView<const T> inverse, MatrixView<const T> along,
                                                         double epsilon, Index first, Index count) {
  expect_shape("inverse Hessian", inverse.rows, inverse.columns, parameters(), parameters());
  expect_shape("solution of the regulariser", along.rows, along.columns, 1, parameters());
  const Index classes = shape_.classes, at_once = rows_at_once(classes);
  const Index most = std::min(at_once, count);
  Buffer<T> forms(device(), most * classes * classes), logits(device(), most * classes);
  std::vector<double> shifts, system(static_cast<std::size_t>(classes * classes));
  for (Index row = first; row < first + count; row += at_once) {
    const Index rows = std::min(at_once, first + count - row);
    find_leverages(inverse, row, forms.view(rows, classes * classes));
    this->forward(along, row, rows, logits.view(rows, classes));
    const std::vector<T> m = to_host(device(), forms.view(rows, classes * classes));
    const std::vector<T> a = to_host(device(), logits.view(rows, classes));
    const std::vector<T> p = to_host(device(), probabilities_.view(examples(), classes).rows_from(row, rows));
    for (Index i = 0; i < rows; ++i) {
      const T *own = p.data() + i * classes, *form = m.data() + i * classes * classes;
      const Index top = std::max_element(own, own + classes) - own;
      const auto delta = residual(own, classes, data_.host_labels()[static_cast<std::size_t>(row + i)]);
      std::vector<double> q(a.begin() + i * classes, a.begin() + (i + 1) * classes);
      for (Index c = 0; c < classes; ++c)
        for (Index other = 0; other < classes; ++other) {
          const double value = static_cast<double>(form[c * classes + other]);
          q[static_cast<std::size_t>(c)] += value * delta[static_cast<std::size_t>(other)];
          system[static_cast<std::size_t>(c * classes + other)] = -epsilon * value;
        }
      apply_curvature(own, classes, top, q.data(), 1);
      for (double& value : q) value *= epsilon;
      for (Index c = 0; c < classes; ++c) apply_curvature(own, classes, top, system.data() + c, classes);
      for (Index c = 0; c < classes; ++c) system[static_cast<std::size_t>(c * classes + c)] += 1;
      if (!solve_small(system.data(), q.data(), classes))
        throw NotCertified("second order: without training example " + std::to_string(row + i) +
                           " the Hessian is singular to rounding; raise --l2, or --damping where there is one");
      shifts.insert(shifts.end(), q.begin(), q.end());
    }
  }
  return shifts;
}

// (p + q)·(R{a} − R{a}_y 1): the components of q add up to 0, as those of δ do.
template <class T>
void LogisticRegression<T>::shifted_tangents(MatrixView<const T> vectors, MatrixView<const T> shifts, Index first,
                                             MatrixView<T> out) {
  expect_vectors("vectors of a shifted tangent", vectors, parameters());
  expect_shape("shifted tangents", out.rows, out.columns, out.rows, vectors.rows);
  expect_shape("shifts", shifts.rows, shifts.columns, out.rows, shape_.classes);
  const MatrixView<T> probabilities = probabilities_.view(examples(), shape_.classes);
  Buffer<T> shifted(device(), out.rows * shape_.classes);
  const MatrixView<T> p = shifted.view(out.rows, shape_.classes);
  kernels().combine(device(), {1.0, shifts, 0.0, p});
  kernels().combine(device(), {1.0, probabilities.rows_from(first, out.rows), 1.0, p});
  for_outputs(vectors, first, out.rows, [&](Index row, MatrixView<T> tangents) {
    kernels().softmax_loss_tangent(device(), {p.rows_from(row, tangents.rows), data_.labels() + first + row, tangents,
                                              out.rows_from(row, tangents.rows)});
  });
}

// The rest of the class is instantiated where it is defined.
template void LogisticRegression<float>::label_tangents(MatrixView<const float>, Index, MatrixView<float>);
template void LogisticRegression<double>::label_tangents(MatrixView<const double>, Index, MatrixView<double>);
template std::size_t LogisticRegression<float>::leverage_memory() const;
template std::size_t LogisticRegression<double>::leverage_memory() const;
template std::vector<double> LogisticRegression<float>::gradient_forms(MatrixView<const float>, Index, Index);
template std::vector<double> LogisticRegression<double>::gradient_forms(MatrixView<const double>, Index, Index);
template std::vector<double> LogisticRegression<float>::newton_shifts(MatrixView<const float>, MatrixView<const float>,
                                                                      double, Index, Index);
template std::vector<double> LogisticRegression<double>::newton_shifts(MatrixView<const double>,
                                                                       MatrixView<const double>, double, Index, Index);
template void LogisticRegression<float>::shifted_tangents(MatrixView<const float>, MatrixView<const float>, Index,
                                                          MatrixView<float>);
template void LogisticRegression<double>::shifted_tangents(MatrixView<const double>, MatrixView<const double>, Index,
                                                           MatrixView<double>);

}  // namespace clout
