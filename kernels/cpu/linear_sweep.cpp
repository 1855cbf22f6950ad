#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/panels.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/softmax_tile.hpp>

namespace clout::cpu {
namespace {

// Partitions of the rows, each with a sum of its own: a function of n alone.
Index sweep_partitions(Index rows) { return std::clamp<Index>(ceil_div(rows, 96), 1, 32); }

// How the scratch memory is carved: V packed | a sum per partition | per thread: a block of X, its Z, three tiles.
template <class T>
struct SweepScratch {
  PanelShape<T> shape;
  Index partitions, vectors_size, sum_size, block_size, z_size, tile_size;

  explicit SweepScratch(const LinearSweep<T>& op)
      : shape(op.shape, op.vectors.rows),
        partitions(sweep_partitions(op.features.rows)),
        vectors_size(line_up<T>(shape.packed_vectors())),
        sum_size(line_up<T>(shape.columns * shape.depth)),
        block_size(line_up<T>(shape.packed_x())),
        z_size(line_up<T>(shape.z())),
        tile_size(line_up<T>(shape.classes * kLanes<T>)) {}

  Index thread_size() const { return block_size + z_size + 3 * tile_size; }
  ScratchPlan<T> plan() const { return {vectors_size + partitions * sum_size, thread_size()}; }
  T* vectors(std::span<std::byte> scratch) const { return plan().memory(scratch); }
  T* sum(std::span<std::byte> scratch, Index partition) const {
    return vectors(scratch) + vectors_size + partition * sum_size;
  }
  T* thread(std::span<std::byte> scratch, int number) const {
    return plan().thread_memory(scratch, number);
  }
};

// One block's steps between the two products: R in the place of Z.
template <class T>
class BlockStep {
 public:
  BlockStep(const LinearSweep<T>& op, const PanelShape<T>& shape, T* z, T* tiles, Index tile_size)
      : op_(op), shape_(shape), z_(z), logits_(tiles), p_(tiles + tile_size), room_(tiles + 2 * tile_size) {}

  // For rows first…first+count−1 of the data set. Lanes are vectors as far as they fill whole SIMD vectors; the
  // vectors left over are taken with rows as lanes.
  void run(Index first, Index count) {
    const Index whole = shape_.vectors / kLanes<T> * kLanes<T>;
    for (Index row = 0; row < count && whole > 0; ++row) {
      set_examples(first + row, 1, 0);
      for (Index j = 0; j < whole; j += kLanes<T>) step(z_ + row * shape_.z_stride + j, 1, kLanes<T>);
    }
    for (Index row = 0; row < count && whole < shape_.vectors; row += kLanes<T>) {
      const Index lanes = std::min<Index>(kLanes<T>, count - row);
      set_examples(first + row, lanes, 1);
      for (Index j = whole; j < shape_.vectors; ++j) step(z_ + row * shape_.z_stride + j, shape_.z_stride, lanes);
    }
    exclude(first, count);
  }

 private:
  // What belongs to the examples: lane l is example `first` + l·step.
  void set_examples(Index first, Index lanes, Index step) {
    if (op_.step == SweepStep::gradient) {
      for (Index lane = 0; lane < kLanes<T>; ++lane)
        labels_[lane] = op_.labels[first + (lane < lanes ? lane * step : 0)];
    } else if (op_.step != SweepStep::given) {
      gather(op_.probabilities.row(first), 1, step * op_.probabilities.stride, lanes, shape_.classes, p_);
    }
    if (op_.example_weights)
      for (Index lane = 0; lane < kLanes<T>; ++lane)
        weights_[lane] = op_.example_weights[first + (lane < lanes ? lane * step : 0)];
  }

  void step(T* z, Index lane_step, Index lanes) {
    const Index classes = shape_.classes, class_step = shape_.vectors;
    gather(z, class_step, lane_step, lanes, classes, logits_);
    switch (op_.step) {
      case SweepStep::gradient:
        gradient_tile<T>(logits_, labels_, classes);
        break;
      case SweepStep::tangent:
        tangent_tile(logits_, p_, classes);
        break;
      case SweepStep::difference:
        difference_tile(logits_, p_, classes, room_);
        break;
      case SweepStep::scaled:
        for (Index c = 0; c < classes; ++c)
          store(logits_ + c * kLanes<T>, load(p_ + c * kLanes<T>) * load(logits_ + c * kLanes<T>));
        break;
      case SweepStep::given:
        break;
    }
    if (op_.example_weights)
      for (Index c = 0; c < classes; ++c) store(logits_ + c * kLanes<T>, load(logits_ + c * kLanes<T>) * weights_);
    scatter(logits_, class_step, lane_step, lanes, classes, z);
  }

  void exclude(Index first, Index count) {
    const auto& [rows, vectors, entries] = op_.exclusions;
    const Index* next = std::lower_bound(rows, rows + entries, first);
    for (; next != rows + entries && *next < first + count; ++next) {
      T* z = z_ + (*next - first) * shape_.z_stride + vectors[next - rows];
      for (Index c = 0; c < shape_.classes; ++c) z[c * shape_.vectors] = 0;
    }
  }

  const LinearSweep<T>& op_;
  const PanelShape<T>& shape_;
  T *z_, *logits_, *p_, *room_;
  Integers<T> labels_{};
  Vector<T> weights_{};
};

// R in the place of Z: its columns are class after class there.
template <class T>
void load_residuals(const LinearSweep<T>& op, const PanelShape<T>& shape, Index first, Index count, T* z) {
  for (Index row = 0; row < count; ++row)
    for (Index j = 0; j < shape.vectors; ++j)
      for (Index c = 0; c < shape.classes; ++c)
        z[row * shape.z_stride + c * shape.vectors + j] = op.residuals(first + row, j * shape.classes + c);
}

template <class T>
void sweep_partition(const LinearSweep<T>& op, const SweepScratch<T>& plan, Index partition, int thread) {
  const auto& shape = plan.shape;
  T* block = plan.thread(op.scratch, thread);
  T* z = block + plan.block_size;
  T* sum = plan.sum(op.scratch, partition);
  const T* vectors = plan.vectors(op.scratch);
  BlockStep<T> step(op, shape, z, z + plan.z_size, plan.tile_size);

  std::fill(sum, sum + shape.columns * shape.depth, T(0));
  const Index n = op.features.rows;
  const Index last = n * (partition + 1) / plan.partitions;
  for (Index first = n * partition / plan.partitions; first < last; first += shape.rows) {
    const Index count = std::min(shape.rows, last - first);
    pack_rows(shape, op.features, first, count, padded_rows<T>(count), block);
    if (op.step == SweepStep::given) load_residuals(op, shape, first, count, z);
    else forward(shape, block, vectors, count, z);
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
  return SweepScratch<T>(op).plan().bytes(device);
}

template void linear_sweep(Device&, const LinearSweep<float>&);
template void linear_sweep(Device&, const LinearSweep<double>&);
template std::size_t linear_sweep_scratch(const Device&, const LinearSweep<float>&);
template std::size_t linear_sweep_scratch(const Device&, const LinearSweep<double>&);

}  // namespace clout::cpu
