// The specification of a network: what is read, and what is refused in which words.

#include <gtest/gtest.h>

#include <clout/host/network_spec.hpp>
#include <clout/kernels/error.hpp>

namespace clout {
namespace {

const std::string kHead = R"({"input":[1,28,28],"layers":[)";
const std::string kTail = R"({"mean_pool":{}},{"linear":{"out":10}}]})";

TEST(NetworkSpec, ThePapersNetwork) {
  const std::string text = kHead + R"({"conv":{"out":8,"kernel":3,"stride":1}},{"conv":{"out":8,"kernel":3,"stride":2}},
      {"conv":{"out":8,"kernel":3}},{"conv":{"out":8,"kernel":3,"stride":2}},{"conv":{"out":8,"kernel":3}},
      {"conv":{"out":10,"kernel":1}},)" + kTail;
  EXPECT_EQ(parse_network(text), paper_network());
}

TEST(NetworkSpec, RefusalsNameTheLayer) {
  const auto refused = [](const std::string& layers, const std::string& part, const std::string& head = kHead) {
    try {
      parse_network(head + layers);
      ADD_FAILURE() << "accepted: " << layers;
    } catch (const InvalidInput& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  };
  const std::string conv = R"({"conv":{"out":4,"kernel":3}},)";
  refused(R"({"conv":{"out":4,"kernel":29}},)" + kTail, "layer 1 (conv): a kernel of 29x29 is larger than its map of 28x28");
  refused(R"({"conv":{"out":4,"kernel":20}},{"conv":{"out":4,"kernel":10}},)" + kTail, "layer 2 (conv): a kernel of 10x10");
  refused(R"({"conv":{"out":4}},)" + kTail, "layer 1 (conv): kernel is missing");
  refused(R"({"conv":{"out":0,"kernel":3}},)" + kTail, "layer 1 (conv): out is 0");
  refused(R"({"conv":{"out":1.5,"kernel":3}},)" + kTail, "layer 1 (conv): out is 1.5");
  refused(R"({"conv":{"out":4,"kernel":3,"stride":-1}},)" + kTail, "layer 1 (conv): stride is -1");
  refused(R"({"conv":{"out":4,"kernel":3,"padding":1}},)" + kTail, "layer 1 (conv): unknown \"padding\"");
  refused(R"({"conv":{"out":4,"kernel":3,"kernel":2}},)" + kTail, "\"kernel\" stands twice");
  refused(R"({"relu":{}},)" + conv + kTail, "layer 1 (relu): expected conv");
  refused(conv + conv + R"({"linear":{"out":10}}]})", "layer 2 (conv): expected mean_pool");
  refused(conv + R"({"mean_pool":{}},{"linear":{"out":1}}]})", "layer 3 (linear): out is 1");
  refused(kTail, "layers: expected");
  refused(conv + kTail, "input is [28,28]", R"({"input":[28,28],"layers":[)");
  refused(conv + kTail, "input height is 0", R"({"input":[1,0,28],"layers":[)");
  refused("", "no JSON");
  std::string many;
  for (int i = 0; i < 17; ++i) many += R"({"conv":{"out":1,"kernel":1}},)";
  refused(many + kTail, "layer 17 (conv): more than 16");
}

}  // namespace
}  // namespace clout
