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

}  // namespace
}  // namespace clout::test
