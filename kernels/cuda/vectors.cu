// Operations on k vectors of p numbers: bound by memory, arithmetic in double, rounded once.
#include <clout/kernels/cuda/launch.hpp>
#include <clout/kernels/cuda/reductions.hpp>

namespace clout::cuda {
namespace {

/// Calls visit(vector, i) for every element that is this thread's.
template <class Visit>
__device__ __forceinline__ void for_each_element(Index vectors, Index length, const Visit& visit) {
  const Index i = thread_in_grid();
  if (i < length)
    for (Index vector = blockIdx.y; vector < vectors; vector += gridDim.y) visit(vector, i);
}

}  // namespace

// y ← a x + b y.  3 flops and 3 sizeof(T) bytes per element; y is not read where b = 0, nor x where a = 0.
template <class T>
__global__ void __launch_bounds__(kThreads) combine_kernel(Combine<T> op) {
  for_each_element(op.y.rows, op.y.columns, [&](Index j, Index i) {
    const double from_x = op.a == 0 ? 0 : op.a * static_cast<double>(op.x(j, i));
    op.y(j, i) = static_cast<T>(op.b == 0 ? from_x : std::fma(op.b, static_cast<double>(op.y(j, i)), from_x));
  });
}

template <class T>
void combine(Device& device, const Combine<T>& op) {
  launch(on_cuda(device), over_matrix(op.y.rows, op.y.columns), combine_kernel<T>, op);
}

// to ← from, rounded to nearest.  12 bytes per element.
template <class From, class To>
__global__ void __launch_bounds__(kThreads) convert_kernel(MatrixView<const From> from, MatrixView<To> to) {
  for_each_element(to.rows, to.columns, [&](Index j, Index i) { to(j, i) = static_cast<To>(from(j, i)); });
}

template <class T>
void to_double(Device& device, const ToDouble<T>& op) {
  launch(on_cuda(device), over_matrix(op.to.rows, op.to.columns), convert_kernel<T, double>, op.from, op.to);
}

template <class T>
void from_double(Device& device, const FromDouble<T>& op) {
  launch(on_cuda(device), over_matrix(op.to.rows, op.to.columns), convert_kernel<double, T>, op.from, op.to);
}

// y ← y + (l2 + damping) x where the regulariser acts, y + damping x elsewhere.  2 flops and 3 sizeof(T) bytes per element.
template <class T>
__global__ void __launch_bounds__(kThreads) add_regularizer_kernel(AddRegularizer<T> op) {
  for_each_element(op.y.rows, op.y.columns, [&](Index j, Index i) {
    const double factor = op.damping + (op.regularized.contains(i) ? op.l2 : 0);
    op.y(j, i) = static_cast<T>(std::fma(factor, static_cast<double>(op.x(j, i)), static_cast<double>(op.y(j, i))));
  });
}

template <class T>
void add_regularizer(Device& device, const AddRegularizer<T>& op) {
  launch(on_cuda(device), over_matrix(op.y.rows, op.y.columns), add_regularizer_kernel<T>, op);
}

// The same for H itself: H_ii ← H_ii + l2 (where the regulariser acts) + damping.
template <class T>
__global__ void __launch_bounds__(kThreads) add_diagonal_kernel(AddDiagonal<T> op) {
  for_each_element(1, op.matrix.rows, [&](Index, Index i) {
    const double added = op.damping + (op.regularized.contains(i) ? op.l2 : 0);
    op.matrix(i, i) = static_cast<T>(static_cast<double>(op.matrix(i, i)) + added);
  });
}

template <class T>
void add_diagonal(Device& device, const AddDiagonal<T>& op) {
  launch(on_cuda(device), over_matrix(1, op.matrix.rows), add_diagonal_kernel<T>, op);
}

// One Adam step, in T throughout.  14 flops and 7 sizeof(T) bytes per parameter.
template <class T>
__global__ void __launch_bounds__(kThreads) adam_step_kernel(AdamStep<T> op) {
  const T step = static_cast<T>(*op.step_size);
  for_each_element(op.parameters.rows, op.parameters.columns, [&](Index j, Index i) {
    const T l2 = static_cast<T>(op.regularized.contains(i) ? op.l2 : 0);
    const T g = std::fma(l2, op.parameters(j, i), op.gradients(j, i));
    const T m = std::fma(static_cast<T>(op.beta1), op.first_moments(j, i), static_cast<T>(1 - op.beta1) * g);
    const T u = std::fma(static_cast<T>(op.beta2), op.second_moments(j, i), static_cast<T>(1 - op.beta2) * g * g);
    op.first_moments(j, i) = m;
    op.second_moments(j, i) = u;
    op.parameters(j, i) -= step * m / (std::sqrt(u) + static_cast<T>(op.epsilon));
  });
}

template <class T>
void adam_step(Device& device, const AdamStep<T>& op) {
  launch(on_cuda(device), over_matrix(op.parameters.rows, op.parameters.columns), adam_step_kernel<T>, op);
}

// s ← s + (v − q − (l2 + damping) s)/σ; sums ← sums + s.  7 flops and 4 to 6 sizeof(T) bytes per element.
template <class T>
__global__ void __launch_bounds__(kThreads) lissa_step_kernel(LissaStep<T> op) {
  for_each_element(op.estimates.rows, op.estimates.columns, [&](Index row, Index i) {
    const double factor = op.damping + (op.regularized.contains(i) ? op.l2 : 0);
    const double s = static_cast<double>(op.estimates(row, i));
    const double residual = static_cast<double>(op.right_hand_sides(row % op.right_hand_sides.rows, i)) -
                            static_cast<double>(op.products(row, i));
    const T next = static_cast<T>(s + std::fma(-factor, s, residual) / op.scale);
    op.estimates(row, i) = next;
    if (op.sums.data) op.sums(row, i) += next;
  });
}

template <class T>
void lissa_step(Device& device, const LissaStep<T>& op) {
  launch(on_cuda(device), over_matrix(op.estimates.rows, op.estimates.columns), lissa_step_kernel<T>, op);
}

// dots_j = x_j · y_j: a block per vector, every thread over its stride of elements, then the block's tree.
// 2 flops and 2 sizeof(T) bytes per element.
template <class T>
__global__ void __launch_bounds__(kColumnThreads) vector_dots_kernel(VectorDots<T> op) {
  auto& sums = shared_storage<BlockSums>();
  const Index j = blockIdx.x;
  double sum = 0;
  for (Index i = thread_in_block(); i < op.x.columns; i += kColumnThreads)
    sum = std::fma(static_cast<double>(op.x(j, i)), static_cast<double>(op.y(j, i)), sum);
  sum = block_sum(sum, sums);
  if (thread_in_block() == 0) op.dots[j] = sum;
}

template <class T>
void vector_dots(Device& device, const VectorDots<T>& op) {
  launch(on_cuda(device), {Grid{op.x.rows}, kColumnThreads, sizeof(BlockSums)}, vector_dots_kernel<T>, op);
}

template void combine(Device&, const Combine<float>&);
template void combine(Device&, const Combine<double>&);
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
template void vector_dots(Device&, const VectorDots<float>&);
template void vector_dots(Device&, const VectorDots<double>&);

}  // namespace clout::cuda
