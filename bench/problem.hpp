#pragma once
// The problem that is timed: softmax regression on the images of MNIST, as the paper has it.

#include <clout/kernels/kernel_table.hpp>
#include <string>
#include <vector>

#include "ceilings.hpp"

namespace clout::bench {

/// Images as bytes and labels. `origin` says where they come from.
struct Images {
  std::vector<std::uint8_t> pixels;  // [rows][columns]
  std::vector<std::int32_t> labels;  // [rows]
  Index rows = 0, columns = 0;
  std::string origin;
};

/// 55,000 images of MNIST from $CLOUT_DATA/mnist (or the source tree's data/mnist), else noise of the same shape.
const Images& images();

/// The multiply-add ceiling of precision T, measured once per run.
template <class T>
const Rate& peak();

/// The device that is timed: $CLOUT_BENCH_DEVICE or "cpu", with $CLOUT_BENCH_THREADS threads or as many as there are
/// cores.
Device& device();

constexpr Index kClasses = 10;

/// The operands of the sweeps on the device, made once per precision.
template <class T>
struct Problem {
  FeatureView<T> features;
  LinearShape shape;
  MatrixView<const T> probabilities;
  const std::int32_t* labels = nullptr;
  Buffer<std::uint8_t> pixels;
  Buffer<std::int32_t> label_memory;
  Buffer<T> probability_memory;
};
template <class T>
Problem<T>& problem();

/// The same X without its zeros, made once.
template <class T>
SparseFeatures<T> sparse_features();

/// k vectors of p numbers of size `size`, the same in every run.
template <class T>
Buffer<T> vectors(Index k, Index p, double size);

}  // namespace clout::bench
