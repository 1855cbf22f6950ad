// What a pass costs that no clock is needed for: kernel starts, barriers, instructions of the tensor cores, planned
// bytes. Counted on the simulated GPU, so these are the same on every machine: whoever changes one sees it here, and
// says why.

#include <gtest/gtest.h>

#include <clout/kernels/kernel_table.hpp>
#include <clout/models/conv_net.hpp>
#include <clout/models/logistic_regression.hpp>
#include <simt/executor.hpp>

namespace clout::test {
namespace {

constexpr Index kPixels = 784, kClasses = 10;

template <class Work>
simt::Statistics counted(const Work& work) {
  simt::reset_statistics();
  work();
  return simt::statistics();
}

/// `n` images of MNIST's size, a fifth of the pixels not zero.
template <class T>
Dataset<T> images(Device& device, Index n) {
  std::vector<std::uint8_t> x(static_cast<std::size_t>(n * kPixels));
  std::vector<std::int32_t> y(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 5 == 0 ? static_cast<std::uint8_t>(i * 7) : std::uint8_t{0};
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<std::int32_t>(i % kClasses);
  return Dataset<T>::from_bytes(device, x, y, kPixels, kClasses);
}

template <class T>
class Counts {
 public:
  Counts(bool is_network, Index n) : device_(make_device("cuda")) {
    if (is_network) objective_ = std::make_unique<ConvNet<T>>(images<T>(*device_, n), paper_network(), 0.001);
    else objective_ = std::make_unique<LogisticRegression<T>>(images<T>(*device_, n), /*bias=*/false, 0.01);
    vectors_ = Buffer<T>(*device_, std::vector<T>(static_cast<std::size_t>(32 * objective_->parameters()), T(0.01)));
    out_ = Buffer<T>(*device_, 32 * objective_->parameters());
    objective_->set_parameters(vectors_.view(1, objective_->parameters()));
  }
  simt::Statistics gradient() {
    return counted([&] { objective_->gradient(out_.view(1, objective_->parameters())); });
  }
  simt::Statistics product(Index k) {
    const Index p = objective_->parameters();
    return counted([&] { objective_->hessian_product(vectors_.view(k, p), 0, out_.view(k, p)); });
  }

 private:
  std::unique_ptr<Device> device_;
  std::unique_ptr<Objective<T>> objective_;
  Buffer<T> vectors_, out_;
};

TEST(Counts, StartsOfALogisticPass) {
  // The fused sweep and the sum over its partitions, and the regulariser.
  EXPECT_EQ(Counts<float>(false, 40).gradient().launches, 3u);
  EXPECT_EQ(Counts<float>(false, 40).product(1).launches, 3u);
  EXPECT_EQ(Counts<double>(false, 40).product(1).launches, 3u);
  // V is packed, Z, the step, G by partitions, their sum, the regulariser.
  EXPECT_EQ(Counts<float>(false, 40).product(8).launches, 6u);
  EXPECT_EQ(Counts<float>(false, 40).product(32).launches, 6u);
  // V is packed, X converted, the step, G unpacked, the regulariser; two products are cuBLAS's.
  EXPECT_EQ(Counts<double>(false, 40).product(8).launches, 5u);
}

// 4096 flops an instruction, three instructions for what single precision takes one of: 24 for every 32 rows, 16
// columns and 32 numbers to add up.
TEST(Counts, TensorCoreFlops) {
  const auto up = [](Index value, Index by) { return static_cast<std::uint64_t>((value + by - 1) / by); };
  for (const auto& [n, k] : {std::pair<Index, Index>{64, 8}, {65, 8}, {200, 8}, {64, 2}, {64, 9}}) {
    const Index pairs = k * kClasses;
    const std::uint64_t outputs = up(n, 32) * up(pairs, 16) * up(kPixels, 32),
                        sums = up(kPixels, 32) * up(pairs, 16) * up(n, 32);
    const auto counts = Counts<float>(false, n).product(k);
    EXPECT_EQ(counts.matrix_instructions, 24 * (outputs + sums)) << n << " examples, k = " << k;
  }
  EXPECT_EQ(Counts<float>(false, 64).product(1).matrix_instructions, 0u);
  EXPECT_EQ(Counts<double>(false, 64).product(8).matrix_instructions, 0u);
}

/// What one more example adds.
struct PerExample {
  std::uint64_t barriers, warp_operations;
  friend bool operator==(const PerExample&, const PerExample&) = default;
  friend std::ostream& operator<<(std::ostream& out, const PerExample& e) {
    return out << e.barriers << " barriers, " << e.warp_operations << " warp operations";
  }
};
template <class T, class Pass>
PerExample per_example(const Pass& pass) {
  const auto few = pass(Counts<T>(true, 2)), more = pass(Counts<T>(true, 3));
  EXPECT_EQ(few.launches, more.launches);
  return {more.barriers - few.barriers, more.warp_operations - few.warp_operations};
}

TEST(Counts, BarriersOfTheNetworkPerExample) {
  EXPECT_EQ(per_example<float>([](Counts<float> c) { return c.gradient(); }), (PerExample{16, 1381}));
  EXPECT_EQ(per_example<float>([](Counts<float> c) { return c.product(1); }), (PerExample{30, 1847}));
  EXPECT_EQ(per_example<float>([](Counts<float> c) { return c.product(8); }), (PerExample{142, 11514}));
  EXPECT_EQ(per_example<double>([](Counts<double> c) { return c.product(1); }), (PerExample{30, 1847}));
}

// The pass, example by example, the sum over partitions, the regulariser.
TEST(Counts, StartsOfANetworkPass) {
  EXPECT_EQ(Counts<float>(true, 2).gradient().launches, 3u);
  EXPECT_EQ(Counts<float>(true, 2).product(1).launches, 3u);
  EXPECT_EQ(Counts<float>(true, 2).product(8).launches, 3u);
}

/// Scratch of a Hessian product with k vectors at the paper's sizes, in bytes.
template <class T>
std::size_t logistic_scratch(Index k) {
  const auto device = make_device("cuda");
  LinearSweep<T> op{};
  op.step = SweepStep::tangent;
  op.shape = {kPixels, kClasses, false};
  op.features = {.rows = 55'000, .columns = kPixels};
  op.vectors = {nullptr, k, op.shape.parameters()};
  return device->kernels<T>().linear_sweep_scratch(*device, op);
}
template <class T>
std::size_t network_scratch(Index k) {
  const auto device = make_device("cuda");
  NetworkHessianProduct<T> op{};
  op.shape = paper_network();
  op.batch.features = {.rows = 5'500, .columns = kPixels};
  op.batch.count = 5'500;
  op.vectors = {nullptr, k, op.shape.parameters()};
  return device->kernels<T>().network_hessian_product_scratch(*device, op);
}

TEST(Counts, PlannedBytes) {
  for (const auto& [k, single, twice] : {std::tuple<Index, std::size_t, std::size_t>{1, 8'028'160, 16'056'320},
                                         {8, 18'088'960, 29'315'072},
                                         {32, 24'125'440, 40'189'952}}) {
    EXPECT_EQ(logistic_scratch<float>(k), single) << k;
    EXPECT_EQ(logistic_scratch<double>(k), twice) << k;
  }
  // A row of k gradients for each of 262 partitions.
  for (const Index k : {1, 8, 32}) {
    EXPECT_EQ(network_scratch<float>(k), static_cast<std::size_t>(262 * k * 2616 * 4)) << k;
    EXPECT_EQ(network_scratch<double>(k), static_cast<std::size_t>(262 * k * 2616 * 8)) << k;
  }
}

}  // namespace
}  // namespace clout::test
