#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>

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

// y ← y + (l2 + damping) x on weights, y ← y + damping x on biases.  2kp flops; bound by memory.
template <class T>
void add_regularizer(Device& device, const AddRegularizer<T>& op) {
  const T on_weights = static_cast<T>(op.l2 + op.damping), on_biases = static_cast<T>(op.damping);
  for_each_piece(device, op.y.rows, op.y.columns, [&](Index row, Index first, Index count) {
    const T* x = op.x.row(row) + first;
    T* y = op.y.row(row) + first;
    const Index weights = std::clamp<Index>(op.shape.weights() - first, 0, count);
    for (Index i = 0; i < weights; ++i) y[i] += on_weights * x[i];
    for (Index i = weights; i < count; ++i) y[i] += on_biases * x[i];
  });
}

template <class T>
void add_diagonal(Device&, const AddDiagonal<T>& op) {
  for (Index i = 0; i < op.matrix.rows; ++i)
    op.matrix(i, i) += static_cast<T>(op.damping + (i < op.shape.weights() ? op.l2 : 0));
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

}  // namespace clout::cpu
