#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/margin_derivatives.hpp>

namespace clout::cpu {
namespace {

constexpr Index kRows = 1024;  // examples per task

template <class Body>
void for_each_entry(Device& device, Index rows, Index columns, Body&& body) {
  parallel_ranges(device, rows, kRows, [&](Index first, Index count) {
    for (Index row = first; row < first + count; ++row)
      for (Index j = 0; j < columns; ++j) body(row, j);
  });
}

}  // namespace

template <class T>
void margin_pass(Device& device, const MarginPass<T>& op) {
  for_each_entry(device, op.outputs.rows, op.outputs.columns, [&](Index row, Index j) {
    const MarginDerivatives<T> at(op.function, op.labels[row], op.outputs(row, j));
    if (op.losses.data) op.losses(row, j) = at.loss;
    if (op.curvatures.data) op.curvatures(row, j) = at.curvature;
    if (op.slopes.data) op.slopes(row, j) = at.slope;
  });
}

template <class T>
void margin_difference(Device& device, const MarginDifference<T>& op) {
  for_each_entry(device, op.differences.rows, op.differences.columns, [&](Index row, Index j) {
    T& z = op.differences(row, j);
    z = margin_slope_change(op.function, op.labels[row], op.outputs(row, 0), z);
  });
}

template <class T>
void scale_rows(Device& device, const ScaleRows<T>& op) {
  for_each_entry(device, op.rows.rows, op.rows.columns,
                 [&](Index row, Index j) { op.rows(row, j) *= op.factors(row, 0); });
}

template void margin_pass(Device&, const MarginPass<float>&);
template void margin_pass(Device&, const MarginPass<double>&);
template void margin_difference(Device&, const MarginDifference<float>&);
template void margin_difference(Device&, const MarginDifference<double>&);
template void scale_rows(Device&, const ScaleRows<float>&);
template void scale_rows(Device&, const ScaleRows<double>&);

}  // namespace clout::cpu
