// Passes over the paper's network (section 4.2), n = 5,500. Flops as network_operations.hpp and performance.md 1b
// count.

#include "timing.hpp"

namespace clout::bench {
namespace {

constexpr NetworkShape kShape = paper_network();
constexpr Index kExamples = 5500;
constexpr double kForward = 2.0 * kShape.multiply_adds();               // 2F
constexpr double kFirst = 2.0 * kShape.convolution[0].multiply_adds();  // 2F₁
constexpr double kGradient = 3 * kForward - kFirst, kPrimal = 2 * kForward - kFirst;
constexpr double kTangent = 6 * kForward - 4 * kFirst;

template <class T>
struct Operands {
  Buffer<T> parameters = vectors<T>(1, kShape.parameters(), 0.2);
  NetworkBatch<T> batch;
  MatrixView<const T> view = std::as_const(parameters).view(1, kShape.parameters());

  explicit Operands(Index examples)
      : batch{.features = problem<T>().features, .labels = problem<T>().labels, .count = examples} {}
};

// Times `entry` with `op`, which takes `flops`, and gives it the scratch that `plan` asks for.
template <class T, class Op>
void time_entry(benchmark::State& state, double flops, void (*entry)(Device&, const Op&),
                std::size_t (*plan)(const Device&, const Op&), Op op) {
  Buffer<std::byte> scratch(device(), static_cast<Index>(plan(device(), op)));
  op.scratch = {scratch.data(), static_cast<std::size_t>(scratch.size())};
  time_best<T>(state, flops, [&] { entry(device(), op); });
  state.counters["scratch_MB"] = static_cast<double>(scratch.size()) / 1e6;
}

template <class T>
void network_forward(benchmark::State& state) {
  const Operands<T> x(kExamples);
  Buffer<T> out(device(), kExamples * kShape.classes);
  const auto& kernels = device().kernels<T>();
  time_entry<T>(state, kForward * kExamples, kernels.network_forward, kernels.network_forward_scratch,
                {.shape = kShape,
                 .batch = x.batch,
                 .parameters = x.view,
                 .logits = out.view(kExamples, kShape.classes),
                 .scratch = {}});
}

template <class T>
void network_gradient(benchmark::State& state) {
  const Index examples = state.range(0);
  const Operands<T> x(examples);
  Buffer<T> out(device(), kShape.parameters());
  const auto& kernels = device().kernels<T>();
  time_entry<T>(state, kGradient * static_cast<double>(examples), kernels.network_gradient,
                kernels.network_gradient_scratch,
                {.shape = kShape,
                 .batch = x.batch,
                 .parameters = x.view,
                 .exclusions = {},
                 .out = out.view(1, kShape.parameters()),
                 .scratch = {}});
}

template <class T>
void network_product(benchmark::State& state, Curvature curvature, double primal, double tangent) {
  const Index k = state.range(0), p = kShape.parameters();
  const Operands<T> x(kExamples);
  const auto v = vectors<T>(k, p, 1);
  Buffer<T> out(device(), k * p);
  const auto& kernels = device().kernels<T>();
  const double flops = (primal + static_cast<double>(k) * tangent) * kExamples;
  time_entry<T>(state, flops, kernels.network_hessian_product, kernels.network_hessian_product_scratch,
                {.shape = kShape,
                 .curvature = curvature,
                 .batch = x.batch,
                 .parameters = x.view,
                 .vectors = v.view(k, p),
                 .scale = 1.0 / kExamples,
                 .out = out.view(k, p),
                 .scratch = {}});
}
template <class T>
void network_hessian_product(benchmark::State& state) {
  network_product<T>(state, Curvature::hessian, kPrimal, kTangent);
}
// Tangent forward and an ordinary backward pass.
template <class T>
void network_gauss_newton(benchmark::State& state) {
  network_product<T>(state, Curvature::gauss_newton, kForward, kPrimal + kGradient - kForward);
}

// Its flops are counted as 2,616 products; `products` is what it takes in units of products at the rate of k = 8.
template <class T>
void network_hessian(benchmark::State& state) {
  constexpr Index kSome = 512;
  const Index p = kShape.parameters();
  const Operands<T> x(kSome);
  Buffer<T> out(device(), p * p);
  const auto& kernels = device().kernels<T>();
  time_entry<T>(state, kTangent * kSome * static_cast<double>(p), kernels.network_hessian,
                kernels.network_hessian_scratch,
                {.shape = kShape,
                 .batch = x.batch,
                 .parameters = x.view,
                 .scale = 1.0 / kSome,
                 .out = out.view(p, p),
                 .scratch = {}});
}

#define CLOUT_NETWORK_BENCHMARK(name) BENCHMARK(name)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(1)
CLOUT_NETWORK_BENCHMARK(network_forward<float>);
CLOUT_NETWORK_BENCHMARK(network_forward<double>);
CLOUT_NETWORK_BENCHMARK(network_gradient<float>)->Arg(500)->Arg(5500);
CLOUT_NETWORK_BENCHMARK(network_gradient<double>)->Arg(500)->Arg(5500);
CLOUT_NETWORK_BENCHMARK(network_hessian_product<float>)->Arg(1)->Arg(8)->Arg(32);
CLOUT_NETWORK_BENCHMARK(network_hessian_product<double>)->Arg(1)->Arg(8)->Arg(32);
CLOUT_NETWORK_BENCHMARK(network_gauss_newton<float>)->Arg(8);
CLOUT_NETWORK_BENCHMARK(network_gauss_newton<double>)->Arg(8);
CLOUT_NETWORK_BENCHMARK(network_hessian<float>);
CLOUT_NETWORK_BENCHMARK(network_hessian<double>);
#undef CLOUT_NETWORK_BENCHMARK

}  // namespace
}  // namespace clout::bench
