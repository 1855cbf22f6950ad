// The fused pass over X: Hessian products, gradient, difference of gradients. 4ndKk flops each.

#include "timing.hpp"

namespace clout::bench {
namespace {

template <class T>
void sweep(benchmark::State& state, SweepStep step, double size, bool is_sparse = false) {
  const Index k = state.range(0);
  auto& p = problem<T>();
  const Index parameters = p.shape.parameters();
  const auto v = vectors<T>(k, parameters, size);
  Buffer<T> out(device(), k * parameters);
  LinearSweep<T> op{.step = step,
                    .features = p.features,
                    .sparse = is_sparse ? sparse_features<T>() : SparseFeatures<T>{},
                    .shape = p.shape,
                    .vectors = v.view(k, parameters),
                    .probabilities = p.probabilities,
                    .residuals = {},
                    .labels = p.labels,
                    .example_weights = nullptr,
                    .exclusions = {},
                    .scale = T(1) / static_cast<T>(p.features.rows),
                    .out = out.view(k, parameters),
                    .scratch = {}};
  const auto& kernels = device().kernels<T>();
  Buffer<std::byte> scratch(device(), static_cast<Index>(kernels.linear_sweep_scratch(device(), op)));
  op.scratch = {scratch.data(), static_cast<std::size_t>(scratch.size())};
  const double flops = 4.0 * static_cast<double>(p.features.rows * parameters * k);
  time_best<T>(state, flops, [&] { kernels.linear_sweep(device(), op); });
  state.counters["scratch_MB"] = static_cast<double>(scratch.size()) / 1e6;
}

template <class T>
void hessian_product(benchmark::State& state) {
  sweep<T>(state, SweepStep::tangent, 1);
}
template <class T>
void gradient(benchmark::State& state) {
  sweep<T>(state, SweepStep::gradient, 0.1);
}
template <class T>
void difference(benchmark::State& state) {
  sweep<T>(state, SweepStep::difference, 1e-4);
}
// X without its zeros: flops are still counted as if it had them, so the ceiling is that of the dense sweep.
template <class T>
void sparse_hessian_product(benchmark::State& state) {
  sweep<T>(state, SweepStep::tangent, 1, true);
}
template <class T>
void sparse_difference(benchmark::State& state) {
  sweep<T>(state, SweepStep::difference, 1e-4, true);
}

BENCHMARK(hessian_product<float>)->Arg(1)->Arg(8)->Arg(32)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(hessian_product<double>)->Arg(1)->Arg(8)->Arg(32)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(gradient<float>)->Arg(1)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(gradient<double>)->Arg(1)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(difference<float>)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(4);
BENCHMARK(difference<double>)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(4);
BENCHMARK(sparse_hessian_product<float>)->Arg(1)->Arg(8)->Arg(32)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(sparse_hessian_product<double>)->Arg(1)->Arg(8)->Arg(32)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(sparse_difference<float>)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(4);
BENCHMARK(sparse_difference<double>)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(4);

}  // namespace
}  // namespace clout::bench
