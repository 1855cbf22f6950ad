#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/sparse_leverage.hpp>

// Block (c, c′) of A is packed once and serves all rows. Rows go in blocks of a constant number, each by one thread: a
// GEMM's bits depend on its shape.

namespace clout::cpu {
namespace {

constexpr Index kBlockRows = 256;

void multiply(int rows, int width, const float* x, const float* block, float* z) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, width, width, 1, x, width, block, width, 0, z, width);
}
void multiply(int rows, int width, const double* x, const double* block, double* z) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, width, width, 1, x, width, block, width, 0, z, width);
}

/// Where class c, column i of X′ stands in the flat vector of parameters.
Index parameter_at(const LinearShape& shape, Index c, Index i) {
  return i < shape.features ? c * shape.features + i : shape.weights() + c;
}

/// x′ of rows first…first+count−1, [kBlockRows][width]; zeros in the rows beyond.
template <class T>
void expand_rows(const LinearLeverages<T>& op, Index first, Index count, Index width, T* x) {
  for (Index row = 0; row < count; ++row)
    for (Index i = 0; i < width; ++i) x[row * width + i] = i < op.shape.features ? op.features(first + row, i) : T(1);
  std::fill(x + count * width, x + kBlockRows * width, T(0));
}

Index width_of(const LinearShape& shape) { return shape.features + (shape.bias ? 1 : 0); }

/// A block of A, and for each thread X′ and Z of a block of rows.
template <class T>
ScratchPlan<T> plan(const LinearLeverages<T>& op) {
  const Index width = width_of(op.shape);
  return {.shared = line_up<T>(width * width), .own = line_up<T>(2 * kBlockRows * width)};
}

}  // namespace

// M_i[c][c′] = x′ᵀ A_cc′ x′, from Z = X′ A_cc′ for c ≤ c′.  K(K+1) n d² flops; X is read once per pair of classes.
// Without its zeros: sparse_leverage.cpp.
template <class T>
void linear_leverages(Device& device, const LinearLeverages<T>& op) {
  ensure(op.scratch.size() >= linear_leverages_scratch(device, op), "linear_leverages: scratch smaller than planned");
  if (op.sparse.is_given()) return sparse_leverages(device, op);
  const Index classes = op.shape.classes, width = width_of(op.shape);
  const ScratchPlan<T> room = plan(op);
  T* block = room.memory(op.scratch);
  const BlasThreads threads(1);
  for (Index c = 0; c < classes; ++c)
    for (Index other = c; other < classes; ++other) {
      parallel_tasks(device, width, [&](Index i, int) {
        for (Index j = 0; j < width; ++j)
          block[i * width + j] = op.matrix(parameter_at(op.shape, c, i), parameter_at(op.shape, other, j));
      });
      parallel_tasks(device, ceil_div(op.features.rows, kBlockRows), [&](Index task, int thread) {
        const Index first = task * kBlockRows, count = std::min(kBlockRows, op.features.rows - first);
        T* x = room.thread_memory(op.scratch, thread);
        T* z = x + kBlockRows * width;
        expand_rows(op, first, count, width, x);
        multiply(static_cast<int>(kBlockRows), static_cast<int>(width), x, block, z);
        for (Index row = 0; row < count; ++row) {
          const T value = static_cast<T>(dot(z + row * width, x + row * width, width));
          op.out(first + row, c * classes + other) = op.out(first + row, other * classes + c) = value;
        }
      });
    }
}

template <class T>
std::size_t linear_leverages_scratch(const Device& device, const LinearLeverages<T>& op) {
  return op.sparse.is_given() ? sparse_leverages_scratch(op) : plan(op).bytes(device);
}

template void linear_leverages(Device&, const LinearLeverages<float>&);
template void linear_leverages(Device&, const LinearLeverages<double>&);
template std::size_t linear_leverages_scratch(const Device&, const LinearLeverages<float>&);
template std::size_t linear_leverages_scratch(const Device&, const LinearLeverages<double>&);

}  // namespace clout::cpu
