// What a network gives for single examples: network_forward, _example_gradients, _loss_tangents, _input_gradients.

#include "network_reference.hpp"

namespace clout::test {
namespace {

template <class C>
class NetworkExamplesTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  template <class Of>
  void compare_all(const Of& of) {
    unsigned seed = 1;
    for (const NetworkOptions& options : network_options())
      compare_network(this->device(), random_network_problem<Number>(options, seed++), of);
  }
};
TYPED_TEST_SUITE(NetworkExamplesTest, Cases, CaseName);

TYPED_TEST(NetworkExamplesTest, ForwardMatchesOracle) {
  this->compare_all([](auto&& network) { return network.forward(); });
}
TYPED_TEST(NetworkExamplesTest, ExampleGradientsMatchOracle) {
  this->compare_all([](auto&& network) { return network.example_gradients(); });
}
TYPED_TEST(NetworkExamplesTest, LossTangentsMatchOracle) {
  this->compare_all([](auto&& network) { return network.loss_tangents(); });
}
TYPED_TEST(NetworkExamplesTest, InputGradientsMatchOracle) {
  this->compare_all([](auto&& network) { return network.input_gradients(); });
}

// Distributions in the labels' place.
TYPED_TEST(NetworkExamplesTest, InputGradientsForTargetsMatchOracle) {
  unsigned seed = 80;
  for (const NetworkOptions& options : network_options()) {
    auto problem = random_network_problem<typename TypeParam::Number>(options, seed++);
    add_targets(problem);
    compare_network(this->device(), problem, [](auto&& network) { return network.input_gradients(); });
  }
}

// The product's description of a network against the oracle's.
TEST(NetworkShapeTest, LayersLieWhereTheOracleHasThem) {
  for (const NetworkOptions& options : network_options()) {
    const NetworkShape shape = shape_of(options.network);
    const auto layers = oracle::layers_of(options.network);
    Index products = 0;
    for (const oracle::Layer& layer : layers)
      oracle::for_each_product(layer, [&](std::size_t, std::size_t, std::size_t) { ++products; });
    EXPECT_EQ(shape.multiply_adds(), products) << options;
    ASSERT_EQ(shape.convolutions + 1, std::ssize(layers)) << options;
    for (int l = 0; l < shape.convolutions; ++l) {
      const Convolution& layer = shape.convolution[l];
      EXPECT_EQ(layer.in_size(), static_cast<Index>(layers[l].in.size())) << options;
      EXPECT_EQ(layer.out_size(), static_cast<Index>(layers[l].out.size())) << options;
      EXPECT_EQ(layer.out_height, static_cast<Index>(layers[l].out.height)) << options;
      EXPECT_EQ(layer.weight, static_cast<Index>(layers[l].weights)) << options;
      EXPECT_EQ(layer.bias, static_cast<Index>(layers[l].biases)) << options;
    }
    EXPECT_EQ(shape.weight, static_cast<Index>(layers.back().weights)) << options;
    EXPECT_EQ(shape.bias, static_cast<Index>(layers.back().biases)) << options;
    EXPECT_EQ(shape.input_size(), static_cast<Index>(options.network.inputs())) << options;
  }
}

TEST(NetworkShapeTest, SaysWhatFits) {
  NetworkBuilder builder(1, 5, 7);
  EXPECT_TRUE(builder.fits(5));
  EXPECT_FALSE(builder.fits(6));
  builder.add(2, 3, 2);  // 2×3 pixels are left
  EXPECT_TRUE(builder.fits(2));
  EXPECT_FALSE(builder.fits(3));
  for (int l = 1; l < NetworkShape::kMostConvolutions; ++l) {
    EXPECT_TRUE(builder.fits(1));
    builder.add(1, 1, 1);
  }
  EXPECT_FALSE(builder.fits(1));
}

}  // namespace
}  // namespace clout::test
