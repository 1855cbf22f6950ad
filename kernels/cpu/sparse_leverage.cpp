#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/sparse_leverage.hpp>
#include <clout/kernels/cpu/sparse_lines.hpp>

// M_i[c][c′] = Σ_u Σ_{v ≥ u} x_u x_v S_uv[c, c′], S_uv what A has at (c, u; c′, v) and at (c, v; c′, u). A pair of classes is a
// lane; S_u of all v is packed once for all rows, stays in the second-level cache, and serves the rows that have u.

namespace clout::cpu {
namespace {

constexpr Index kRows = 32;  // of a task

// The panel [d + 1][width], a sum for each row [n][width], and where each row is by now [n].
template <class T>
struct Room {
  Index width;  // lanes, in whole vectors
  ScratchPlan<T> numbers;
  std::size_t cursors;

  explicit Room(const LinearLeverages<T>& op)
      : width(round_up(op.shape.classes * (op.shape.classes + 1) / 2, kLanes<T>)),
        numbers{.shared = line_up<T>((op.shape.features + 1) * width) + line_up<T>(op.features.rows * width), .own = 0},
        cursors(static_cast<std::size_t>(op.features.rows) * sizeof(Index)) {}
  std::size_t bytes() const { return static_cast<std::size_t>(numbers.shared) * sizeof(T) + cursors + 64; }
};

template <class T, class Place, class Stored>
class Leverages {
 public:
  Leverages(Device& device, const LinearLeverages<T>& op, Entries<Place, Stored> rows)
      : device_(device),
        op_(op),
        rows_(rows),
        d_(op.shape.features),
        classes_(op.shape.classes),
        width_(Room<T>(op).width),
        panel_(Room<T>(op).numbers.memory(op.scratch)),
        sums_(panel_ + line_up<T>((d_ + 1) * width_)),
        cursors_(reinterpret_cast<Index*>(sums_ + line_up<T>(op.features.rows * width_))) {}

  void run() {
    std::fill_n(sums_, op_.features.rows * width_, T(0));
    std::copy_n(rows_.starts, op_.features.rows, cursors_);
    for (Index u = 0; u < d_; ++u) {
      if (!has_rows(u)) continue;
      pack(u);
      parallel_ranges(device_, op_.features.rows, kRows, [&](Index first, Index count) {
        for (Index row = first; row < first + count; ++row)
          if (is_at(row, u)) visit(row, cursors_[row]++);
      });
    }
    parallel_tasks(device_, op_.features.rows, [&](Index row, int) { write(row); });
  }

 private:
  // Whether the next entry of the row is feature u.
  bool is_at(Index row, Index u) const {
    return cursors_[row] < rows_.starts[row + 1] && rows_.places[cursors_[row]] == static_cast<Place>(u);
  }
  bool has_rows(Index u) const {
    for (Index row = 0; row < op_.features.rows; ++row)
      if (is_at(row, u)) return true;
    return false;
  }

  Index parameter(Index c, Index column) const { return column < d_ ? c * d_ + column : op_.shape.weights() + c; }
  T scale(Index column) const { return column < d_ ? op_.features.scale : T(1); }

  // [strip][v][lanes of the strip], v from u to d, times both features' scales.
  void pack(Index u) {
    parallel_ranges(device_, d_ + (op_.shape.bias ? 1 : 0) - u, 64, [&](Index first, Index count) {
      for_each_strip([&](Index column, auto vectors) {
        constexpr Index kWidth = vectors * kLanes<T>;
        T* to = panel_ + column * (d_ + 1);
        Index lane = 0;
        for (Index c = 0; c < classes_; ++c)
          for (Index other = c; other < classes_; ++other, ++lane) {
            if (lane < column || lane >= column + kWidth) continue;
            for (Index v = u + first; v < u + first + count; ++v) {
              T value = op_.matrix(parameter(c, u), parameter(other, v));
              if (v != u) value += op_.matrix(parameter(other, u), parameter(c, v));
              to[v * kWidth + lane - column] = scale(u) * scale(v) * value;
            }
          }
      });
    });
  }

  template <class Body>
  void for_each_strip(Body&& body) const {
    for_each_tile<kStrip>(width_ / kLanes<T>, [&](Index vector, auto vectors) { body(vector * kLanes<T>, vectors); });
  }

  // What feature u, at `begin` of its row, adds: x_u times the sum over what the row has from u on.
  void visit(Index row, Index begin) {
    const Vector<T> value = broadcast(number<T>(rows_.stored[begin]));
    for_each_strip([&](Index column, auto vectors) {
      constexpr Index kWidth = vectors * kLanes<T>;
      static constexpr T kNothing[kStrip * kLanes<T>] = {};
      const T* in = panel_ + column * (d_ + 1);
      alignas(64) T sum[kWidth];
      multiply_line<T, vectors>(rows_.places + begin, rows_.stored + begin, rows_.starts[row + 1] - begin, in, kWidth,
                                op_.shape.bias ? in + d_ * kWidth : kNothing, sum);
      T* to = sums_ + row * width_ + column;
      for (Index v = 0; v < vectors; ++v)
        store(to + v * kLanes<T>, add_product<T>(load(to + v * kLanes<T>), value, load(sum + v * kLanes<T>)));
    });
  }

  // The pairs' sums, and the bias's with itself, as symmetric matrices.
  void write(Index row) {
    Index lane = 0;
    for (Index c = 0; c < classes_; ++c)
      for (Index other = c; other < classes_; ++other, ++lane) {
        T value = sums_[row * width_ + lane];
        if (op_.shape.bias) value += op_.matrix(parameter(c, d_), parameter(other, d_));
        op_.out(row, c * classes_ + other) = op_.out(row, other * classes_ + c) = value;
      }
  }

  Device& device_;
  const LinearLeverages<T>& op_;
  Entries<Place, Stored> rows_;
  Index d_, classes_, width_;
  T *panel_, *sums_;
  Index* cursors_;
};

}  // namespace

// K(K+1)/2 · Σ mᵢ² flops for rows with mᵢ entries.
template <class T>
void sparse_leverages(Device& device, const LinearLeverages<T>& op) {
  with_entries(op.sparse.rows, [&](const auto& rows) { Leverages(device, op, rows).run(); });
}

template <class T>
std::size_t sparse_leverages_scratch(const LinearLeverages<T>& op) {
  return Room<T>(op).bytes();
}

template void sparse_leverages(Device&, const LinearLeverages<float>&);
template void sparse_leverages(Device&, const LinearLeverages<double>&);
template std::size_t sparse_leverages_scratch(const LinearLeverages<float>&);
template std::size_t sparse_leverages_scratch(const LinearLeverages<double>&);

}  // namespace clout::cpu
