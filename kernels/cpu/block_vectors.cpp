#include <algorithm>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>

namespace clout::cpu {
namespace {

constexpr Index kColumns = 256;  // of a task's sums, in double, on its stack

}  // namespace

// products[i][j] = a_i · b_j.  2p flops each, from cache: blocks are of few vectors.
template <class T>
void block_products(Device& device, const BlockProducts<T>& op) {
  parallel_tasks(device, op.a.rows * op.b.rows, [&](Index task, int) {
    op.products[task] = dot(op.a.row(task / op.b.rows), op.b.row(task % op.b.rows), op.a.columns);
  });
}

// out ← C·x + b·out.  2p flops for each number of C.
template <class T>
void block_combine(Device& device, const BlockCombine<T>& op) {
  const Index pieces = ceil_div(op.out.columns, kColumns);
  parallel_tasks(device, op.out.rows * pieces, [&](Index task, int) {
    const Index row = task / pieces, first = task % pieces * kColumns, count = std::min(kColumns, op.out.columns - first);
    double sums[kColumns];
    T* out = op.out.row(row) + first;
    for (Index i = 0; i < count; ++i) sums[i] = op.b == 0 ? 0 : op.b * static_cast<double>(out[i]);
    for (Index j = 0; j < op.x.rows; ++j) {
      const double factor = op.coefficients[row * op.x.rows + j];
      const T* x = op.x.row(j) + first;
      for (Index i = 0; i < count; ++i) sums[i] += factor * static_cast<double>(x[i]);
    }
    for (Index i = 0; i < count; ++i) out[i] = static_cast<T>(sums[i]);
  });
}

template void block_products(Device&, const BlockProducts<float>&);
template void block_products(Device&, const BlockProducts<double>&);
template void block_combine(Device&, const BlockCombine<float>&);
template void block_combine(Device&, const BlockCombine<double>&);

}  // namespace clout::cpu
