#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/panels.hpp>
#include <clout/kernels/cpu/sparse_sweep.hpp>

namespace clout::cpu {

// A = X Vᵀ + b.  2ndKk flops; reads X once and writes nkK numbers.
template <class T>
void linear_forward(Device& device, const LinearForward<T>& op) {
  if (op.sparse.is_given()) return sparse_forward(device, op);
  const PanelShape<T> shape(op.shape, op.vectors.rows);
  Buffer<T> packed(device, shape.packed_vectors());
  pack_vectors(device, shape, op.vectors, op.features.scale, {1, shape.classes}, packed.data());

  const Index room = round_up(shape.packed_x(), 16) + shape.z();
  Buffer<T> blocks(device, room * as_cpu(device).threads());
  parallel_tasks(device, ceil_div(op.features.rows, shape.rows), [&](Index task, int thread) {
    T* block = blocks.data() + thread * room;
    T* z = block + round_up(shape.packed_x(), 16);
    const Index first = task * shape.rows, count = std::min(shape.rows, op.features.rows - first);
    pack_rows(shape, op.features, first, count, padded_rows<T>(count), block);
    forward(shape, block, packed.data(), count, z);
    for (Index row = 0; row < count; ++row)
      std::copy_n(z + row * shape.z_stride, shape.columns, op.outputs.row(first + row));
  });
}

// out_m = c_m ⊗ (x_{i_m}, 1).  Kd flops per example; writes m·p numbers: bound by memory.
template <class T>
void example_gradients(Device& device, const ExampleGradients<T>& op) {
  const Index d = op.shape.features, classes = op.shape.classes;
  parallel_tasks(device, op.residuals.rows, [&](Index m, int) {
    const T* residuals = op.residuals.row(m);
    T* out = op.out.row(m);
    const auto multiply = [&](const auto* x) {
      for (Index c = 0; c < classes; ++c) {
        const T factor = residuals[c] * op.features.scale;
        for (Index f = 0; f < d; ++f) out[c * d + f] = factor * static_cast<T>(x[f]);
      }
    };
    if (op.features.bytes) multiply(op.features.bytes + op.rows[m] * d);
    else multiply(op.features.values + op.rows[m] * d);
    if (op.shape.bias) std::copy_n(residuals, classes, out + classes * d);
  });
}

namespace {

// The weights of one parameter vector in panels over the features: [panel][K][kPanel], zeros beyond d.
template <class T>
void pack_weights(const LinearShape& shape, const T* parameters, T* packed) {
  for (Index first = 0; first < shape.features; first += kPanel<T>)
    for (Index c = 0; c < shape.classes; ++c)
      for (Index lane = 0; lane < kPanel<T>; ++lane)
        *packed++ = first + lane < shape.features ? parameters[c * shape.features + first + lane] : T(0);
}

// A tile's rows into `to`, columns beyond `width` dropped.
template <class T, int Rows>
void store_columns(const Tile<T, Rows>& tile, Index width, T* to, Index stride) {
  if (width >= kPanel<T>) return tile.store_to(to, stride);
  T rows[Rows * kPanel<T>];
  tile.store_to(rows, kPanel<T>);
  for (Index row = 0; row < Rows; ++row) std::copy_n(rows + row * kPanel<T>, width, to + row * stride);
}

constexpr Index kInputRows = 96;  // examples per task

}  // namespace

// ∇ₓ(vⱼ·∇θℓᵢ) = V_Wᵀ δ + Wᵀ R{δ}.  4ndKk flops; writes nkd numbers.
template <class T>
void linear_input_gradient(Device& device, const LinearInputGradient<T>& op) {
  const Index n = op.probabilities.rows, d = op.shape.features, classes = op.shape.classes;
  const Index k = op.vectors.rows, packed_size = round_up(d, kPanel<T>) * classes;
  Buffer<T> packed(device, (k + 1) * packed_size);  // v₀ … v_{k−1}, then the parameters
  parallel_tasks(device, k + 1, [&](Index j, int) {
    pack_weights(op.shape, j < k ? op.vectors.row(j) : op.parameters.row(0), packed.data() + j * packed_size);
  });

  const Index room = round_up(kInputRows * classes, 16);
  Buffer<T> deltas(device, room * as_cpu(device).threads());
  parallel_tasks(device, ceil_div(n, kInputRows), [&](Index task, int thread) {
    const Index first = task * kInputRows, count = std::min(kInputRows, n - first);
    T* delta = deltas.data() + thread * room;
    for (Index row = 0; row < count; ++row) {
      const Index label = op.labels ? op.labels[first + row] : classes;
      T others = 0;  // p_y − 1 would cancel
      for (Index c = 0; c < classes; ++c) {
        const T probability = op.probabilities(first + row, c);
        if (c != label) others += delta[row * classes + c] = probability;
      }
      if (label < classes) delta[row * classes + label] = -others;
    }
    for (Index j = 0; j < k; ++j)
      for (Index f = 0; f < d; f += kPanel<T>)
        for_each_tile<kTileRows>(count, [&](Index row, auto rows) {
          Tile<T, rows> tile;
          tile.clear();
          const T* v = packed.data() + j * packed_size + f * classes;
          tile.multiply_add(delta + row * classes, classes, 1, v, classes);
          tile.multiply_add(op.residual_tangents.row(first + row) + j * classes, op.residual_tangents.stride, 1,
                            v + (k - j) * packed_size, classes);
          store_columns(tile, d - f, op.out.row(j) + (first + row) * d + f, d);
        });
  });
}

template void linear_forward(Device&, const LinearForward<float>&);
template void linear_forward(Device&, const LinearForward<double>&);
template void example_gradients(Device&, const ExampleGradients<float>&);
template void example_gradients(Device&, const ExampleGradients<double>&);
template void linear_input_gradient(Device&, const LinearInputGradient<float>&);
template void linear_input_gradient(Device&, const LinearInputGradient<double>&);

}  // namespace clout::cpu
