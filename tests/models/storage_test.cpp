// How a data set is stored: chosen by density, kept through copies, and without effect on results but for rounding.

#include "models/model_test.hpp"

namespace clout::test {
namespace {

template <class C>
class StorageTest : public KernelTest<C> {
 protected:
  // n examples of d features, of which about `part` are not zero.
  Dataset<double> data(Index n, Index d, double part, bool bytes) {
    std::mt19937 random(5);
    std::vector<double> values;
    for (Index i = 0; i < n * d; ++i)
      values.push_back(static_cast<double>(random() % 1000) < 1000 * part ? static_cast<double>(1 + random() % 200) : 0.0);
    std::vector<std::int32_t> labels;
    for (Index i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
    if (!bytes) return Dataset<double>::from_values(this->device(), values, labels, d, 3);
    const std::vector<std::uint8_t> narrow(values.begin(), values.end());
    return Dataset<double>::from_bytes(this->device(), narrow, labels, d, 3);
  }
  bool automatic(const Dataset<double>& from) { return from.with_storage(Storage::automatic).is_sparse(); }
};
TYPED_TEST_SUITE(StorageTest, Cases, CaseName);

TYPED_TEST(StorageTest, DensityDecides) {
  const bool is_cpu = this->device().info().is_host;
  for (const bool bytes : {true, false}) {
    const auto few = this->data(50, 20, 0.2, bytes), many = this->data(50, 20, 0.6, bytes);
    EXPECT_NEAR(few.density(), 0.2, 0.05);
    EXPECT_FALSE(few.is_sparse());
    EXPECT_EQ(this->automatic(few), is_cpu);
    EXPECT_FALSE(this->automatic(many));
    EXPECT_FALSE(few.with_storage(Storage::sparse).with_storage(Storage::dense).is_sparse());
    EXPECT_TRUE(many.with_storage(Storage::sparse).is_sparse());
    EXPECT_TRUE(this->automatic(this->data(50, 20, 0, bytes)) == is_cpu);  // all zero
  }
}

TYPED_TEST(StorageTest, MemoryLimitHasItsSay) {
  const auto few = this->data(50, 20, 0.2, true);
  this->device().set_memory_limit(this->device().used_memory() + 1000);
  EXPECT_FALSE(this->automatic(few));
  EXPECT_THROW(few.with_storage(Storage::sparse), OutOfMemory);
}

// More than half the numbers, one in forty, and none; more rows than a block has.
TYPED_TEST(StorageTest, ResultsAreTheSame) {
  using T = typename TypeParam::Number;
  const Index n = kSmall ? 31 : 300, d = 19, k = 2;
  std::vector<double> weights;
  for (Index i = 0; i < n; ++i) weights.push_back(i % 5 == 0 ? 0.0 : 0.5 + 0.01 * static_cast<double>(i % 50));
  for (const double part : {0.6, 0.025, 0.0})
    for (const bool bytes : {true, false}) {
      const auto dense = this->data(n, d, part, bytes);
      const auto sparse = dense.with_storage(Storage::sparse).with_weights(weights);
      LogisticRegression<T> one(dense.with_weights(weights).template as<T>(), true, 0.1), two(sparse.template as<T>(), true, 0.1);
      ASSERT_TRUE(two.data().is_sparse());
      const Index p = one.parameters();
      std::mt19937 random(7);
      std::vector<T> numbers;
      for (Index i = 0; i < k * p; ++i) numbers.push_back(static_cast<T>(static_cast<double>(random() % 1000) * 1e-5 - 5e-3));
      const Buffer<T> vectors(this->device(), std::span<const T>(numbers));
      const auto v = vectors.view(k, p);
      const auto all = [&](LogisticRegression<T>& model) {
        model.set_parameters(v.rows_from(0, 1));
        Buffer<T> out(this->device(), 4 * k * p);
        const auto rows = [&](Index first, Index count) { return out.view(4 * k, p).rows_from(first, count); };
        const Removals removals(this->device(), {{3}, {7, 11}}, n);
        model.gradient(rows(0, 1));
        model.hessian_product(v, 0.0, rows(1, k));
        model.removal_differences(removals, v, rows(1 + k, k));
        model.gradients_without(removals, v, rows(1 + 2 * k, k));
        std::vector<T> host = out.to_host();
        host.resize(static_cast<std::size_t>((1 + 3 * k) * p));
        return host;
      };
      const auto expected = all(one), got = all(two);
      // Sums of n terms, each a product of sums of d: each result to n + d roundings of its row's largest number.
      for (Index row = 0; row < 1 + 3 * k; ++row) {
        const auto begin = expected.begin() + row * p;
        T largest = 0;
        for (Index i = 0; i < p; ++i) largest = std::max(largest, std::abs(begin[i]));
        for (Index i = 0; i < p; ++i)
          ASSERT_NEAR(got[static_cast<std::size_t>(row * p + i)], begin[i],
                      static_cast<T>(n + d) * std::numeric_limits<T>::epsilon() * largest)
              << "row " << row << " at " << i << ", part " << part;
      }
    }
}

// Outputs of some rows, from the middle of X and over more than a block of rows: on the CPU by lines of X.
TYPED_TEST(StorageTest, TangentsOfSomeRowsAreTheSame) {
  using T = typename TypeParam::Number;
  const Index n = kSmall ? 31 : 9000, first = kSmall ? 3 : 777, count = n - first - 2, k = 3;
  for (const bool bytes : {true, false}) {
    const auto dense = this->data(n, 19, 0.2, bytes);
    LogisticRegression<T> one(dense.template as<T>(), true, 0.1), two(dense.with_storage(Storage::sparse).template as<T>(), true, 0.1);
    const Index p = one.parameters();
    std::vector<T> numbers;
    for (Index i = 0; i < k * p; ++i) numbers.push_back(static_cast<T>(static_cast<double>(i * 389 % 1000) * 1e-5 - 5e-3));
    const Buffer<T> vectors(this->device(), std::span<const T>(numbers));
    const auto tangents = [&](LogisticRegression<T>& model) {
      model.set_parameters(vectors.view(1, p));
      Buffer<T> out(this->device(), count * k);
      model.loss_tangents(vectors.view(k, p), first, out.view(count, k));
      return out.to_host();
    };
    const auto expected = tangents(one), got = tangents(two);
    const T largest = *std::max_element(expected.begin(), expected.end());
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], expected[i], T(40) * std::numeric_limits<T>::epsilon() * largest) << "row " << i / k << ", vector " << i % k;
  }
}

// Rows without zeros alone, against the same X as a whole.
TYPED_TEST(StorageTest, SparseRowsGiveTheSame) {
  using T = typename TypeParam::Number;
  const Index n = kSmall ? 31 : 300, d = 19;
  for (const double part : {0.3, 0.01}) {
    const auto whole = this->data(n, d, part, false);
    SparseRows<double> rows{.columns = d};
    for (Index row = 0; row < n; ++row) {
      const std::vector<double> x = whole.host_features(row, 1);
      for (Index f = 0; f < d; ++f)
        if (x[static_cast<std::size_t>(f)] != 0) {
          rows.places.push_back(static_cast<std::uint32_t>(f));
          rows.values.push_back(x[static_cast<std::size_t>(f)]);
        }
      rows.starts.push_back(static_cast<Index>(rows.values.size()));
    }
    const auto thin = Dataset<double>::from_sparse(this->device(), rows, whole.host_labels(), 3);
    EXPECT_TRUE(thin.is_sparse());
    EXPECT_FALSE(thin.is_whole());
    EXPECT_DOUBLE_EQ(thin.density(), whole.density());
    EXPECT_EQ(thin.host_features(3, 5), whole.host_features(3, 5));
    EXPECT_EQ(thin.input_norms(), whole.input_norms());
    EXPECT_THROW(thin.view(), InvalidInput);
    EXPECT_THROW(thin.with_storage(Storage::dense), InvalidInput);
    LogisticRegression<T> one(whole.template as<T>(), true, 0.1), two(thin.template as<T>(), true, 0.1);
    EXPECT_FALSE(two.has_batch_products());
    const Index p = one.parameters();
    std::vector<T> numbers;
    for (Index i = 0; i < p; ++i) numbers.push_back(static_cast<T>(static_cast<double>(i * 37 % 100) * 1e-4 - 5e-3));
    const Buffer<T> theta(this->device(), std::span<const T>(numbers));
    const auto all = [&](LogisticRegression<T>& model) {
      model.set_parameters(theta.view(1, p));
      const std::vector<Index> some{n - 1, 4};
      Buffer<T> gradients(this->device(), 3 * p), losses(this->device(), 2 * n);
      const MatrixView<T> rows_of = gradients.view(3, p);
      model.gradient(rows_of.rows_from(0, 1));
      model.example_gradients(some, rows_of.rows_from(1, 2));
      model.losses(losses.view(2 * n, 1).rows_from(0, n));
      model.losses_at(theta.view(1, p), losses.view(2 * n, 1).rows_from(n, n));
      std::vector<T> host = gradients.to_host();
      for (const T loss : losses.to_host()) host.push_back(loss);
      return host;
    };
    const auto expected = all(one), got = all(two);
    // Sums of n terms, each a product of sums of d: to n + d roundings of the largest number.
    T largest = 0;
    for (const T value : expected) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], expected[i], static_cast<T>(n + d) * std::numeric_limits<T>::epsilon() * largest) << i;
  }
}

TYPED_TEST(StorageTest, RowsThatAreNoneAreRefused) {
  const std::vector<std::int32_t> labels{0, 1};
  const auto message = [&](const SparseRows<double>& rows) {
    try {
      Dataset<double>::from_sparse(this->device(), rows, labels, 2);
    } catch (const InvalidInput& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message({3, {0, 2, 3}, {0, 2, 1}, {1, 2, 3}}), "");
  EXPECT_EQ(message({3, {0, 2, 3}, {2, 0, 1}, {1, 2, 3}}),
            "data: row 0 has column 0 there; expected ascending columns below 3");
  EXPECT_EQ(message({3, {0, 2, 3}, {0, 0, 1}, {1, 2, 3}}),
            "data: row 0 has column 0 there; expected ascending columns below 3");
  EXPECT_EQ(message({3, {0, 2, 3}, {0, 2, 3}, {1, 2, 3}}),
            "data: row 1 has column 3 there; expected ascending columns below 3");
  EXPECT_EQ(message({3, {0, 2, 3}, {0, 2, 1}, {1, NAN, 3}}), "data: row 0, column 2: expected a finite number");
  EXPECT_EQ(message({3, {0, 4, 3}, {0, 2, 1}, {1, 2, 3}}), "data: row 0 ends before it begins; expected ascending starts");
  EXPECT_NE(message({3, {0, 2, 2}, {0, 2, 1}, {1, 2, 3}}), "");
  EXPECT_NE(message({3, {0, 3}, {0, 1, 2}, {1, 2, 3}}), "");  // a row for two labels
}

TYPED_TEST(StorageTest, OtherLabels) {
  const auto data = this->data(9, 4, 0.5, false);
  const std::vector<std::int32_t> labels{2, 1, 0, 2, 1, 0, 2, 1, 0};
  EXPECT_EQ(data.with_labels(labels).host_labels(), labels);
  EXPECT_NE(data.host_labels(), labels);
  EXPECT_THROW(data.with_labels(std::vector<std::int32_t>(9, 3)), InvalidInput);
  EXPECT_THROW(data.with_labels(std::vector<std::int32_t>(8, 0)), InvalidInput);
}

}  // namespace
}  // namespace clout::test
