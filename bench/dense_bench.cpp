// The explicit Hessian, its Cholesky factor, and solves with it.

#include "timing.hpp"

namespace clout::bench {
namespace {

// The Hessian of the problem in a matrix that the benchmarks below share.
template <class T>
struct Dense {
  Index size;
  Buffer<T> hessian, factor;

  static Dense& instance() {
    static Dense made{problem<T>().shape.parameters(), {}, {}};
    return made;
  }
  static SoftmaxHessian<T> operation(Buffer<T>& out, Buffer<std::byte>& scratch) {
    auto& p = problem<T>();
    const Index size = p.shape.parameters();
    if (out.is_empty()) out = Buffer<T>(device(), size * size);
    SoftmaxHessian<T> op{.features = p.features,
                         .shape = p.shape,
                         .probabilities = p.probabilities,
                         .example_weights = nullptr,
                         .scale = T(1) / static_cast<T>(p.features.rows),
                         .out = out.view(size, size),
                         .scratch = {}};
    scratch =
        Buffer<std::byte>(device(), static_cast<Index>(device().kernels<T>().softmax_hessian_scratch(device(), op)));
    op.scratch = {scratch.data(), static_cast<std::size_t>(scratch.size())};
    return op;
  }
};

// K(K−1)/2 · n d(d+1) flops counted, those on columns of zeros included.
template <class T>
void explicit_hessian(benchmark::State& state) {
  auto& dense = Dense<T>::instance();
  Buffer<std::byte> scratch;
  const auto op = Dense<T>::operation(dense.hessian, scratch);
  const auto n = static_cast<double>(op.features.rows), d = static_cast<double>(op.features.columns);
  const double pairs = kClasses * (kClasses - 1) / 2.0;
  time_best<T>(state, pairs * n * d * (d + 1), [&] { device().kernels<T>().softmax_hessian(device(), op); });
  state.counters["scratch_MB"] = static_cast<double>(scratch.size()) / 1e6;
}

// H + 0.01·I, so that it is positive definite; the factor is left for the solves.
template <class T>
void refill(Dense<T>& dense) {
  if (dense.hessian.is_empty()) {
    Buffer<std::byte> scratch;
    const auto op = Dense<T>::operation(dense.hessian, scratch);
    device().kernels<T>().softmax_hessian(device(), op);
  }
  if (dense.factor.is_empty()) dense.factor = Buffer<T>(device(), dense.size * dense.size);
  device().copy_on_device(dense.factor.data(), dense.hessian.data(),
                          static_cast<std::size_t>(dense.size * dense.size) * sizeof(T));
  const auto matrix = dense.factor.view(dense.size, dense.size);
  device().kernels<T>().add_diagonal(device(),
                                     {.regularized = problem<T>().shape.regularized(), .l2 = 0.01, .damping = 0, .matrix = matrix});
}

template <class T>
void cholesky(benchmark::State& state) {
  auto& dense = Dense<T>::instance();
  const auto p = static_cast<double>(dense.size);
  Seconds best;
  for (auto _ : state) {
    refill(dense);
    Index failed_at = -1;
    const Stopwatch watch;
    device().kernels<T>().cholesky_factor(device(), {dense.factor.view(dense.size, dense.size), &failed_at});
    device().synchronize();
    const Seconds seconds = watch.elapsed();
    if (failed_at != 0) state.SkipWithError("not positive definite");
    best.lower_to(seconds);
    state.SetIterationTime(seconds.wall);
  }
  report<T>(state, p * p * p / 3, best);
}

template <class T>
void cholesky_solve(benchmark::State& state) {
  auto& dense = Dense<T>::instance();
  if (dense.factor.is_empty()) return state.SkipWithError("needs the factor: run cholesky before");
  const Index k = state.range(0);
  auto x = vectors<T>(k, dense.size, 1);
  const auto p = static_cast<double>(dense.size);
  time_best<T>(state, 2 * p * p * static_cast<double>(k), [&] {
    device().kernels<T>().cholesky_solve(device(), {dense.factor.view(dense.size, dense.size), x.view(k, dense.size)});
  });
}

BENCHMARK(explicit_hessian<float>)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(2);
BENCHMARK(cholesky<float>)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK(cholesky_solve<float>)->Arg(1)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(5);
BENCHMARK(explicit_hessian<double>)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(1);
BENCHMARK(cholesky<double>)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(2);
BENCHMARK(cholesky_solve<double>)->Arg(1)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(5);

}  // namespace
}  // namespace clout::bench
