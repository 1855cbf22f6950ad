#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/panels.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/sparse_sweep.hpp>
#include <clout/kernels/cpu/sweep_step.hpp>

namespace clout::cpu {
namespace {

// Partitions of the rows, each with a sum of its own: a function of n alone.
Index sweep_partitions(Index rows) { return std::clamp<Index>(ceil_div(rows, 96), 1, 32); }

// How the scratch memory is carved: V packed | a sum per partition | per thread: a block of X, its Z, the step's tiles.
template <class T>
struct SweepScratch {
  PanelShape<T> shape;
  Index partitions, vectors_size, sum_size, block_size, z_size, tiles_size;

  explicit SweepScratch(const LinearSweep<T>& op)
      : shape(op.shape, op.vectors.rows),
        partitions(sweep_partitions(op.features.rows)),
        vectors_size(line_up<T>(shape.packed_vectors())),
        sum_size(line_up<T>(shape.columns * shape.depth)),
        block_size(line_up<T>(shape.packed_x())),
        z_size(line_up<T>(shape.z())),
        tiles_size(BlockStep<T>::tiles_size(op)) {}

  Index thread_size() const { return block_size + z_size + tiles_size; }
  ScratchPlan<T> plan() const { return {vectors_size + partitions * sum_size, thread_size()}; }
  T* vectors(std::span<std::byte> scratch) const { return plan().memory(scratch); }
  T* sum(std::span<std::byte> scratch, Index partition) const {
    return vectors(scratch) + vectors_size + partition * sum_size;
  }
  T* thread(std::span<std::byte> scratch, int number) const {
    return plan().thread_memory(scratch, number);
  }
};

template <class T>
void sweep_partition(const LinearSweep<T>& op, const SweepScratch<T>& plan, Index partition, int thread) {
  const auto& shape = plan.shape;
  T* block = plan.thread(op.scratch, thread);
  T* z = block + plan.block_size;
  T* sum = plan.sum(op.scratch, partition);
  const T* vectors = plan.vectors(op.scratch);
  BlockStep<T> step(op, z, shape.z_stride, z + plan.z_size);

  std::fill(sum, sum + shape.columns * shape.depth, T(0));
  const Index n = op.features.rows;
  const Index last = n * (partition + 1) / plan.partitions;
  for (Index first = n * partition / plan.partitions; first < last; first += shape.rows) {
    const Index count = std::min(shape.rows, last - first);
    pack_rows(shape, op.features, first, count, padded_rows<T>(count), block);
    if (op.step != SweepStep::given) forward(shape, block, vectors, count, z);
    step.run(first, count);
    backward(shape, block, z, count, sum);
  }
}

// out_j = scale · Σ over partitions, in order and in double.
template <class T>
void add_partitions(const Device& device, const LinearSweep<T>& op, const SweepScratch<T>& plan) {
  const auto& shape = plan.shape;
  const Index d = shape.features;
  parallel_tasks(device, shape.columns, [&](Index task, int) {
    const Index c = task % shape.classes, j = task / shape.classes;
    const Index column = c * shape.vectors + j;
    const auto total = [&](Index f) {
      const Index at = sum_at(shape, column, f);
      double sum = 0;
      for (Index partition = 0; partition < plan.partitions; ++partition)
        sum += static_cast<double>(plan.sum(op.scratch, partition)[at]);
      return sum;
    };
    const double scale = static_cast<double>(op.scale), feature_scale = scale * static_cast<double>(op.features.scale);
    T* out = op.out.row(j);
    for (Index f = 0; f < d; ++f) out[c * d + f] = static_cast<T>(feature_scale * total(f));
    if (shape.bias) out[shape.classes * d + c] = static_cast<T>(scale * total(d));
  });
}

}  // namespace

// out_j = scale · Σᵢ wᵢ rᵢⱼ ⊗ (xᵢ, 1).  4ndKk flops; X is read once, P once; V and each partition's sum stay in cache
// while a block of rows passes. Columns of Z are class after class, so that lanes are vectors.
template <class T>
void linear_sweep(Device& device, const LinearSweep<T>& op) {
  if (op.sparse.is_given()) return sparse_sweep(device, op);
  const SweepScratch<T> plan(op);
  ensure(op.scratch.size() >= plan.plan().bytes(device), "linear_sweep: scratch smaller than planned");
  if (op.step != SweepStep::given)
    pack_vectors(device, plan.shape, op.vectors, op.features.scale, {plan.shape.vectors, 1}, plan.vectors(op.scratch));
  parallel_tasks(device, plan.partitions,
                 [&](Index partition, int thread) { sweep_partition(op, plan, partition, thread); });
  add_partitions(device, op, plan);
}

template <class T>
std::size_t linear_sweep_scratch(const Device& device, const LinearSweep<T>& op) {
  if (op.sparse.is_given()) return sparse_sweep_scratch(device, op);
  return SweepScratch<T>(op).plan().bytes(device);
}

template void linear_sweep(Device&, const LinearSweep<float>&);
template void linear_sweep(Device&, const LinearSweep<double>&);
template std::size_t linear_sweep_scratch(const Device&, const LinearSweep<float>&);
template std::size_t linear_sweep_scratch(const Device&, const LinearSweep<double>&);

}  // namespace clout::cpu
