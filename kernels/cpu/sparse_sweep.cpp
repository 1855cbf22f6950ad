#include <array>
#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/sparse_sweep.hpp>
#include <clout/kernels/cpu/sweep_step.hpp>

namespace clout::cpu {
namespace {

// Both products are one: lines of X times a strip of columns, [place][strip]. Vectors of a strip, and accumulators in
// registers: narrow strips take several entries at a time, so that no sum waits for its own last addition.
constexpr int kStrip = 8;
// Features whose weights are packed, and whose sums are added, at a time: rows of the parameters are long.
constexpr Index kFeaturesAtOnce = 16;

// Bytes as T: one load that broadcasts instead of a conversion.
template <class T>
constexpr std::array<T, 256> kByteValues = [] {
  std::array<T, 256> values{};
  for (std::size_t byte = 0; byte < 256; ++byte) values[byte] = static_cast<T>(byte);
  return values;
}();

template <class T>
T number(T value) {
  return value;
}
template <class T>
T number(std::uint8_t byte) {
  return kByteValues<T>[byte];
}

// How columns of Z, W′ and G are cut, and how the scratch memory is carved: W′ | a G per partition | per thread: a
// block's Z, the step's tiles, sums in double. W′ and G are [strip][d (+ 1)][width of the strip].
template <class T>
struct SparsePlan {
  Index features, depth;  // d, and one more with a bias
  Index columns, width;   // k·K, and that in whole vectors
  Index z_stride;         // an odd number of cache lines, so that walking down a column meets all cache sets
  Index blocks, partitions, matrix_size, z_size, tiles_size, totals_size;

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
  }

  ScratchPlan<T> memory() const {
    return {(1 + partitions) * matrix_size, z_size + tiles_size + totals_size};
  }
  T* vectors(const LinearSweep<T>& op) const { return memory().memory(op.scratch); }
  T* sum(const LinearSweep<T>& op, Index partition) const { return vectors(op) + (1 + partition) * matrix_size; }
  T* z(const LinearSweep<T>& op, int thread) const { return memory().thread_memory(op.scratch, thread); }
  T* tiles(const LinearSweep<T>& op, int thread) const { return z(op, thread) + z_size; }
  double* totals(const LinearSweep<T>& op, int thread) const {
    return reinterpret_cast<double*>(tiles(op, thread) + tiles_size);
  }
  // body(first column, std::integral_constant<int, vectors>) for every strip.
  template <class Body>
  void for_each_strip(Body&& body) const {
    for_each_tile<kStrip>(width / kLanes<T>, [&](Index vector, auto vectors) { body(vector * kLanes<T>, vectors); });
  }
};

// Lines of a matrix, as they are stored.
template <class Place, class Stored>
struct Entries {
  const Index* starts;
  const Place* places;
  const Stored* stored;
};

// body(entries) with the types that the lines have.
template <class T, class Body>
void with_entries(const SparseLines<T>& lines, Body&& body) {
  const auto with_places = [&](const auto* stored) {
    if (lines.wide) body(Entries{lines.starts, lines.wide, stored});
    else body(Entries{lines.starts, lines.narrow, stored});
  };
  if (lines.bytes) with_places(lines.bytes);
  else with_places(lines.values);
}

// out = start + Σ over a line's entries of stored · in[place], a strip of Width vectors.
template <class T, int Width, class Place, class Stored>
[[gnu::always_inline]] inline void multiply_line(const Place* place, const Stored* stored, Index count, const T* in,
                                                 Index in_stride, const T* start, T* out) {
  constexpr int kSets = std::max(1, kStrip / Width);
  Vector<T> sums[kSets][Width] = {};
#pragma GCC unroll 16
  for (int v = 0; v < Width; ++v) sums[0][v] = load(start + v * kLanes<T>);
  const auto add = [&](int set, Index entry) [[gnu::always_inline]] {
    const Vector<T> value = in_register(broadcast(number<T>(stored[entry])));
    const T* from = in + static_cast<Index>(place[entry]) * in_stride;
#pragma GCC unroll 16
    for (int v = 0; v < Width; ++v) sums[set][v] = add_product<T>(sums[set][v], value, from + v * kLanes<T>);
  };
  Index entry = 0;
  for (; entry + kSets <= count; entry += kSets)
#pragma GCC unroll 16
    for (int set = 0; set < kSets; ++set) add(set, entry + set);
  for (; entry < count; ++entry) add(0, entry);
#pragma GCC unroll 16
  for (int v = 0; v < Width; ++v) {
    Vector<T> total = sums[0][v];
#pragma GCC unroll 16
    for (int set = 1; set < kSets; ++set) total += sums[set][v];
    store(out + v * kLanes<T>, total);
  }
}

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

// Z = X W′ for the block's rows.
template <class T>
void forward(const LinearSweep<T>& op, const SparsePlan<T>& plan, Index first, Index count, T* z) {
  alignas(64) static constexpr T kZeros[kStrip * kLanes<T>] = {};
  with_entries(op.sparse.rows, [&](const auto& x) {
    plan.for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      const T* weights = plan.vectors(op) + column * plan.depth;
      const T* start = op.shape.bias ? weights + plan.features * kWidth : kZeros;
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

// out_j = scale · Σ over partitions, in order and in double.
template <class T>
void add_partitions(const Device& device, const LinearSweep<T>& op, const SparsePlan<T>& plan) {
  const Index d = plan.features, classes = op.shape.classes, k = op.vectors.rows;
  const double scale = static_cast<double>(op.scale), feature_scale = scale * static_cast<double>(op.features.scale);
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
      for (Index lane = 0; lane < std::min(kWidth, plan.columns - column); ++lane) {
        const Index c = (column + lane) / k, j = (column + lane) % k;
        for (Index f = 0; f < count; ++f) {
          const double total = totals[f * kWidth + lane];
          if (first + f < d) op.out(j, c * d + first + f) = static_cast<T>(feature_scale * total);
          else op.out(j, classes * d + c) = static_cast<T>(scale * total);
        }
      }
    });
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
  if (op.step != SweepStep::given) pack_vectors(device, op, plan);
  parallel_tasks(device, plan.partitions,
                 [&](Index partition, int thread) { sweep_partition(op, plan, partition, thread); });
  add_partitions(device, op, plan);
}

template <class T>
std::size_t sparse_sweep_scratch(const Device& device, const LinearSweep<T>& op) {
  return SparsePlan<T>(op).memory().bytes(device);
}

template void sparse_sweep(Device&, const LinearSweep<float>&);
template void sparse_sweep(Device&, const LinearSweep<double>&);
template std::size_t sparse_sweep_scratch(const Device&, const LinearSweep<float>&);
template std::size_t sparse_sweep_scratch(const Device&, const LinearSweep<double>&);

}  // namespace clout::cpu
