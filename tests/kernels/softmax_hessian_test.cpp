// softmax_hessian against the definition, and its symmetry; on the CPU from X without its zeros, too.

#include <clout/kernels/sparse_features.hpp>

#include "problem.hpp"

namespace clout::test {
namespace {

template <class C>
class SoftmaxHessianTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  // X with its zeros, and without where the device takes it so.
  static std::vector<bool> storages() {
    return std::is_same_v<typename C::Backend, Cpu> ? std::vector<bool>{false, true} : std::vector<bool>{false};
  }

  std::vector<Number> run(const Problem<Number>& p, Number scale, bool is_sparse) {
    const OnDevice<Number> on_device(this->device(), p);
    const SparseStorage<std::uint8_t> bytes(this->device(), p.bytes, p.shape.n, p.shape.d);
    const SparseStorage<Number> values(this->device(), p.values, p.shape.n, p.shape.d);
    const Index size = p.parameters();
    Guarded<Number> out(this->device(), size * size);
    SoftmaxHessian<Number> op{.features = {.rows = p.shape.n, .columns = p.shape.d, .scale = p.feature_scale},
                              .sparse = {},
                              .shape = p.shape.linear(),
                              .probabilities = {nullptr, p.shape.n, p.shape.classes},
                              .example_weights = nullptr,
                              .scale = scale,
                              .out = {},
                              .scratch = {}};
    if (is_sparse) op.sparse = p.use_bytes ? bytes.template view<Number>() : values.template view<Number>();
    Scratch scratch(this->device(), this->kernels().softmax_hessian_scratch(this->device(), op));
    if (!is_sparse) op.features = on_device.features;
    op.probabilities = on_device.probability_view;
    op.example_weights = p.weights.empty() ? nullptr : on_device.weights.data();
    op.out = out.view(size, size);
    op.scratch = scratch.bytes();
    this->kernels().softmax_hessian(this->device(), op);
    scratch.check();
    return out.to_host();
  }

  // Every entry of Σ scale·w (δ_cc′ p_c − p_c p_c′) x_f x_f′, the diagonal blocks as −Σ of the others: the error bound
  // is that of the form the contract gives.
  void compare(const Problem<Number>& p, Number scale) {
    for (const bool is_sparse : storages()) compare(p, scale, run(p, scale, is_sparse));
  }
  void compare(const Problem<Number>& p, Number scale, const std::vector<Number>& got) {
    const Index size = p.parameters(), width = p.width(), classes = p.shape.classes;
    for (Index f = 0; f < width; ++f)
      for (Index g = 0; g < width; ++g) {
        std::vector<BoundedSum<Number>> diagonal(static_cast<std::size_t>(classes));
        for (Index c = 0; c < classes; ++c)
          for (Index e = 0; e < classes; ++e) {
            if (c == e) continue;
            BoundedSum<Number> sum;
            for (Index row = 0; row < p.shape.n; ++row) {
              const Number* q = &p.probabilities[row * classes];
              const Bounded<Number> weight = p.weights.empty() ? Bounded<Number>(1) : Bounded<Number>(p.weights[row]);
              sum += weight * Bounded<Number>(q[c]) * Bounded<Number>(q[e]) * (p.feature(row, f) * p.feature(row, g));
            }
            const Bounded<Number> entry = Bounded<Number>(-1) * Bounded<Number>(scale) * sum.total();
            ASSERT_TRUE(within(got[p.parameter(c, f) * size + p.parameter(e, g)], entry))
                << p.shape << ": " << c << "," << f << " × " << e << "," << g;
            diagonal[c] += Bounded<Number>(-1) * entry;
          }
        for (Index c = 0; c < classes; ++c)
          ASSERT_TRUE(within(got[p.parameter(c, f) * size + p.parameter(c, g)], diagonal[c].total()))
              << p.shape << ": diagonal block " << c << ", " << f << " × " << g;
      }
    for (Index i = 0; i < size; ++i)
      for (Index j = 0; j < i; ++j) ASSERT_EQ(got[i * size + j], got[j * size + i]) << "not symmetric";
  }
};
TYPED_TEST_SUITE(SoftmaxHessianTest, Cases, CaseName);

// As many rows as MNIST has: one sum over all of them, of numbers of one sign, is off by 1e-5 in single precision.
TYPED_TEST(SoftmaxHessianTest, SumsOfManyRowsKeepTheirDigits) {
  using T = typename TypeParam::Number;
  const auto p = random_problem<T>({kSmall ? 500 : 55'000, 5, 3, 1, true}, {.bytes = true});
  const Index size = p.parameters(), classes = p.shape.classes;
  for (const bool is_sparse : this->storages()) {
    const auto got = this->run(p, T(1) / static_cast<T>(p.shape.n), is_sparse);
    Real error = 0, norm = 0;
    for (Index f = 0; f < p.width(); ++f)
      for (Index g = 0; g < p.width(); ++g)
        for (const auto& [c, e] : {std::pair<Index, Index>{0, 1}, {0, 2}, {1, 2}}) {
          Real exact = 0;
          for (Index row = 0; row < p.shape.n; ++row) {
            const T* q = &p.probabilities[row * classes];
            exact -= static_cast<Real>(q[c]) * static_cast<Real>(q[e]) * p.feature(row, f).value * p.feature(row, g).value;
          }
          const Real off = static_cast<Real>(got[p.parameter(c, f) * size + p.parameter(e, g)]) - exact / static_cast<Real>(p.shape.n);
          error += off * off;
          norm += exact * exact / static_cast<Real>(p.shape.n * p.shape.n);
        }
    EXPECT_LE(std::sqrt(error / norm), 16 * std::numeric_limits<T>::epsilon()) << (is_sparse ? "sparse" : "dense");
  }
}

TYPED_TEST(SoftmaxHessianTest, MatchesDefinition) {
  using T = typename TypeParam::Number;
  unsigned seed = 1;
  for (const Shape& shape :
       {Shape{1, 1, 2, 1, false}, Shape{1, 13, 3, 1, true}, Shape{50, 13, 2, 1, true}, Shape{209, 9, 7, 1, true},
        Shape{40, 5, kSmall ? 7 : 33, 1, false}, Shape{30, 40, 3, 1, true}, Shape{20, 33, 2, 1, false}})
    for (const bool bytes : {true, false})
      this->compare(random_problem<T>(shape.scaled(), {bytes, seed % 2 == 0, false, 1}, seed++), T(0.25));
}

// Columns that are zero for every example (67 of MNIST's are) give zero rows and columns, exactly.
TYPED_TEST(SoftmaxHessianTest, ZeroColumns) {
  using T = typename TypeParam::Number;
  for (const bool bytes : {true, false}) {
    auto p = random_problem<T>({30, 37, 3, 1, true}, {.bytes = bytes});
    for (Index row = 0; row < p.shape.n; ++row)
      for (Index f = 0; f < p.shape.d; ++f)
        if (f % 3 == 0 || f > 30) p.bytes[row * p.shape.d + f] = 0, p.values[row * p.shape.d + f] = 0;
    this->compare(p, T(1));
    std::fill(p.bytes.begin(), p.bytes.end(), std::uint8_t{0});
    std::fill(p.values.begin(), p.values.end(), T(0));
    this->compare(p, T(1));
    p.shape.bias = false;
    for (const bool is_sparse : this->storages())
      for (const T value : this->run(p, T(1), is_sparse)) ASSERT_EQ(value, T(0));
  }
}

TYPED_TEST(SoftmaxHessianTest, SmallIntegersAreExact) {
  using T = typename TypeParam::Number;
  auto p = random_problem<T>({60, 19, 4, 1, true}, {true, true, false, 1});
  p.feature_scale = 1;
  for (auto& x : p.bytes) x = static_cast<std::uint8_t>(x % 8);
  for (auto& w : p.weights) w = w > T(1) ? T(4) : T(1);
  for (Index i = 0; i < std::ssize(p.probabilities); ++i) p.probabilities[i] = i % 4 == 0 ? T(0.625) : T(0.125);
  const Index size = p.parameters();
  for (const bool is_sparse : this->storages()) {
    const auto got = this->run(p, T(2), is_sparse);
    for (Index c = 0; c < 4; ++c)
      for (Index e = 0; e < 4; ++e)
        for (Index f = 0; f < p.width(); ++f)
          for (Index g = 0; g < p.width(); ++g) {
            Real sum = 0;
            for (Index row = 0; row < p.shape.n; ++row) {
              const Real q = p.probabilities[row * 4 + c], r = p.probabilities[row * 4 + e];
              sum +=
                  2 * p.weights[row] * (q * (c == e ? 1 : 0) - q * r) * p.feature(row, f).value * p.feature(row, g).value;
            }
            ASSERT_EQ(got[p.parameter(c, f) * size + p.parameter(e, g)], static_cast<T>(sum));
          }
  }
}

}  // namespace
}  // namespace clout::test
