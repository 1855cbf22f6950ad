// linear_forward, example_gradients, linear_input_gradient, linear_leverages.

#include <clout/kernels/sparse_features.hpp>

#include "problem.hpp"

namespace clout::test {
namespace {

template <class C>
using LinearTest = KernelTest<C>;
TYPED_TEST_SUITE(LinearTest, Cases, CaseName);

TYPED_TEST(LinearTest, ForwardMatchesReference) {
  using T = typename TypeParam::Number;
  for (const Shape& full : kShapes)
    for (const bool bytes : {true, false}) {
      const Shape shape = full.scaled();
      const auto p = random_problem<T>(shape, {.bytes = bytes});
      const OnDevice<T> on_device(this->device(), p);
      Guarded<T> out(this->device(), shape.n * shape.k * shape.classes);
      this->kernels().linear_forward(this->device(), {on_device.features, shape.linear(), on_device.vector_view,
                                                      out.view(shape.n, shape.k * shape.classes)});
      const auto got = out.to_host();
      for (Index row = 0; row < shape.n; ++row)
        for (Index j = 0; j < shape.k; ++j) {
          const auto expected = logits(p, row, j);
          for (Index c = 0; c < shape.classes; ++c)
            ASSERT_TRUE(within(got[(row * shape.k + j) * shape.classes + c], expected[c]))
                << shape << ": row " << row << ", vector " << j << ", class " << c;
        }
    }
}

TYPED_TEST(LinearTest, ExampleGradientsMatchReference) {
  using T = typename TypeParam::Number;
  for (const Shape& full : kShapes)
    for (const bool bytes : {true, false}) {
      const Shape shape = full.scaled();
      const auto p = random_problem<T>(shape, {.bytes = bytes});
      const OnDevice<T> on_device(this->device(), p);
      const std::vector<Index> rows = {shape.n - 1, 0, shape.n / 2};
      const Index m = std::ssize(rows);
      std::vector<T> residuals;
      for (Index i = 0; i < m * shape.classes; ++i) residuals.push_back(T(0.37) * static_cast<T>(i % 5 - 2));
      const auto row_memory = this->upload(rows);
      const auto residual_memory = this->upload(residuals);
      Guarded<T> out(this->device(), m * p.parameters());
      this->kernels().example_gradients(this->device(),
                                        {on_device.features, shape.linear(), row_memory.data(),
                                         residual_memory.view(m, shape.classes), out.view(m, p.parameters())});
      const auto got = out.to_host();
      for (Index i = 0; i < m; ++i)
        for (Index c = 0; c < shape.classes; ++c)
          for (Index f = 0; f < p.width(); ++f)
            ASSERT_TRUE(within(got[i * p.parameters() + p.parameter(c, f)],
                               Bounded<T>(residuals[i * shape.classes + c]) * p.feature(rows[i], f)))
                << shape;
    }
}

TYPED_TEST(LinearTest, InputGradientMatchesReference) {
  using T = typename TypeParam::Number;
  for (const Shape& full : kShapes) {
    const Shape shape = full.scaled();
    const Index n = shape.n, d = shape.d, classes = shape.classes, k = std::min<Index>(shape.k, 9);
    auto p = random_problem<T>({n, d, classes, k, shape.bias}, {});
    const OnDevice<T> on_device(this->device(), p);
    const auto parameters = random_problem<T>({1, d, classes, 1, shape.bias}, {}, 7).vectors;
    const auto tangents = random_problem<T>({n, k * classes, 2, 1, false}, {}, 8).values;  // [n][k·K]
    const auto parameter_memory = this->upload(parameters);
    const auto tangent_memory = this->upload(tangents);
    Guarded<T> out(this->device(), k * n * d);
    this->kernels().linear_input_gradient(
        this->device(),
        {p.shape.linear(), parameter_memory.view(1, p.parameters()), on_device.vector_view, on_device.probability_view,
         on_device.labels.data(), tangent_memory.view(n, k * classes), out.view(k, n * d)});
    const auto got = out.to_host();
    for (Index j = 0; j < k; ++j)
      for (Index row = 0; row < n; ++row)
        for (Index f = 0; f < d; ++f) {
          BoundedSum<T> expected;
          for (Index c = 0; c < classes; ++c) {
            const Bounded<T> delta =
                Bounded<T>(p.probabilities[row * classes + c]) - Bounded<T>(p.labels[row] == c ? 1 : 0);
            expected += delta * Bounded<T>(p.vectors[j * p.parameters() + c * d + f]);
            expected += Bounded<T>(tangents[(row * k + j) * classes + c]) * Bounded<T>(parameters[c * d + f]);
          }
          ASSERT_TRUE(within(got[(j * n + row) * d + f], expected.total())) << shape;
        }
  }
}

/// For a plan, which reads sizes only.
template <class T>
LinearLeverages<T> without_memory(LinearLeverages<T> op) {
  op.matrix.data = nullptr;
  op.out.data = nullptr;
  op.features.values = nullptr;
  op.features.bytes = nullptr;
  return op;
}

TYPED_TEST(LinearTest, LeveragesMatchReference) {
  using T = typename TypeParam::Number;
  const std::vector<Shape> shapes = {
      {1, 1, 2, 1, false}, {5, 13, 2, 1, true}, {270, 5, 3, 1, true}, {40, 7, 10, 1, false}};
  for (const Shape& full : shapes)
    for (const bool bytes : {true, false}) {
      const Shape shape = full.scaled();
      const auto p = random_problem<T>(shape, {.bytes = bytes});
      const Index size = p.parameters(), classes = shape.classes;
      std::vector<T> matrix = random_problem<T>({size, size, 2, 1, false}, {}, 3).values;
      for (Index i = 0; i < size; ++i)
        for (Index j = 0; j < i; ++j) matrix[i * size + j] = matrix[j * size + i];
      const OnDevice<T> on_device(this->device(), p);
      const auto memory = this->upload(matrix);
      const SparseStorage<std::uint8_t> narrow(this->device(), p.bytes, shape.n, shape.d);
      const SparseStorage<T> values(this->device(), p.values, shape.n, shape.d);
      const bool takes_entries = std::is_same_v<typename TypeParam::Backend, Cpu>;
      for (const bool is_sparse : takes_entries ? std::vector<bool>{false, true} : std::vector<bool>{false}) {
        Guarded<T> out(this->device(), shape.n * classes * classes);
        LinearLeverages<T> op{on_device.features, shape.linear(), memory.view(size, size), out.view(shape.n, classes * classes)};
        if (is_sparse) {
          op.features.values = nullptr;
          op.features.bytes = nullptr;
          op.sparse = bytes ? narrow.template view<T>() : values.template view<T>();
        }
        Scratch scratch(this->device(), this->kernels().linear_leverages_scratch(this->device(), without_memory(op)));
        op.scratch = scratch.bytes();
        this->kernels().linear_leverages(this->device(), op);
        scratch.check();
        const auto got = out.to_host();
        for (Index row = 0; row < shape.n; ++row)
          for (Index c = 0; c < classes; ++c)
            for (Index other = 0; other < classes; ++other) {
              BoundedSum<T> expected;
              for (Index i = 0; i < p.width(); ++i)
                for (Index j = 0; j < p.width(); ++j)
                  expected += p.feature(row, i) * Bounded<T>(matrix[p.parameter(c, i) * size + p.parameter(other, j)]) *
                              p.feature(row, j);
              ASSERT_TRUE(within(got[(row * classes + c) * classes + other], expected.total()))
                  << shape << (is_sparse ? ", sparse" : "") << ": row " << row << ", classes " << c << ", " << other;
            }
      }
    }
}

}  // namespace
}  // namespace clout::test
