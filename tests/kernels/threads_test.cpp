// The CPU backend gives the same bits for any number of threads.

#include "network_run.hpp"
#include "sweep_reference.hpp"

namespace clout::test {
namespace {

template <class T>
class ThreadsTest : public ::testing::Test {};
using Numbers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ThreadsTest, Numbers);

// Calls `run(device)` with 1, 2 and 3 threads, each twice.
template <class Run>
void expect_same_bits(Run&& run) {
  const auto expected = run(*make_cpu_device(1));
  for (const int threads : {1, 2, 3}) {
    const auto device = make_cpu_device(threads);
    for (int repeat = 0; repeat < 2; ++repeat) ASSERT_EQ(run(*device), expected) << threads << " threads";
  }
}

TYPED_TEST(ThreadsTest, Sweep) {
  using T = TypeParam;
  for (const Shape& shape : {Shape{1000, 50, 10, 1, true}, Shape{700, 50, 10, 9, false}, Shape{1, 9, 3, 20, true}})
    for (const auto step : kSweepSteps) {
      const auto p = random_problem<T>(shape, {true, true, true, 0.5});
      for (const bool is_sparse : {false, true})
        expect_same_bits([&](Device& device) { return run_sweep(device, p, step, T(0.1), is_sparse); });
    }
}

TYPED_TEST(ThreadsTest, Hessian) {
  using T = TypeParam;
  for (const Shape& shape : {Shape{500, 40, 2, 1, true}, Shape{300, 20, 10, 1, false}}) {
    const auto p = random_problem<T>(shape, {});
    expect_same_bits([&](Device& device) {
      const OnDevice<T> on_device(device, p);
      Buffer<T> out(device, p.parameters() * p.parameters());
      SoftmaxHessian<T> op{.features = on_device.features,
                           .shape = p.shape.linear(),
                           .probabilities = on_device.probability_view,
                           .example_weights = nullptr,
                           .scale = T(0.1),
                           .out = out.view(p.parameters(), p.parameters()),
                           .scratch = {}};
      Scratch scratch(device, device.kernels<T>().softmax_hessian_scratch(device, op));
      op.scratch = scratch.bytes();
      device.kernels<T>().softmax_hessian(device, op);
      return out.to_host();
    });
  }
}

TYPED_TEST(ThreadsTest, ForwardDotsAndSolve) {
  using T = TypeParam;
  const auto p = random_problem<T>({500, 60, 10, 70, true}, {});
  expect_same_bits([&](Device& device) {
    const OnDevice<T> on_device(device, p);
    Buffer<T> out(device, p.shape.n * p.shape.k * p.shape.classes);
    device.kernels<T>().linear_forward(device, {on_device.features, p.shape.linear(), on_device.vector_view,
                                                out.view(p.shape.n, p.shape.k * p.shape.classes)});
    return out.to_host();
  });
  expect_same_bits([&](Device& device) {
    const OnDevice<T> on_device(device, p);
    Buffer<double> dots(device, p.shape.k);
    device.kernels<T>().vector_dots(device, {on_device.vector_view, on_device.vector_view, dots.data()});
    return dots.to_host();
  });
  const Index size = p.parameters();
  std::vector<T> factor(static_cast<std::size_t>(size * size));
  for (Index i = 0; i < size; ++i)
    for (Index j = 0; j <= i; ++j) factor[i * size + j] = i == j ? T(3) : std::sin(static_cast<T>(i * j)) / 100;
  expect_same_bits([&](Device& device) {
    const Buffer<T> matrix(device, std::span<const T>(factor));
    Buffer<T> x(device, std::span<const T>(p.vectors));
    device.kernels<T>().cholesky_solve(device, {matrix.view(size, size), x.view(p.shape.k, size)});
    return x.to_host();
  });
}

TYPED_TEST(ThreadsTest, Network) {
  using T = TypeParam;
  for (const NetworkOptions& options :
       {NetworkOptions{"paper", paper(), 40, 61, 3, true, true, true, false},
        NetworkOptions{"many", {1, 6, 6, {{2, 3, 1}, {3, 2, 2}}, 3}, 700, 700, 9, false, false, false, true}}) {
    auto problem = random_network_problem<T>(options);
    exclude_some(problem);
    expect_same_bits([&](Device& device) {
      NetworkRun<T> network(device, problem);
      std::vector results = {network.forward(),
                             network.gradient(0),
                             network.product(Curvature::hessian, 0.7),
                             network.product(Curvature::gauss_newton, 0.7),
                             network.loss_tangents(),
                             network.example_gradients(),
                             network.input_gradients()};
      if (problem.p() < 500) results.push_back(network.hessian(0.7));
      return results;
    });
  }
}

}  // namespace
}  // namespace clout::test
