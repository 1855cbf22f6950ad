// The margin models' passes against the oracle, which shares no code with them.

#include <clout/models/margin_classifier.hpp>

#include "models/model_test.hpp"
#include "oracle/margin_oracle.hpp"

namespace clout::test {
namespace {

struct MarginSizes {
  Index n, d;
  bool bias, bytes, weighted;
  Storage storage;
  oracle::Margin loss;
  double temperature;

  friend std::ostream& operator<<(std::ostream& out, const MarginSizes& s) {
    return out << "n=" << s.n << " d=" << s.d << (s.bias ? " bias" : "") << (s.bytes ? " bytes" : "")
               << (s.weighted ? " weighted" : "") << (s.storage == Storage::sparse ? " sparse" : "") << " loss "
               << static_cast<int>(s.loss) << " t=" << s.temperature;
  }
};

std::vector<MarginSizes> margin_cases() {
  using oracle::Margin;
  std::vector<MarginSizes> cases;
  for (const Storage storage : {Storage::dense, Storage::sparse}) {
    cases.push_back({1, 1, false, false, false, storage, Margin::logistic, 1});
    cases.push_back({11, 5, true, false, true, storage, Margin::logistic, 1});
    cases.push_back({13, 4, false, true, false, storage, Margin::smooth_hinge, 0.5});
    cases.push_back({17, 3, true, true, true, storage, Margin::smooth_hinge, 0.125});
    cases.push_back({9, 6, true, false, true, storage, Margin::hinge, 1});
    if (!kSmall) cases.push_back({kSparseBlockRows + 11, 9, true, false, true, storage, Margin::smooth_hinge, 0.25});
  }
  return cases;
}

MarginLoss product_loss(oracle::Margin loss) {
  return loss == oracle::Margin::logistic ? MarginLoss::logistic
         : loss == oracle::Margin::hinge  ? MarginLoss::hinge
                                          : MarginLoss::smooth_hinge;
}

class MarginCase {
 public:
  explicit MarginCase(const MarginSizes& sizes) : sizes_(sizes), random_(5) {
    oracle::MarginProblem& p = problem_;
    p.examples = static_cast<std::size_t>(sizes.n);
    p.features = static_cast<std::size_t>(sizes.d);
    p.bias = sizes.bias;
    p.loss = sizes.loss;
    p.temperature = sizes.temperature;
    p.l2 = 0.0625L;
    for (Index i = 0; i < sizes.n * sizes.d; ++i) {
      const bool is_zero = sizes.storage == Storage::sparse && random_() % 3 == 0;
      p.x.push_back(is_zero ? 0 : sizes.bytes ? static_cast<long double>(random_() % 256) / 255 : normal());
    }
    for (Index i = 0; i < sizes.n; ++i) {
      p.labels.push_back(static_cast<int>(i < 2 ? i : static_cast<Index>(random_() % 2)));
      if (sizes.weighted) p.weights.push_back(i % 4 == 3 ? 0 : 0.25L + static_cast<long double>(random_() % 16) / 8);
    }
    theta_ = vector();
  }

  const MarginSizes& sizes() const { return sizes_; }
  const oracle::MarginProblem& problem() const { return problem_; }
  const oracle::Vector& theta() const { return theta_; }
  oracle::Vector vector() {
    oracle::Vector v(problem_.parameters());
    for (long double& value : v) value = normal();
    return v;
  }
  oracle::Matrix vectors(Index k) {
    oracle::Matrix rows;
    for (Index j = 0; j < k; ++j) rows.push_back(vector());
    return rows;
  }

  template <class T>
  std::unique_ptr<MarginClassifier<T>> model(Device& device) const {
    const std::vector<std::int32_t> labels(problem_.labels.begin(), problem_.labels.end());
    std::vector<std::uint8_t> bytes;
    for (const long double value : problem_.x) bytes.push_back(static_cast<std::uint8_t>(std::lround(value * 255)));
    Dataset<T> data = sizes_.bytes ? Dataset<T>::from_bytes(device, bytes, labels, sizes_.d, 2)
                                   : Dataset<T>::from_values(device, to_double(problem_.x), labels, sizes_.d, 2);
    if (sizes_.weighted) data = data.with_weights(to_double(problem_.weights));
    data = data.with_storage(sizes_.storage);
    auto model = std::make_unique<MarginClassifier<T>>(std::move(data), product_loss(sizes_.loss), sizes_.temperature,
                                                       sizes_.bias, static_cast<double>(problem_.l2));
    const Buffer<T> theta = upload_rows<T>(device, {theta_});
    model->set_parameters(theta.view(1, model->parameters()));
    return model;
  }

 private:
  float normal() { return static_cast<float>(std::normal_distribution<double>(0, 1)(random_)); }
  MarginSizes sizes_;
  std::mt19937_64 random_;
  oracle::MarginProblem problem_;
  oracle::Vector theta_;
};

// Double: 1e-12. Float: rounding of z, of size |x||θ| eps, acts through ℓ″ ≤ 1/(4t); sums walk.
template <class T>
double margin_bound(const MarginSizes& s) {
  if (sizeof(T) == 8) return 1e-12;
  const double walk = std::sqrt(static_cast<double>(s.n + s.d));
  return 16 * walk * static_cast<double>(std::numeric_limits<T>::epsilon()) / std::min(1.0, s.temperature);
}

template <class C>
class MarginClassifierTest : public KernelTest<C> {
 protected:
  template <class T>
  void expect_near(const char* what, const std::vector<T>& got, const oracle::Vector& expected, const MarginSizes& s) {
    EXPECT_LE(relative_error(got, expected), margin_bound<T>(s)) << what << ", " << s;
  }
};
TYPED_TEST_SUITE(MarginClassifierTest, Cases, CaseName);

TYPED_TEST(MarginClassifierTest, LossesGradientAndHessianProducts) {
  using T = typename TypeParam::Number;
  for (const MarginSizes& sizes : margin_cases()) {
    MarginCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index n = sizes.n, p = model->parameters(), k = 5;
    ASSERT_EQ(p, static_cast<Index>(c.problem().parameters()));
    Guarded<T> losses(this->device(), n), gradient(this->device(), p), products(this->device(), k * p);
    oracle::Vector expected;
    for (std::size_t i = 0; i < c.problem().examples; ++i)
      expected.push_back(oracle::margin_example_loss(c.problem(), c.theta(), i));
    model->losses(losses.view(n, 1));
    this->expect_near("losses", losses.to_host(), expected, sizes);
    model->gradient(gradient.view(1, p));
    this->expect_near("gradient", gradient.to_host(), oracle::margin_gradient(c.problem(), c.theta()), sizes);

    const oracle::Matrix vectors = c.vectors(k);
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    model->hessian_product(v.view(k, p), 0.375, products.view(k, p));
    expected.clear();
    for (const oracle::Vector& vector : vectors) {
      const oracle::Vector product = oracle::margin_hvp(c.problem(), c.theta(), vector);
      for (std::size_t j = 0; j < product.size(); ++j) expected.push_back(product[j] + 0.375L * vector[j]);
    }
    this->expect_near("Hessian products", products.to_host(), expected, sizes);
    Guarded<T> hessian(this->device(), p * p);
    model->explicit_hessian(0.0, hessian.view(p, p));
    expected.clear();
    for (std::size_t j = 0; j < static_cast<std::size_t>(p); ++j) {
      oracle::Vector unit(static_cast<std::size_t>(p));
      unit[j] = 1;
      for (const long double value : oracle::margin_hvp(c.problem(), c.theta(), unit)) expected.push_back(value);
    }
    this->expect_near("explicit Hessian", hessian.to_host(), expected, sizes);
  }
}

// Minibatches of rows drawn with replacement: Hessian products without λ, in which an example counts as often as it was
// drawn.
TYPED_TEST(MarginClassifierTest, BatchProducts) {
  using T = typename TypeParam::Number;
  for (const MarginSizes& sizes : margin_cases()) {
    MarginCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index n = sizes.n, count = n + 2, groups = 2, k = 4, p = model->parameters();
    std::mt19937 random(3);
    std::vector<Index> drawn;
    for (Index i = 0; i < groups * count; ++i) drawn.push_back(static_cast<Index>(random()) % n);
    const Buffer<Index> rows(this->device(), std::span<const Index>(drawn));
    const oracle::Matrix vectors = c.vectors(k);
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    Guarded<T> products(this->device(), k * p);
    model->batch_hessian_products(v.view(k, p), rows.data(), groups, count, products.view(k, p));
    oracle::Vector expected;
    for (Index j = 0; j < k; ++j) {
      oracle::MarginProblem batch = c.problem();
      batch.l2 = 0;
      batch.weights.assign(batch.examples, 0);
      const auto group = drawn.begin() + j / (k / groups) * count;
      for (auto row = group; row != group + count; ++row)
        batch.weights[static_cast<std::size_t>(*row)] += c.problem().weight(static_cast<std::size_t>(*row));
      const long double share = batch.total_weight() / c.problem().total_weight() * static_cast<long double>(n) /
                                static_cast<long double>(count);
      for (const long double value : oracle::margin_hvp(batch, c.theta(), vectors[static_cast<std::size_t>(j)]))
        expected.push_back(share * value);
    }
    this->expect_near("batch products", products.to_host(), expected, sizes);
  }
}

TYPED_TEST(MarginClassifierTest, TangentsOfEveryExampleAndLabel) {
  using T = typename TypeParam::Number;
  for (const MarginSizes& sizes : margin_cases()) {
    MarginCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index first = sizes.n / 3, count = sizes.n - first, p = model->parameters(), k = 3;
    const oracle::Matrix vectors = c.vectors(k);
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    Guarded<T> tangents(this->device(), count * k), either(this->device(), count * 2 * k),
        inputs(this->device(), k * count * sizes.d), gradients(this->device(), count * p);
    model->loss_tangents(v.view(k, p), first, tangents.view(count, k));
    model->label_tangents(v.view(k, p), first, either.view(count, 2 * k));
    model->input_gradients(v.view(k, p), first, count, inputs.view(k, count * sizes.d));
    std::vector<Index> rows;
    oracle::Vector expected, of_labels, of_inputs, of_examples;
    for (Index i = first; i < sizes.n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      rows.push_back(i);
      for (const oracle::Vector& vector : vectors)
        expected.push_back(oracle::margin_tangent(c.problem(), c.theta(), vector, at, c.problem().labels[at]));
      for (const int label : {0, 1})
        for (const oracle::Vector& vector : vectors)
          of_labels.push_back(oracle::margin_tangent(c.problem(), c.theta(), vector, at, label));
      for (const long double value : oracle::gradient_by_seeds(
               [&](const auto& theta) { return oracle::margin_example_loss(c.problem(), theta, at); }, c.theta()))
        of_examples.push_back(value);
    }
    for (const oracle::Vector& vector : vectors)
      for (const Index i : rows)
        for (const long double value :
             oracle::margin_perturb(c.problem(), c.theta(), vector, static_cast<std::size_t>(i)))
          of_inputs.push_back(value);
    model->example_gradients(rows, gradients.view(count, p));
    this->expect_near("loss tangents", tangents.to_host(), expected, sizes);
    this->expect_near("label tangents", either.to_host(), of_labels, sizes);
    this->expect_near("input gradients", inputs.to_host(), of_inputs, sizes);
    this->expect_near("example gradients", gradients.to_host(), of_examples, sizes);
  }
}

TYPED_TEST(MarginClassifierTest, RemovedExamplesAreGone) {
  using T = typename TypeParam::Number;
  const std::vector<std::vector<Index>> groups{{}, {0}, {5}, {4, 1, 2}};
  for (const MarginSizes& sizes : margin_cases()) {
    if (sizes.n < 6) continue;
    MarginCase c(sizes);
    const auto model = c.model<T>(this->device());
    const Index p = model->parameters(), models = 4;
    const Removals removals(this->device(), groups, sizes.n);
    const oracle::Matrix offsets = c.vectors(models);
    oracle::Matrix moved;
    for (const oracle::Vector& offset : offsets) moved.push_back(oracle::add_scaled(c.theta(), 1, offset));
    const oracle::Matrix vectors = c.vectors(models);
    oracle::Vector constants, differences, gradients, products;
    for (std::size_t j = 0; j < groups.size(); ++j) {
      const auto left = oracle::without(c.problem(), {groups[j].begin(), groups[j].end()});
      const long double share = left.total_weight() / c.problem().total_weight();
      const oracle::Vector at = oracle::margin_gradient(left, c.theta()),
                           there = oracle::margin_gradient(left, moved[j]);
      for (std::size_t i = 0; i < at.size(); ++i) {
        constants.push_back(share * at[i]);
        differences.push_back(share * (there[i] - at[i]));
        gradients.push_back(there[i]);
      }
      const oracle::Vector product = oracle::margin_hvp(left, moved[j], vectors[j]);
      products.insert(products.end(), product.begin(), product.end());
    }
    const Buffer<T> offset_memory = upload_rows<T>(this->device(), offsets),
                    moved_memory = upload_rows<T>(this->device(), moved);
    Guarded<T> out(this->device(), models * p);
    model->removal_constants(removals, out.view(models, p));
    this->expect_near("constants", out.to_host(), constants, sizes);
    model->gradients_without(removals, moved_memory.view(models, p), out.view(models, p));
    this->expect_near("gradients", out.to_host(), gradients, sizes);
    const Buffer<T> v = upload_rows<T>(this->device(), vectors);
    Guarded<T> curvatures(this->device(), sizes.n * models);
    model->curvatures_at(moved_memory.view(models, p), curvatures.view(sizes.n, models));
    model->hessian_products_with(curvatures.view(sizes.n, models), removals, v.view(models, p), out.view(models, p));
    this->expect_near("Hessian products", out.to_host(), products, sizes);
    model->removal_differences(removals, offset_memory.view(models, p), out.view(models, p));
    this->expect_near("differences", out.to_host(), differences, sizes);
    Guarded<T> losses(this->device(), sizes.n * models);
    model->losses_at(moved_memory.view(models, p), losses.view(sizes.n, models));
    oracle::Vector expected;
    for (std::size_t i = 0; i < c.problem().examples; ++i)
      for (const oracle::Vector& theta : moved) expected.push_back(oracle::margin_example_loss(c.problem(), theta, i));
    this->expect_near("losses elsewhere", losses.to_host(), expected, sizes);
  }
}

TYPED_TEST(MarginClassifierTest, RefusesWhatIsNoMarginModel) {
  using T = typename TypeParam::Number;
  const auto make = [&](Index classes, double temperature, double l2) {
    const std::vector<std::int32_t> labels{0, 1};
    return refusal([&] {
      MarginClassifier<T>(Dataset<T>::from_values(this->device(), std::vector<double>{1, 2}, labels, 1, classes),
                          MarginLoss::smooth_hinge, temperature, false, l2);
    });
  };
  EXPECT_EQ(make(2, 0.5, 0), "");
  EXPECT_NE(make(3, 0.5, 0).find("3 classes"), std::string::npos);
  for (const double t : {0.0, -1.0, 1e-320, std::numeric_limits<double>::infinity()})
    EXPECT_NE(make(2, t, 0).find("temperature"), std::string::npos) << t;
  EXPECT_NE(make(2, 0.5, -1).find("l2"), std::string::npos);
}

TYPED_TEST(MarginClassifierTest, SaysWhereThereIsNoMinimum) {
  using T = typename TypeParam::Number;
  const std::vector<std::int32_t> labels{0, 0, 1};
  const auto model = [&](MarginLoss loss, bool bias) {
    return MarginClassifier<T>(Dataset<T>::from_values(this->device(), std::vector<double>{-1, -2, 3}, labels, 1, 2),
                               loss, 0.5, bias, 0);
  };
  const std::vector<Index> removed{2};
  EXPECT_NE(model(MarginLoss::logistic, true).obstacle_to_minimum(removed), "");
  EXPECT_EQ(model(MarginLoss::logistic, true).obstacle_to_minimum({}), "");
  EXPECT_EQ(model(MarginLoss::logistic, false).obstacle_to_minimum(removed), "");
  const auto ahead = this->upload(std::vector<T>{1}), back = this->upload(std::vector<T>{-1});
  EXPECT_NE(model(MarginLoss::smooth_hinge, false).obstacle_along(ahead.view(1, 1)), "");
  EXPECT_EQ(model(MarginLoss::smooth_hinge, false).obstacle_along(back.view(1, 1)), "");
  EXPECT_EQ(model(MarginLoss::hinge, false).obstacle_along(ahead.view(1, 1)), "");
}

}  // namespace
}  // namespace clout::test
