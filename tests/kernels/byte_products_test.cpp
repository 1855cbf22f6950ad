// Products of bytes with single-precision numbers, which CUDA takes to the tensor cores in pieces of 8 bits: whole
// vectors are right to 1e-6, as by arithmetic in single precision, at sizes where a lost piece or sums that are cut off
// would show.

#include "sweep_reference.hpp"

namespace clout::test {
namespace {

template <class C>
using ByteProductsTest = KernelTest<C>;
#ifdef CLOUT_TEST_SMALL
using SingleCases = ::testing::Types<Case<Cuda, float>>;
#else
using SingleCases = ::testing::Types<Case<Cpu, float>, Case<Cuda, float>>;
#endif
TYPED_TEST_SUITE(ByteProductsTest, SingleCases, CaseName);

/// Of whole vectors; half of what is promised.
constexpr double kMost = 5e-7;

/// ‖got − exact‖ / ‖exact‖
double relative_error(const std::vector<float>& got, const std::vector<Bounded<float>>& exact) {
  Real error = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Real off = static_cast<Real>(got[i]) - exact[i].value;
    error += off * off;
    norm += exact[i].value * exact[i].value;
  }
  return static_cast<double>(std::sqrt(error / norm));
}

TYPED_TEST(ByteProductsTest, SweepsKeepSinglePrecision) {
  for (const Shape& shape : {Shape{900, 300, 10, 4, false}, Shape{200, 785, 10, 3, true}})
    for (const auto step : {SweepStep::tangent, SweepStep::difference, SweepStep::given}) {
      const auto p = random_problem<float>(shape, {.bytes = true, .weights = true, .vector_size = 0.02});
      const float scale = 1.0f / 1024;
      const double error = relative_error(run_sweep(this->device(), p, step, scale), sweep_reference(p, step, scale));
      EXPECT_LE(error, kMost) << shape;
    }
}

TYPED_TEST(ByteProductsTest, OutputsKeepSinglePrecision) {
  const Shape shape{150, 1500, 10, 9, true};
  const auto p = random_problem<float>(shape, {.bytes = true});
  const OnDevice<float> on_device(this->device(), p);
  Guarded<float> out(this->device(), shape.n * shape.k * shape.classes);
  this->kernels().linear_forward(this->device(), {on_device.features, shape.linear(), on_device.vector_view,
                                                  out.view(shape.n, shape.k * shape.classes)});
  std::vector<Bounded<float>> exact;
  for (Index row = 0; row < shape.n; ++row)
    for (Index j = 0; j < shape.k; ++j)
      for (const auto& logit : logits(p, row, j)) exact.push_back(logit);
  const double error = relative_error(out.to_host(), exact);
  EXPECT_LE(error, kMost);
}

// More (vector, class) pairs than a chunk of all rows has room for: sums go on from chunk to chunk, of which the last
// has fewer partitions than the first.
TYPED_TEST(ByteProductsTest, SumsGoOnFromChunkToChunk) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "minutes under a sanitizer; the plain program runs it";
#endif
  const auto p = random_problem<float>({1300, 2, 132, 32, true},
                                       {.bytes = true, .weights = true, .exclusions = true, .vector_size = 0.02});
  const float scale = 1.0f / 512;
  const double error = relative_error(run_sweep(this->device(), p, SweepStep::tangent, scale),
                                      sweep_reference(p, SweepStep::tangent, scale));
  EXPECT_LE(error, kMost);
}

// More pairs than a grid has room for along y, and no pair at all where X is wide.
TYPED_TEST(ByteProductsTest, ManyPairsAndNone) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "minutes under the race detector; the others run it";
#endif
  const float scale = 0.25f;
  const auto many = random_problem<float>({2, 1, 65'600, 1, false}, {.bytes = true, .vector_size = 0.02});
  EXPECT_LE(relative_error(run_sweep(this->device(), many, SweepStep::given, scale),
                           sweep_reference(many, SweepStep::given, scale)),
            kMost);
  const auto none = random_problem<float>({3, 1'500, 2, 0, true}, {.bytes = true});
  EXPECT_TRUE(run_sweep(this->device(), none, SweepStep::tangent, scale).empty());
}

}  // namespace
}  // namespace clout::test
