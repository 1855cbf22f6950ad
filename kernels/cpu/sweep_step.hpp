#pragma once
// What a sweep does between its two products, whichever way X is stored: logits (or their tangents), or the residuals
// themselves, become weighted residuals.

#include <clout/kernels/cpu/scratch.hpp>
#include <clout/kernels/cpu/softmax_tile.hpp>

namespace clout::cpu {

/// One block's steps between the two products: R in the place of Z. Given residuals need no Z.
template <class T>
class BlockStep {
 public:
  /// Elements of T for the tiles, whole cache lines.
  static Index tiles_size(const LinearSweep<T>& op) { return 3 * tile_size(op); }

  /// `z`: [rows][z_stride], columns class after class, so that lanes are vectors.
  BlockStep(const LinearSweep<T>& op, T* z, Index z_stride, T* tiles)
      : op_(op),
        classes_(op.shape.classes),
        vectors_(op.vectors.rows),
        z_stride_(z_stride),
        z_(z),
        logits_(tiles),
        p_(tiles + tile_size(op)),
        room_(tiles + 2 * tile_size(op)) {}

  // For rows first…first+count−1 of the data set. Lanes are vectors as far as they fill whole SIMD vectors; the
  // vectors left over are taken with rows as lanes.
  void run(Index first, Index count) {
    if (op_.step == SweepStep::given) load_residuals(first, count);
    const Index whole = vectors_ / kLanes<T> * kLanes<T>;
    for (Index row = 0; row < count && whole > 0; ++row) {
      set_examples(first + row, 1, 0);
      for (Index j = 0; j < whole; j += kLanes<T>) step(z_ + row * z_stride_ + j, 1, kLanes<T>);
    }
    for (Index row = 0; row < count && whole < vectors_; row += kLanes<T>) {
      const Index lanes = std::min<Index>(kLanes<T>, count - row);
      set_examples(first + row, lanes, 1);
      for (Index j = whole; j < vectors_; ++j) step(z_ + row * z_stride_ + j, z_stride_, lanes);
    }
    exclude(first, count);
  }

 private:
  void load_residuals(Index first, Index count) {
    for (Index row = 0; row < count; ++row)
      for (Index j = 0; j < vectors_; ++j)
        for (Index c = 0; c < classes_; ++c)
          z_[row * z_stride_ + c * vectors_ + j] = op_.residuals(first + row, j * classes_ + c);
  }

  // What belongs to the examples: lane l is example `first` + l·step.
  void set_examples(Index first, Index lanes, Index step) {
    if (op_.step == SweepStep::gradient) {
      for (Index lane = 0; lane < kLanes<T>; ++lane)
        labels_[lane] = op_.labels[first + (lane < lanes ? lane * step : 0)];
    } else if (op_.step != SweepStep::given) {
      gather(op_.probabilities.row(first), 1, step * op_.probabilities.stride, lanes, classes_, p_);
    }
    if (op_.example_weights)
      for (Index lane = 0; lane < kLanes<T>; ++lane)
        weights_[lane] = op_.example_weights[first + (lane < lanes ? lane * step : 0)];
  }

  void step(T* z, Index lane_step, Index lanes) {
    const Index classes = classes_, class_step = vectors_;
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
      T* z = z_ + (*next - first) * z_stride_ + vectors[next - rows];
      for (Index c = 0; c < classes_; ++c) z[c * vectors_] = 0;
    }
  }

  static Index tile_size(const LinearSweep<T>& op) { return line_up<T>(op.shape.classes * kLanes<T>); }

  const LinearSweep<T>& op_;
  Index classes_, vectors_, z_stride_;
  T *z_, *logits_, *p_, *room_;
  Integers<T> labels_{};
  Vector<T> weights_{};
};

}  // namespace clout::cpu
