// linear_sweep over an X without its zeros, against the reference, which reads the whole X.

#include "sweep_reference.hpp"

namespace clout::test {
namespace {

template <class C>
class SparseSweepTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  // As random_problem, with values that are zero as often as the bytes are.
  Problem<Number> problem(const Shape& shape, const Options& options, unsigned seed = 1) {
    auto p = random_problem<Number>(shape, options, seed);
    std::mt19937 random(seed);
    for (auto& value : p.values)
      if (random() % 4 != 0) value = random() % 2 ? Number(0) : -Number(0);
    return p;
  }
  // Both storages for which `change` leaves, of X, what it likes: change(row, column, number).
  template <class Change>
  Problem<Number> changed(Problem<Number> p, const Change& change) {
    for (Index row = 0; row < p.shape.n; ++row)
      for (Index f = 0; f < p.shape.d; ++f) {
        change(row, f, p.bytes[row * p.shape.d + f]);
        change(row, f, p.values[row * p.shape.d + f]);
      }
    return p;
  }
  void compare(const Problem<Number>& p, SweepStep step) { compare_sweep(this->device(), p, step, true); }
  void compare_all(SweepStep step, double vector_size) {
    unsigned seed = 1;
    for (const Shape& shape : kShapes)
      for (const bool bytes : {true, false}) {
        const Options options{bytes, seed % 2 == 0, seed % 3 == 0, vector_size};
        compare(problem(shape.scaled(), options, seed++), step);
      }
  }
};
TYPED_TEST_SUITE(SparseSweepTest, Cases, CaseName);

TYPED_TEST(SparseSweepTest, TangentMatchesReference) { this->compare_all(SweepStep::tangent, 1); }
TYPED_TEST(SparseSweepTest, GradientMatchesReference) { this->compare_all(SweepStep::gradient, 0.3); }
TYPED_TEST(SparseSweepTest, DifferenceMatchesReference) { this->compare_all(SweepStep::difference, 0.3); }
TYPED_TEST(SparseSweepTest, TinyDifferenceMatchesReference) { this->compare_all(SweepStep::difference, 1e-9); }

TYPED_TEST(SparseSweepTest, ScaledMatchesReference) { this->compare_all(SweepStep::scaled, 1); }
TYPED_TEST(SparseSweepTest, GivenMatchesReference) { this->compare_all(SweepStep::given, 1); }

TYPED_TEST(SparseSweepTest, WeightsAndExclusionsTogether) {
  for (const auto step : kSweepSteps)
    this->compare(this->problem({77, 20, 5, 11, true}, {true, true, true, 0.5}), step);
}

TYPED_TEST(SparseSweepTest, OneOutput) {
  for (const Shape& shape : kOneOutputShapes)
    for (const auto step : {SweepStep::scaled, SweepStep::given})
      this->compare(this->problem(shape.scaled(), {shape.bias, true, true, 1}), step);
}

// Blocks of rows, and the ends of them.
TYPED_TEST(SparseSweepTest, RowsAroundBlocks) {
  for (const Index n : {kSparseBlockRows - 1, kSparseBlockRows, kSparseBlockRows + 1, 2 * kSparseBlockRows + 37})
    for (const bool bytes : {true, false})
      for (const auto step : {SweepStep::tangent, SweepStep::given})
        this->compare(this->problem({n, 6, 3, 2, true}, {bytes, true, true, 0.5}), step);
}

// Every number of columns of Z up to several strips of them.
TYPED_TEST(SparseSweepTest, AnyNumberOfColumns) {
  for (Index k = 1; k <= (kSmall ? 12 : 75); ++k)
    for (const auto step : {SweepStep::tangent, SweepStep::given})
      this->compare(this->problem({9, 12, 2, k, k % 2 == 0}, {k % 3 == 0, false, false, 0.5}), step);
  for (const Index k : {1, 3}) this->compare(this->problem({11, 12, 100, k, true}, {}), SweepStep::tangent);
}

TYPED_TEST(SparseSweepTest, EmptyRowsAndColumns) {
  const auto p = this->problem({60, 30, 5, 3, true}, {true, true, false, 0.5});
  for (const auto step : kSweepSteps)
    for (const bool bytes : {true, false}) {
      auto some = this->changed(p, [](Index row, Index f, auto& number) {
        if (row % 7 == 0 || row > 50 || f % 5 == 0 || f > 24) number = 0;
      });
      some.use_bytes = bytes;
      this->compare(some, step);
      auto none = this->changed(p, [](Index, Index, auto& number) { number = 0; });
      none.use_bytes = bytes;
      this->compare(none, step);
      auto all = this->changed(p, [](Index, Index, auto& number) {
        if (number == 0) number = 1;
      });
      all.use_bytes = bytes;
      this->compare(all, step);
    }
}

// Few entries in a column: on the CPU another way through X, by taller blocks. One block of those, and the end of it.
TYPED_TEST(SparseSweepTest, ThinX) {
  using T = typename TypeParam::Number;
  const Index rows = kSmall ? 300 : 700, tall = kSmall ? 300 : kThinBlockRows + 300;
  for (const auto& [n, k] : {std::pair<Index, Index>{rows, 1}, {rows, 5}, {rows, 21}, {tall, 2}})
    for (const bool bytes : {true, false})
      for (const auto step : kSweepSteps) {
        auto p = this->changed(this->problem({n, 9, 3, k, k != 5}, {bytes, k != 1, k == 5, 0.5}), [](Index row, Index f, auto& x) {
          if ((row * 7 + f * 3) % 41 != 0 && (f != 2 || row > 60)) x = 0;
        });
        const SparseStorage<T> values(this->device(), p.values, n, 9);
        ASSERT_EQ(values.template view<T>().block_rows, this->device().info().is_host ? kThinBlockRows : kSparseBlockRows);
        this->compare(p, step);
      }
  for (const auto& [n, k, bias] : {std::tuple<Index, Index, bool>{rows, 1, false}, {rows, 1, true}, {tall, 1, true}, {rows, 6, true}})
    for (const bool bytes : {true, false})
      for (const auto step : {SweepStep::scaled, SweepStep::given})
        this->compare(this->changed(this->problem({n, 9, 1, k, bias}, {bytes, bias, bytes, 1}),
                                    [](Index row, Index f, auto& x) {
                                      if ((row * 7 + f * 3) % 41 != 0 && (f != 2 || row > 60)) x = 0;
                                    }),
                      step);
}

TYPED_TEST(SparseSweepTest, ForwardMatchesReference) {
  using T = typename TypeParam::Number;
  unsigned seed = 1;
  for (const Shape& full : kShapes)
    for (const bool bytes : {true, false}) {
      const auto p = this->problem(full.scaled(), {.bytes = bytes}, seed++);
      const Shape& shape = p.shape;
      const OnDevice<T> on_device(this->device(), p);
      const SparseStorage<std::uint8_t> narrow(this->device(), p.bytes, shape.n, shape.d);
      const SparseStorage<T> values(this->device(), p.values, shape.n, shape.d);
      const auto sparse = bytes ? narrow.template view<T>() : values.template view<T>();
      const Index width = shape.k * shape.classes, first = shape.n / 3;
      Guarded<T> out(this->device(), (shape.n - first) * width);
      FeatureView<T> sizes = on_device.features.rows_from(first, shape.n - first);
      sizes.values = nullptr;  // not read
      sizes.bytes = nullptr;
      this->kernels().linear_forward(this->device(), {sizes, shape.linear(), on_device.vector_view,
                                                      out.view(shape.n - first, width), sparse.rows_from(first)});
      const auto got = out.to_host();
      for (Index row = first; row < shape.n; ++row)
        for (Index j = 0; j < shape.k; ++j) {
          const auto expected = logits(p, row, j);
          for (Index c = 0; c < shape.classes; ++c)
            ASSERT_TRUE(within(got[(row - first) * width + j * shape.classes + c], expected[c]))
                << "row " << row << ", vector " << j << ", class " << c << " of " << shape;
        }
    }
}

// More columns than 16 bits can number.
TYPED_TEST(SparseSweepTest, WideRows) {
  using T = typename TypeParam::Number;
  const Index d = 65'537;
  auto p = random_problem<T>({2, d, 2, 1, true}, {true, false, false, 0.01});
  std::fill(p.bytes.begin(), p.bytes.end(), std::uint8_t{0});
  std::fill(p.values.begin(), p.values.end(), T(0));
  for (const Index at : {Index{0}, Index{5}, d - 2, d - 1, d, 2 * d - 1})
    p.values[at] = p.bytes[at] = static_cast<std::uint8_t>(1 + at % 250);
  for (const bool bytes : {true, false}) {
    p.use_bytes = bytes;
    this->compare(p, SweepStep::tangent);
  }
}

// Small integers, and probabilities in eighths: every number on the way is exact in T, so the result is, too, and the
// same as the dense sweep's to the bit.
TYPED_TEST(SparseSweepTest, TangentOfSmallIntegersIsExact) {
  using T = typename TypeParam::Number;
  for (const bool bytes : {true, false})
    for (const Shape& shape : {Shape{70, 23, 4, 9, true}, Shape{101, 33, 2, 1, false}, Shape{64, 17, 4, 20, false}}) {
      auto p = this->problem(shape.scaled(), {bytes, true, true, 1});
      std::mt19937 random(3);
      p.feature_scale = 1;
      for (auto& x : p.bytes) x = static_cast<std::uint8_t>(x % 4);
      for (auto& x : p.values) x = x == 0 ? T(0) : static_cast<T>(random() % 5) - 2;
      for (auto& v : p.vectors) v = static_cast<T>(random() % 3) - 1;
      for (auto& w : p.weights) w = static_cast<T>(random() % 3);
      for (Index i = 0; i < p.shape.n * p.shape.classes; i += p.shape.classes)
        for (Index c = 0; c < p.shape.classes; ++c)
          p.probabilities[i + c] = p.shape.classes == 2 ? T(c == 0 ? 0.375 : 0.625) : T(c == 0 ? 0.625 : 0.125);
      const auto got = run_sweep(this->device(), p, SweepStep::tangent, T(2), true);
      const auto dense = run_sweep(this->device(), p, SweepStep::tangent, T(2), false);
      const auto expected = sweep_reference(p, SweepStep::tangent, T(2));
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i], static_cast<T>(expected[i].value)) << "at " << i << " of " << p.shape;
        ASSERT_EQ(got[i], dense[i]) << "at " << i << " of " << p.shape;
      }
    }
}

TYPED_TEST(SparseSweepTest, NanInOneVectorStaysThere) {
  using T = typename TypeParam::Number;
  auto p = random_problem<T>({40, 12, 3, 5, false}, {true, false, false, 0.5});
  p.vectors[2 * p.parameters() + 4] = std::numeric_limits<T>::quiet_NaN();
  std::fill(p.bytes.begin(), p.bytes.end(), std::uint8_t{1});
  for (const auto step : kSoftmaxSteps) {
    const auto got = run_sweep(this->device(), p, step, T(1), true);
    for (Index i = 0; i < std::ssize(got); ++i)
      ASSERT_EQ(std::isnan(got[i]), i / p.parameters() == 2) << "step " << static_cast<int>(step) << " at " << i;
  }
}

TYPED_TEST(SparseSweepTest, NoExamplesGiveZero) {
  using T = typename TypeParam::Number;
  const auto p = random_problem<T>({0, 12, 3, 5, true}, {true, false, false, 0.5});
  for (const T value : run_sweep(this->device(), p, SweepStep::tangent, T(1), true)) ASSERT_EQ(value, T(0));
}

}  // namespace
}  // namespace clout::test
