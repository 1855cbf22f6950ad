#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>
#include <cmath>

namespace clout::cpu {
namespace {

constexpr Index kGrain = 1 << 14;  // elements per task

// body(row, first, count) over pieces of the rows of a matrix.
template <class Body>
void for_each_piece(const Device& device, Index rows, Index columns, Body&& body) {
  const Index pieces = ceil_div(columns, kGrain);
  parallel_tasks(device, rows * pieces, [&](Index task, int) {
    const Index first = task % pieces * kGrain;
    body(task / pieces, first, std::min(kGrain, columns - first));
  });
}

// body(begin, end, regularized) for the parts of first…last − 1 that are regularised, and those between them.
template <class Body>
void for_each_part(const ParameterRanges& ranges, Index first, Index last, Body&& body) {
  for (int r = 0; r < ranges.count && first < last; ++r) {
    const Index begin = std::clamp(ranges.range[r].begin, first, last), end = std::clamp(ranges.range[r].end, first, last);
    if (first < begin) body(first, begin, false);
    if (begin < end) body(begin, end, true);
    first = end;
  }
  if (first < last) body(first, last, false);
}

}  // namespace

// y ← a·x + b·y.  3kp flops; bound by memory.
template <class T>
void combine(Device& device, const Combine<T>& op) {
  for_each_piece(device, op.y.rows, op.y.columns, [&](Index row, Index first, Index count) {
    const T a = static_cast<T>(op.a), b = static_cast<T>(op.b);
    const T* x = op.x.data ? op.x.row(row) + first : nullptr;
    T* y = op.y.row(row) + first;
    for (Index i = 0; i < count; ++i) {
      const T old = b != 0 ? b * y[i] : T(0);
      y[i] = a != 0 ? a * x[i] + old : old;
    }
  });
}

// dots[j] = x_j · y_j.  2kp flops; bound by memory.
template <class T>
void vector_dots(Device& device, const VectorDots<T>& op) {
  parallel_tasks(device, op.x.rows, [&](Index j, int) { op.dots[j] = dot(op.x.row(j), op.y.row(j), op.x.columns); });
}

template <class T>
void to_double(Device& device, const ToDouble<T>& op) {
  for_each_piece(device, op.from.rows, op.from.columns, [&](Index row, Index first, Index count) {
    std::copy_n(op.from.row(row) + first, count, op.to.row(row) + first);
  });
}

template <class T>
void from_double(Device& device, const FromDouble<T>& op) {
  for_each_piece(device, op.from.rows, op.from.columns, [&](Index row, Index first, Index count) {
    const double* from = op.from.row(row) + first;
    T* to = op.to.row(row) + first;
    for (Index i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
  });
}

// y ← y + (l2 + damping) x where the regulariser acts, y + damping x elsewhere.  2kp flops; bound by memory.
template <class T>
void add_regularizer(Device& device, const AddRegularizer<T>& op) {
  for_each_piece(device, op.y.rows, op.y.columns, [&](Index row, Index first, Index count) {
    const T* x = op.x.row(row);
    T* y = op.y.row(row);
    for_each_part(op.regularized, first, first + count, [&](Index begin, Index end, bool regularized) {
      const T factor = static_cast<T>(op.damping + (regularized ? op.l2 : 0));
      for (Index i = begin; i < end; ++i) y[i] += factor * x[i];
    });
  });
}

template <class T>
void add_diagonal(Device&, const AddDiagonal<T>& op) {
  for (Index i = 0; i < op.matrix.rows; ++i)
    op.matrix(i, i) += static_cast<T>(op.damping + (op.regularized.contains(i) ? op.l2 : 0));
}

// One Adam step.  14 flops, 7 numbers read or written per parameter; bound by memory.
template <class T>
void adam_step(Device& device, const AdamStep<T>& op) {
  const T beta1 = static_cast<T>(op.beta1), beta2 = static_cast<T>(op.beta2), epsilon = static_cast<T>(op.epsilon);
  const T rest1 = static_cast<T>(1 - op.beta1), rest2 = static_cast<T>(1 - op.beta2);
  const T step = static_cast<T>(*op.step_size);
  for_each_piece(device, op.parameters.rows, op.parameters.columns, [&](Index row, Index first, Index count) {
    const T* gradient = op.gradients.row(row);
    T *m = op.first_moments.row(row), *u = op.second_moments.row(row), *theta = op.parameters.row(row);
    for_each_part(op.regularized, first, first + count, [&](Index begin, Index end, bool regularized) {
      const T l2 = static_cast<T>(regularized ? op.l2 : 0);
      for (Index i = begin; i < end; ++i) {
        const T g = gradient[i] + l2 * theta[i];
        m[i] = beta1 * m[i] + rest1 * g;
        u[i] = beta2 * u[i] + rest2 * g * g;
        theta[i] -= step * m[i] / (std::sqrt(u[i]) + epsilon);
      }
    });
  });
}

// s ← s + (v − q − (l2 + damping) s)/σ.  6 flops, 4 to 6 numbers read or written per element; bound by memory.
template <class T>
void lissa_step(Device& device, const LissaStep<T>& op) {
  const T inverse = static_cast<T>(1 / op.scale);
  for_each_piece(device, op.estimates.rows, op.estimates.columns, [&](Index row, Index first, Index count) {
    const T *v = op.right_hand_sides.row(row % op.right_hand_sides.rows), *q = op.products.row(row);
    T* s = op.estimates.row(row);
    for_each_part(op.regularized, first, first + count, [&](Index begin, Index end, bool regularized) {
      const T factor = static_cast<T>(op.damping + (regularized ? op.l2 : 0));
      for (Index i = begin; i < end; ++i) s[i] += inverse * (v[i] - q[i] - factor * s[i]);
    });
    if (T* sum = op.sums.data ? op.sums.row(row) : nullptr)
      for (Index i = first; i < first + count; ++i) sum[i] += s[i];
  });
}

template void combine(Device&, const Combine<float>&);
template void combine(Device&, const Combine<double>&);
template void vector_dots(Device&, const VectorDots<float>&);
template void vector_dots(Device&, const VectorDots<double>&);
template void to_double(Device&, const ToDouble<float>&);
template void to_double(Device&, const ToDouble<double>&);
template void from_double(Device&, const FromDouble<float>&);
template void from_double(Device&, const FromDouble<double>&);
template void add_regularizer(Device&, const AddRegularizer<float>&);
template void add_regularizer(Device&, const AddRegularizer<double>&);
template void add_diagonal(Device&, const AddDiagonal<float>&);
template void add_diagonal(Device&, const AddDiagonal<double>&);
template void adam_step(Device&, const AdamStep<float>&);
template void adam_step(Device&, const AdamStep<double>&);
template void lissa_step(Device&, const LissaStep<float>&);
template void lissa_step(Device&, const LissaStep<double>&);

}  // namespace clout::cpu
