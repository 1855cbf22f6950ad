#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/softmax_hessian.hpp>
#include <clout/kernels/interruption.hpp>
#include <cmath>
#include <vector>

namespace clout::cpu {
namespace {

constexpr Index kBlockRows = 96;  // rows of X that are packed at a time
constexpr Index kTasks = 32;      // at least so many, where there is that much work

// A task computes block (c, c′) of the Hessian, c < c′, or a band of its columns: a triangle of square tiles, since
// the block is symmetric. Every tile belongs to one task, which adds up all rows in order: nothing depends on threads.
struct Triangle {
  Index panels;  // the block is panels × panels tiles; tile (a, b) with b ≤ a
  Index pairs, bands;

  Triangle(Index columns, Index panel, Index classes)
      : panels(ceil_div(columns, panel)),
        pairs(classes * (classes - 1) / 2),
        bands(std::clamp<Index>(pairs > 0 ? ceil_div(kTasks, pairs) : 1, 1, panels)) {}

  // First panel of a band: bands of about equal area.
  Index start(Index band) const {
    return static_cast<Index>(
        std::lround(static_cast<double>(panels) * std::sqrt(static_cast<double>(band) / static_cast<double>(bands))));
  }
  static Index tiles_before(Index a) { return a * (a + 1) / 2; }
};

// Room of one thread, [block of X | one weighted panel | weights of the rows | tiles], in elements.
template <class T>
struct ThreadRoom {
  Index block, panel, weights, tiles;

  explicit ThreadRoom(Index columns) {
    const Index panels = ceil_div(columns, kPanel<T>);
    block = kBlockRows * panels * kPanel<T>;
    panel = kBlockRows * kPanel<T>;
    weights = kBlockRows;
    tiles = Triangle::tiles_before(panels) * kPanel<T> * kPanel<T>;
  }
  Index size() const { return block + panel + weights + tiles; }
};

template <class T>
class HessianTask {
 public:
  HessianTask(const SoftmaxHessian<T>& op, const std::vector<Index>& columns, const Triangle& triangle, Pair pair,
              Index band, T* room)
      : op_(op), columns_(columns), pair_(pair), begin_(triangle.start(band)), end_(triangle.start(band + 1)) {
    const ThreadRoom<T> sizes(std::ssize(columns));
    block_ = room;
    panel_ = block_ + sizes.block;
    weights_ = panel_ + sizes.panel;
    tiles_ = weights_ + sizes.weights;
  }

  void run() {
    std::fill(tiles_, tile(end_, 0), T(0));
    for (Index first = 0; first < op_.features.rows; first += kBlockRows) {
      const Index count = std::min(kBlockRows, op_.features.rows - first);
      pack(first, count);
      weigh(first, count);
      for (Index a = begin_; a < end_; ++a) accumulate(a, count);
    }
    for (Index a = begin_; a < end_; ++a)
      for (Index b = 0; b <= a; ++b) scatter(a, b);
  }

 private:
  T* tile(Index a, Index b) const {
    return tiles_ + (Triangle::tiles_before(a) - Triangle::tiles_before(begin_) + b) * kPanel<T> * kPanel<T>;
  }

  void pack(Index first, Index count) {
    const Index d = op_.features.columns, width = std::min<Index>(end_ * kPanel<T>, std::ssize(columns_));
    const auto pack_row = [&](const auto* from, T* to) {
      for (Index i = 0; i < end_ * kPanel<T>; ++i) {
        T& target = to[i / kPanel<T> * (kBlockRows * kPanel<T>)+i % kPanel<T>];
        if (i >= width) target = 0;
        else target = columns_[i] < d ? static_cast<T>(from[columns_[i]]) : T(1);
      }
    };
    for (Index row = 0; row < count; ++row) {
      if (op_.features.bytes) pack_row(op_.features.bytes + (first + row) * d, block_ + row * kPanel<T>);
      else pack_row(op_.features.values + (first + row) * d, block_ + row * kPanel<T>);
    }
  }

  void weigh(Index first, Index count) {
    for (Index row = 0; row < count; ++row) {
      const T* p = op_.probabilities.row(first + row);
      const T product = p[pair_.first] * p[pair_.second];
      weights_[row] = op_.example_weights ? op_.example_weights[first + row] * product : product;
    }
  }

  // Tiles (a, 0…a) += X_bᵀ (w ∘ X_a). A block's rows have a sum of their own: one of all rows, which have one sign, would lose
  // two digits more in single precision (n = 55,000).
  void accumulate(Index a, Index count) {
    const Index stride = kBlockRows * kPanel<T>;
    for (Index row = 0; row < count; ++row)
      for (Index lane = 0; lane < kPanel<T>; ++lane)
        panel_[row * kPanel<T> + lane] = weights_[row] * block_[a * stride + row * kPanel<T> + lane];
    for (Index b = 0; b <= a; ++b)
      for_each_tile<kTileRows>(kPanel<T>, [&](Index i, auto rows) {
        Tile<T, rows> sums;
        sums.clear();
        sums.multiply_add(block_ + b * stride + i, 1, kPanel<T>, panel_, count);
        sums.add_to(tile(a, b) + i * kPanel<T>, kPanel<T>);
      });
  }

  Index parameter(Index c, Index column) const {
    const Index d = op_.shape.features;
    return column < d ? c * d + column : op_.shape.classes * d + c;
  }

  // H_cc′ = H_c′c = −scale · tile, a symmetric block: four places for each number.
  void scatter(Index a, Index b) {
    const Index d = op_.shape.features;
    const auto [c, other] = pair_;
    const double feature_scale = static_cast<double>(op_.features.scale);
    for (Index i = 0; i < kPanel<T>; ++i)
      for (Index lane = a == b ? i : 0; lane < kPanel<T>; ++lane) {
        const Index row = b * kPanel<T> + i, column = a * kPanel<T> + lane;
        if (row >= std::ssize(columns_) || column >= std::ssize(columns_)) continue;
        const Index u = columns_[row], v = columns_[column];
        const double scale =
            -static_cast<double>(op_.scale) * (u < d ? feature_scale : 1) * (v < d ? feature_scale : 1);
        const T value = static_cast<T>(scale * static_cast<double>(tile(a, b)[i * kPanel<T> + lane]));
        op_.out(parameter(c, u), parameter(other, v)) = op_.out(parameter(c, v), parameter(other, u)) = value;
        op_.out(parameter(other, v), parameter(c, u)) = op_.out(parameter(other, u), parameter(c, v)) = value;
      }
  }

  const SoftmaxHessian<T>& op_;
  const std::vector<Index>& columns_;
  Pair pair_;
  Index begin_, end_;
  T *block_, *panel_, *weights_, *tiles_;
};

// The columns of X that are not zero throughout, then d for the bias's ones: the others' rows and columns of the
// Hessian are zero.
template <class T>
std::vector<Index> active_columns(const Device& device, const FeatureView<T>& x, bool bias) {
  constexpr Index kParts = 16;
  const Index d = x.columns;
  std::vector<char> seen(static_cast<std::size_t>(kParts * d));
  parallel_tasks(device, kParts, [&](Index part, int) {
    char* flags = seen.data() + part * d;
    for (Index row = x.rows * part / kParts; row < x.rows * (part + 1) / kParts; ++row)
      for (Index f = 0; f < d; ++f)
        flags[f] = static_cast<char>(flags[f] | (x.bytes ? x.bytes[row * d + f] != 0 : x.values[row * d + f] != 0));
  });
  std::vector<Index> columns;
  for (Index f = 0; f < d; ++f)
    for (Index part = 0; part < kParts; ++part)
      if (seen[static_cast<std::size_t>(part * d + f)]) {
        columns.push_back(f);
        break;
      }
  if (bias) columns.push_back(d);
  return columns;
}

}  // namespace

// H = scale · Σ wᵢ (diag pᵢ − pᵢpᵢᵀ) ⊗ (xᵢ, 1)(xᵢ, 1)ᵀ.  K(K−1)/2 · n d(d+1) flops, less for columns of zeros; X is
// read once per pair of classes, from bytes where it is bytes. Without its zeros: sparse_hessian.cpp.
template <class T>
void softmax_hessian(Device& device, const SoftmaxHessian<T>& op) {
  ensure(op.scratch.size() >= softmax_hessian_scratch(device, op), "softmax_hessian: scratch smaller than planned");
  const Index p = op.out.rows;
  parallel_tasks(device, p, [&](Index row, int) { std::fill_n(op.out.row(row), p, T(0)); });
  if (op.sparse.is_given()) {
    sparse_softmax_hessian(device, op);
    throw_if_interrupted();
    return fill_diagonal_blocks(device, op);
  }
  const std::vector<Index> columns = active_columns(device, op.features, op.shape.bias);
  if (columns.empty()) return;

  const Triangle triangle(std::ssize(columns), kPanel<T>, op.shape.classes);
  const ThreadRoom<T> room(std::ssize(columns));
  const auto address = (reinterpret_cast<std::uintptr_t>(op.scratch.data()) + 63) / 64 * 64;
  parallel_tasks(device, triangle.pairs * triangle.bands, [&](Index task, int thread) {
    if (is_interrupted()) return;
    const Pair pair = pair_of(task / triangle.bands, op.shape.classes);
    T* memory = reinterpret_cast<T*>(address) + thread * room.size();
    HessianTask<T>(op, columns, triangle, pair, task % triangle.bands, memory).run();
  });
  throw_if_interrupted();
  fill_diagonal_blocks(device, op);
}

template <class T>
std::size_t softmax_hessian_scratch(const Device& device, const SoftmaxHessian<T>& op) {
  if (op.sparse.is_given()) return sparse_softmax_hessian_scratch(device, op);
  const ThreadRoom<T> room(op.shape.features + (op.shape.bias ? 1 : 0));
  return static_cast<std::size_t>(room.size() * as_cpu(device).threads()) * sizeof(T) + 64;
}

template void softmax_hessian(Device&, const SoftmaxHessian<float>&);
template void softmax_hessian(Device&, const SoftmaxHessian<double>&);
template std::size_t softmax_hessian_scratch(const Device&, const SoftmaxHessian<float>&);
template std::size_t softmax_hessian_scratch(const Device&, const SoftmaxHessian<double>&);

}  // namespace clout::cpu
