#include <clout/engine/proximal.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

std::vector<Index> up_to(Index count) {
  std::vector<Index> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), Index{0});
  return rows;
}

}  // namespace

Proximal::Proximal(Objective<double>& base, std::vector<double> theta, double damping, ProximalKind kind)
    : base_(base),
      damping_(damping),
      kind_(kind),
      regularized_(regularized_ranges(base.layout())),
      theta_(base.device(), std::span<const double>(theta)),
      start_gradient_(base.device(), base.parameters()),
      rows_(base.device(), std::span<const Index>(up_to(base.examples()))) {
  require(std::isfinite(damping) && damping > 0, "damping of a proximal objective: expected a finite number above zero");
  ensure(base.has_batches(), "a proximal objective needs gradients of minibatches");
  const Index p = base.parameters();
  base.batch_gradients(theta_.view(1, p), rows_.data(), base.examples(), {}, start_gradient_.view(1, p));
}

void Proximal::removal_constants(const Removals& removals, MatrixView<double> out) {
  Buffer<double> start(device(), out.rows * parameters());
  repeat_start(start.view(out.rows, parameters()));
  device().kernels<double>().combine(device(), {0.0, {}, 0.0, out});
  subtract_removed(removals, start.view(out.rows, parameters()), out);
}

void Proximal::removal_differences(const Removals& removals, MatrixView<const double> offsets, MatrixView<double> out) {
  const KernelTable<double>& kernels = device().kernels<double>();
  const Index k = offsets.rows, p = parameters();
  Buffer<double> moved(device(), k * p), constants(device(), k * p);
  repeat_start(moved.view(k, p));
  kernels.combine(device(), {1.0, offsets, 1.0, moved.view(k, p)});
  whole_gradients(moved.view(k, p), out);
  subtract_removed(removals, moved.view(k, p), out);
  removal_constants(removals, constants.view(k, p));
  kernels.combine(device(), {-1.0, constants.view(k, p), 1.0, out});
}

void Proximal::gradients_without(const Removals& removals, MatrixView<const double> parameters_k,
                                 MatrixView<double> out) {
  whole_gradients(parameters_k, out);
  subtract_removed(removals, parameters_k, out);
  const double total = base_.total_weight();
  for (Index model = 0; model < removals.models(); ++model)
    device().kernels<double>().combine(
        device(), {0.0, {}, total / kept_weight(base_, removals.group(model)), out.rows_from(model, 1)});
}

void Proximal::whole_gradients(MatrixView<const double> parameters_k, MatrixView<double> out) {
  const KernelTable<double>& kernels = device().kernels<double>();
  const Index k = parameters_k.rows, p = parameters();
  if (kind_ == ProximalKind::divergence) {
    base_.divergence_gradients(parameters_k, out);
  } else {
    base_.batch_gradients(parameters_k, rows_.data(), base_.examples(), {}, out);
    for (Index j = 0; j < k; ++j)
      kernels.combine(device(), {-1.0, start_gradient_.view(1, p), 1.0, out.rows_from(j, 1)});
  }
  Buffer<double> offsets(device(), k * p);
  repeat_start(offsets.view(k, p));
  kernels.combine(device(), {1.0, parameters_k, -1.0, offsets.view(k, p)});
  kernels.add_regularizer(device(), {regularized_, base_.l2(), damping_, offsets.view(k, p), out});
}

void Proximal::subtract_removed(const Removals& removals, MatrixView<const double> parameters_k,
                                MatrixView<double> out) {
  const KernelTable<double>& kernels = device().kernels<double>();
  const Index p = parameters();
  Buffer<double> mean(device(), p);
  for (Index model = 0; model < removals.models(); ++model) {
    const std::vector<Index>& group = removals.group(model);
    if (group.empty()) continue;
    const MatrixView<const double> theta = parameters_k.rows_from(model, 1);
    const double share = 1 - kept_weight(base_, group) / base_.total_weight();
    const Buffer<Index> rows(device(), std::span<const Index>(group));
    base_.batch_gradients(theta, rows.data(), static_cast<Index>(group.size()), {}, mean.view(1, p));
    kernels.combine(device(), {-share, mean.view(1, p), 1.0, out.rows_from(model, 1)});
    kernels.add_regularizer(device(), {regularized_, -share * base_.l2(), 0.0, theta, out.rows_from(model, 1)});
  }
}

void Proximal::repeat_start(MatrixView<double> out) {
  for (Index j = 0; j < out.rows; ++j)
    device().kernels<double>().combine(device(), {1.0, theta_.view(1, parameters()), 0.0, out.rows_from(j, 1)});
}

}  // namespace clout
