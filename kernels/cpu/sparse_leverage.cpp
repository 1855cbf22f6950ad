#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/micro_kernel.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/sparse_leverage.hpp>
#include <clout/kernels/cpu/sparse_lines.hpp>
#include <utility>

// M_i[c][c′] = Σ_u Σ_{v ≥ u} x_u x_v S_uv[c, c′], S_uv what A has at (c, u; c′, v) and at (c, v; c′, u). A pair of classes is a
// lane; S_u of all v is packed once for all rows, stays in the second-level cache, and serves the rows that have u.

namespace clout::cpu {
namespace {

constexpr Index kVisits = 32;  // of a task

template <class T, class Place, class Stored>
class Leverages {
 public:
  Leverages(Device& device, const LinearLeverages<T>& op, Entries<Place, Stored> rows)
      : device_(device),
        op_(op),
        rows_(rows),
        d_(op.shape.features),
        classes_(op.shape.classes),
        width_(round_up(classes_ * (classes_ + 1) / 2, kLanes<T>)),
        panel_(device, (d_ + 1) * width_ + kPad),
        sums_(device, op.features.rows * width_ + kPad),
        starts_(device, d_ + 1),
        visited_(device, std::max<Index>(1, entries())),
        begins_(device, std::max<Index>(1, entries())) {}

  void run() {
    std::fill_n(sums(), op_.features.rows * width_, T(0));
    list_visits();
    for (Index u = 0; u < d_; ++u) {
      const Index first = starts_.data()[u], count = starts_.data()[u + 1] - first;
      if (count == 0) continue;
      pack(u);
      parallel_ranges(device_, count, kVisits, [&](Index at, Index some) {
        for (Index visit = first + at; visit < first + at + some; ++visit)
          this->visit(visited_.data()[visit], begins_.data()[visit]);
      });
    }
    parallel_tasks(device_, op_.features.rows, [&](Index row, int) { write(row); });
  }

 private:
  static constexpr Index kPad = 64 / static_cast<Index>(sizeof(T));

  Index entries() const { return rows_.starts[op_.features.rows] - rows_.starts[0]; }
  T* aligned(T* memory) const {
    return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(memory) + 63) / 64 * 64);
  }
  T* panel() { return aligned(panel_.data()); }
  T* sums() { return aligned(sums_.data()); }

  // For every feature the rows that have it, in order, and where it stands in them.
  void list_visits() {
    Index* starts = starts_.data();
    std::fill_n(starts, d_ + 1, Index{0});
    for (Index entry = rows_.starts[0]; entry < rows_.starts[op_.features.rows]; ++entry) ++starts[rows_.places[entry]];
    Index total = 0;
    for (Index u = 0; u <= d_; ++u) total += std::exchange(starts[u], total);
    for (Index row = 0; row < op_.features.rows; ++row)
      for (Index entry = rows_.starts[row]; entry < rows_.starts[row + 1]; ++entry) {
        const Index to = starts[rows_.places[entry]]++;
        visited_.data()[to] = row;
        begins_.data()[to] = entry;
      }
    for (Index u = d_; u > 0; --u) starts[u] = starts[u - 1];
    starts[0] = 0;
  }

  Index parameter(Index c, Index column) const { return column < d_ ? c * d_ + column : op_.shape.weights() + c; }
  T scale(Index column) const { return column < d_ ? op_.features.scale : T(1); }

  // [strip][v][lanes of the strip], v from u to d, times both features' scales.
  void pack(Index u) {
    parallel_ranges(device_, d_ + (op_.shape.bias ? 1 : 0) - u, 64, [&](Index first, Index count) {
      for_each_strip([&](Index column, auto vectors) {
        constexpr Index kWidth = vectors * kLanes<T>;
        T* to = panel() + column * (d_ + 1);
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
      const T* in = panel() + column * (d_ + 1);
      alignas(64) T sum[kWidth];
      multiply_line<T, vectors>(rows_.places + begin, rows_.stored + begin, rows_.starts[row + 1] - begin, in, kWidth,
                                op_.shape.bias ? in + d_ * kWidth : kNothing, sum);
      T* to = sums() + row * width_ + column;
      for (Index v = 0; v < vectors; ++v)
        store(to + v * kLanes<T>, add_product<T>(load(to + v * kLanes<T>), value, load(sum + v * kLanes<T>)));
    });
  }

  // The pairs' sums, and the bias's with itself, as symmetric matrices.
  void write(Index row) {
    Index lane = 0;
    for (Index c = 0; c < classes_; ++c)
      for (Index other = c; other < classes_; ++other, ++lane) {
        T value = sums()[row * width_ + lane];
        if (op_.shape.bias) value += op_.matrix(parameter(c, d_), parameter(other, d_));
        op_.out(row, c * classes_ + other) = op_.out(row, other * classes_ + c) = value;
      }
  }

  Device& device_;
  const LinearLeverages<T>& op_;
  Entries<Place, Stored> rows_;
  Index d_, classes_, width_;  // lanes, in whole vectors
  Buffer<T> panel_, sums_;     // [d + 1][width], [n][width]
  Buffer<Index> starts_, visited_, begins_;
};

}  // namespace

// K(K+1)/2 · Σ mᵢ² flops for rows with mᵢ entries.
template <class T>
void sparse_leverages(Device& device, const LinearLeverages<T>& op) {
  with_entries(op.sparse.rows, [&](const auto& rows) { Leverages(device, op, rows).run(); });
}

template void sparse_leverages(Device&, const LinearLeverages<float>&);
template void sparse_leverages(Device&, const LinearLeverages<double>&);

}  // namespace clout::cpu
