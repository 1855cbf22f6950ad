#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/sparse_lines.hpp>
#include <clout/kernels/cpu/sparse_sweep.hpp>
#include <clout/kernels/cpu/sweep_step.hpp>

namespace clout::cpu {
namespace {

// Features whose weights are packed, and whose sums are added, at a time: rows of the parameters are long.
constexpr Index kFeaturesAtOnce = 16;

// How columns of Z, W′ and G are cut, and how the scratch memory is carved: W′ | a G per partition | per thread: a
// block's Z, the step's tiles, sums in double; where X is thin: W′ | Z of all rows | per thread: tiles and sums. W′ and G
// are [strip][d (+ 1)][width of the strip].
template <class T>
struct SparsePlan {
  Index features, depth;  // d, and one more with a bias
  Index columns, width;   // k·K, and that in whole vectors
  Index z_stride;         // an odd number of cache lines, so that walking down a column meets all cache sets
  Index blocks, partitions, matrix_size, z_size, tiles_size, totals_size;
  bool is_thin;

  explicit SparsePlan(const LinearSweep<T>& op)
      : features(op.shape.features),
        depth(features + (op.shape.bias ? 1 : 0)),
        columns(op.vectors.rows * op.shape.classes),
        width(round_up(columns, kLanes<T>)) {
    constexpr Index kLine = 64 / static_cast<Index>(sizeof(T));
    z_stride = (ceil_div(width, kLine) | 1) * kLine;
    blocks = ceil_div(op.features.rows, kSparseBlockRows);
    partitions = std::clamp<Index>(blocks, 1, 32);  // each with a sum of its own: a function of n alone
    matrix_size = line_up<T>(depth * width);
    z_size = std::min(op.features.rows, kSparseBlockRows) * z_stride;
    tiles_size = BlockStep<T>::tiles_size(op);
    totals_size = line_up<T>(kFeaturesAtOnce * width * static_cast<Index>(sizeof(double) / sizeof(T)));
    is_thin = op.sparse.block_rows > kSparseBlockRows;
  }

  ScratchPlan<T> memory() const {
    if (is_thin) return {matrix_size + blocks * z_size, tiles_size + totals_size};
    return {(1 + partitions) * matrix_size, z_size + tiles_size + totals_size};
  }
  T* vectors(const LinearSweep<T>& op) const { return memory().memory(op.scratch); }
  T* sum(const LinearSweep<T>& op, Index partition) const { return vectors(op) + (1 + partition) * matrix_size; }
  T* z(const LinearSweep<T>& op, int thread) const { return memory().thread_memory(op.scratch, thread); }
  T* all_z(const LinearSweep<T>& op) const { return vectors(op) + matrix_size; }
  T* tiles(const LinearSweep<T>& op, int thread) const { return z(op, thread) + (is_thin ? 0 : z_size); }
  double* totals(const LinearSweep<T>& op, int thread) const {
    return reinterpret_cast<double*>(tiles(op, thread) + tiles_size);
  }
  // body(first column, std::integral_constant<int, vectors>) for every strip.
  template <class Body>
  void for_each_strip(Body&& body) const {
    for_each_tile<kStrip>(width / kLanes<T>, [&](Index vector, auto vectors) { body(vector * kLanes<T>, vectors); });
  }
};

// W′ by strips: weights times X's scale, then the biases.
template <class T>
void pack_vectors(const Device& device, const LinearSweep<T>& op, const SparsePlan<T>& plan) {
  const Index d = plan.features, classes = op.shape.classes, k = op.vectors.rows;
  parallel_ranges(device, plan.depth, kFeaturesAtOnce, [&](Index first, Index count) {
    plan.for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      T* to = plan.vectors(op) + column * plan.depth + first * kWidth;
      for (Index lane = 0; lane < kWidth; ++lane) {
        const Index c = (column + lane) / k, j = (column + lane) % k;
        for (Index f = 0; f < count; ++f) {
          const bool is_weight = first + f < d;
          T value = 0;  // beyond the last column
          if (c < classes)
            value = is_weight ? op.features.scale * op.vectors(j, c * d + first + f) : op.vectors(j, classes * d + c);
          to[f * kWidth + lane] = value;
        }
      }
    });
  });
}

template <class T>
alignas(64) constexpr T kZeros[kStrip * kLanes<T>] = {};

// Z = X W′ for the block's rows.
template <class T>
void forward(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index first, Index count, T* z) {
  with_entries(op.sparse.rows, [&](const auto& x) {
    plan.for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      const T* weights = plan.vectors(op) + column * plan.depth;
      const T* start = op.shape.bias ? weights + plan.features * kWidth : kZeros<T>;
      for (Index row = 0; row < count; ++row) {
        const Index at = x.starts[first + row];
        multiply_line<T, vectors>(x.places + at, x.stored + at, x.starts[first + row + 1] - at, weights, kWidth, start,
                                  z + row * plan.z_stride + column);
      }
    });
  });
}

// G += Rᵀ X over the block's rows; R in the place of Z.
template <class T>
void backward(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index block, Index count, const T* z, T* sum) {
  with_entries(op.sparse.columns, [&](const auto& x) {
    const Index* starts = x.starts + block * plan.features;
    plan.for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      T* to = sum + column * plan.depth;
      for (Index f = 0; f < plan.features; ++f, to += kWidth)
        if (starts[f] < starts[f + 1])
          multiply_line<T, vectors>(x.places + starts[f], x.stored + starts[f], starts[f + 1] - starts[f], z + column,
                                    plan.z_stride, to, to);
      for (Index row = 0; op.shape.bias && row < count; ++row)
        for (Index lane = 0; lane < kWidth; lane += kLanes<T>)
          store(to + lane, load(to + lane) + load(z + row * plan.z_stride + column + lane));
    });
  });
}

template <class T>
void sweep_partition(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index partition, int thread) {
  T *z = plan.z(op, thread), *sum = plan.sum(op, partition);
  BlockStep<T> step(op, z, plan.z_stride, plan.tiles(op, thread));
  std::fill_n(sum, plan.matrix_size, T(0));
  if (op.step == SweepStep::given) std::fill_n(z, plan.z_size, T(0));  // backward() reads whole vectors of columns
  const Index last = plan.blocks * (partition + 1) / plan.partitions;
  for (Index block = plan.blocks * partition / plan.partitions; block < last; ++block) {
    const Index first = block * kSparseBlockRows, count = std::min(kSparseBlockRows, op.features.rows - first);
    if (op.step != SweepStep::given) forward(op, plan, first, count, z);
    step.run(first, count);
    backward(op, plan, block, count, z, sum);
  }
}

// out_j = scale · totals, [count][Width], of `count` features (or the bias) from `first` on and a strip of columns.
template <Index Width, class T>
void write_totals(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index first, Index count, Index column,
                  const double* totals) {
  const Index d = plan.features, classes = op.shape.classes, k = op.vectors.rows;
  const double scale = static_cast<double>(op.scale), feature_scale = scale * static_cast<double>(op.features.scale);
  for (Index lane = 0; lane < std::min(Width, plan.columns - column); ++lane) {
    const Index c = (column + lane) / k, j = (column + lane) % k;
    for (Index f = 0; f < count; ++f) {
      const double total = totals[f * Width + lane];
      if (first + f < d) op.out(j, c * d + first + f) = static_cast<T>(feature_scale * total);
      else op.out(j, classes * d + c) = static_cast<T>(scale * total);
    }
  }
}

// out_j = scale · Σ over partitions, in order and in double.
template <class T>
void add_partitions(const Device& device, const LinearSweep<T>& op, const SparsePlan<T>& plan) {
  parallel_tasks(device, ceil_div(plan.depth, kFeaturesAtOnce), [&](Index task, int thread) {
    const Index first = task * kFeaturesAtOnce, count = std::min(kFeaturesAtOnce, plan.depth - first);
    double* totals = plan.totals(op, thread);  // [count][width of the strip]
    plan.for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      std::fill_n(totals, count * kWidth, 0.0);
      for (Index partition = 0; partition < plan.partitions; ++partition) {
        const T* sum = plan.sum(op, partition) + column * plan.depth + first * kWidth;
        for (Index i = 0; i < count * kWidth; ++i) totals[i] += static_cast<double>(sum[i]);
      }
      write_totals<kWidth>(op, plan, first, count, column, totals);
    });
  });
}

// Σ over the rows of Z from `column` on: the bias's G, blocks of rows added in double.
template <Index Width, class T>
void add_rows(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index column, double* totals) {
  for (Index block = 0; block < plan.blocks; ++block) {
    const Index first = block * kSparseBlockRows, count = std::min(kSparseBlockRows, op.features.rows - first);
    T sums[Width] = {};
    const T* z = plan.all_z(op) + first * plan.z_stride + column;
    for (Index row = 0; row < count; ++row, z += plan.z_stride)
      for (Index lane = 0; lane < Width; ++lane) sums[lane] += z[lane];
    for (Index lane = 0; lane < Width; ++lane) totals[lane] += static_cast<double>(sums[lane]);
  }
}

// out_j = scale · Rᵀ X for a few features: each feature's entries block after block, blocks added in double.
template <class T>
void backward_thin(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index first, Index count, double* totals) {
  with_entries(op.sparse.columns, [&](const auto& x) {
    plan.for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      std::fill_n(totals, count * kWidth, 0.0);
      for (Index f = 0; f < count; ++f) {
        double* to = totals + f * kWidth;
        if (first + f == plan.features) add_rows<kWidth>(op, plan, column, to);
        for (Index row = 0; row < op.features.rows && first + f < plan.features; row += kThinBlockRows) {
          const Index* starts = x.starts + row / kThinBlockRows * plan.features + first + f;
          if (starts[0] == starts[1]) continue;
          alignas(64) T part[kWidth];
          multiply_line<T, vectors>(x.places + starts[0], x.stored + starts[0], starts[1] - starts[0],
                                    plan.all_z(op) + row * plan.z_stride + column, plan.z_stride, kZeros<T>, part);
          for (Index lane = 0; lane < kWidth; ++lane) to[lane] += static_cast<double>(part[lane]);
        }
      }
      write_totals<kWidth>(op, plan, first, count, column, totals);
    });
  });
}

// A thin X and one column of Z: W′ and Z are short enough, number by number, for the first-level cache.
template <class T>
void thin_sweep_of_one(Device& device, const LinearSweep<T>& op, const SparsePlan<T>& plan) {
  T *w = plan.vectors(op), *z = plan.all_z(op);
  const Index d = plan.features;
  const T* vector = op.step == SweepStep::given ? nullptr : op.vectors.row(0);
  for (Index f = 0; vector && f < plan.depth; ++f) w[f] = f < d ? op.features.scale * vector[f] : vector[f];
  parallel_tasks(device, plan.blocks, [&](Index block, int thread) {
    const Index first = block * kSparseBlockRows, count = std::min(kSparseBlockRows, op.features.rows - first);
    with_entries(op.sparse.rows, [&](const auto& x) {
      for (Index row = first; vector && row < first + count; ++row) {
        const Index at = x.starts[row];
        z[row] = dot_line(x.places + at, x.stored + at, x.starts[row + 1] - at, w) + (op.shape.bias ? w[d] : T(0));
      }
    });
    BlockStep<T>(op, z + first, 1, plan.tiles(op, thread)).run(first, count);
  });
  const double scale = static_cast<double>(op.scale), feature_scale = scale * static_cast<double>(op.features.scale);
  parallel_ranges(device, d, kSparseBlockRows, [&](Index first, Index count) {
    with_entries(op.sparse.columns, [&](const auto& x) {
      for (Index f = first; f < first + count; ++f) {
        double total = 0;
        for (Index row = 0; row < op.features.rows; row += kThinBlockRows) {
          const Index* starts = x.starts + row / kThinBlockRows * d + f;
          total += static_cast<double>(dot_line(x.places + starts[0], x.stored + starts[0], starts[1] - starts[0], z + row));
        }
        op.out(0, f) = static_cast<T>(feature_scale * total);
      }
    });
  });
  if (!op.shape.bias) return;
  double total = 0;
  for (Index row = 0; row < op.features.rows; ++row) total += static_cast<double>(z[row]);
  op.out(0, d) = static_cast<T>(scale * total);
}

// A thin X: Z of all rows first, then G by features, so that no sum is there twice.
template <class T>
void thin_sweep(Device& device, const LinearSweep<T>& op, const SparsePlan<T>& plan) {
  parallel_tasks(device, plan.blocks, [&](Index block, int thread) {
    const Index first = block * kSparseBlockRows, count = std::min(kSparseBlockRows, op.features.rows - first);
    T* z = plan.all_z(op) + first * plan.z_stride;
    if (op.step == SweepStep::given) std::fill_n(z, count * plan.z_stride, T(0));
    else forward(op, plan, first, count, z);
    BlockStep<T>(op, z, plan.z_stride, plan.tiles(op, thread)).run(first, count);
  });
  parallel_tasks(device, ceil_div(plan.depth, kFeaturesAtOnce), [&](Index task, int thread) {
    const Index first = task * kFeaturesAtOnce;
    backward_thin(op, plan, first, std::min(kFeaturesAtOnce, plan.depth - first), plan.totals(op, thread));
  });
}

}  // namespace

// out_j = scale · Σᵢ wᵢ rᵢⱼ ⊗ (xᵢ, 1).  4Kk flops per entry of X; each entry is read twice per strip of columns, from
// cache but for the first time: W′ and the sums stay in the second-level cache, strip by strip.
template <class T>
void sparse_sweep(Device& device, const LinearSweep<T>& op) {
  const SparsePlan<T> plan(op);
  ensure(op.scratch.size() >= plan.memory().bytes(device), "linear_sweep: scratch smaller than planned");
  if (plan.columns == 0) return;
  if (plan.is_thin && plan.columns == 1) return thin_sweep_of_one(device, op, plan);
  if (op.step != SweepStep::given) pack_vectors(device, op, plan);
  if (plan.is_thin) return thin_sweep(device, op, plan);
  parallel_tasks(device, plan.partitions,
                 [&](Index partition, int thread) { sweep_partition(op, plan, partition, thread); });
  add_partitions(device, op, plan);
}

template <class T>
std::size_t sparse_sweep_scratch(const Device& device, const LinearSweep<T>& op) {
  return SparsePlan<T>(op).memory().bytes(device);
}

// A = X Vᵀ + b.  2Kk flops per entry of X.
template <class T>
void sparse_forward(Device& device, const LinearForward<T>& op) {
  LinearSweep<T> sweep{};
  sweep.features = op.features;
  sweep.sparse = op.sparse;
  sweep.shape = op.shape;
  sweep.vectors = op.vectors;
  const SparsePlan<T> plan(sweep);
  if (plan.columns == 0) return;
  const ScratchPlan<T> memory{plan.matrix_size, plan.z_size};
  Buffer<std::byte> scratch(device, static_cast<Index>(memory.bytes(device)));
  sweep.scratch = {scratch.data(), memory.bytes(device)};
  pack_vectors(device, sweep, plan);
  parallel_tasks(device, plan.blocks, [&](Index block, int thread) {
    const Index first = block * kSparseBlockRows, count = std::min(kSparseBlockRows, op.features.rows - first);
    T* z = memory.thread_memory(sweep.scratch, thread);
    forward(sweep, plan, first, count, z);
    const Index classes = op.shape.classes, k = op.vectors.rows;
    for (Index row = 0; row < count; ++row, z += plan.z_stride)
      for (Index c = 0; c < classes; ++c)
        for (Index j = 0; j < k; ++j) op.outputs(first + row, j * classes + c) = z[c * k + j];
  });
}

template void sparse_forward(Device&, const LinearForward<float>&);
template void sparse_forward(Device&, const LinearForward<double>&);
template void sparse_sweep(Device&, const LinearSweep<float>&);
template void sparse_sweep(Device&, const LinearSweep<double>&);
template std::size_t sparse_sweep_scratch(const Device&, const LinearSweep<float>&);
template std::size_t sparse_sweep_scratch(const Device&, const LinearSweep<double>&);

}  // namespace clout::cpu
