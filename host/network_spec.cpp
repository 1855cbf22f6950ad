#include <clout/host/io/file.hpp>
#include <clout/host/io/json_text.hpp>
#include <clout/host/network_spec.hpp>
#include <clout/kernels/error.hpp>
#include <nlohmann/json.hpp>

namespace clout {
namespace {

using Json = nlohmann::json;

constexpr const char* kExpected = "the specification of a network (JSON)";

// More of anything than this is a slip of the pen; products of a few such numbers stay far inside Index.
constexpr int kMost = 4096;

std::string layer_name(std::size_t number) { return "layer " + std::to_string(number + 1); }

/// An integer of 1…kMost; `value` is what was written for it.
int whole(const std::string& where, const Json& value) {
  if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (number >= 1 && number <= kMost) return static_cast<int>(number);
  }
  throw InvalidInput(where + " is " + value.dump() + "; expected an integer from 1 to " + std::to_string(kMost));
}

/// Field `name` of a layer's settings; `otherwise` where it may be left out.
int field(const std::string& layer, const Json& settings, const std::string& name, int otherwise = 0) {
  if (settings.contains(name)) return whole(layer + ": " + name, settings[name]);
  if (otherwise > 0) return otherwise;
  throw InvalidInput(layer + ": " + name + " is missing");
}

void only(const std::string& where, const Json& object, std::initializer_list<const char*> known) {
  if (!object.is_object()) throw InvalidInput(where + " is " + object.dump() + "; expected an object");
  for (const auto& [key, value] : object.items()) {
    bool found = false;
    for (const char* name : known) found = found || key == name;
    if (!found) throw InvalidInput(where + ": unknown \"" + key + "\"");
  }
}

void add_convolution(NetworkBuilder& builder, const std::string& layer, const Json& settings) {
  only(layer, settings, {"out", "kernel", "stride"});
  const int out = field(layer, settings, "out"), kernel = field(layer, settings, "kernel");
  const int stride = field(layer, settings, "stride", 1);
  if (kernel > builder.height() || kernel > builder.width())
    throw InvalidInput(layer + ": a kernel of " + std::to_string(kernel) + "x" + std::to_string(kernel) +
                       " is larger than its map of " + std::to_string(builder.height()) + "x" +
                       std::to_string(builder.width()) + ": no pixel is left");
  if (!builder.fits(kernel))
    throw InvalidInput(layer + ": more than " + std::to_string(NetworkShape::kMostConvolutions) + " convolutions");
  builder.add(out, kernel, stride);
}

}  // namespace

NetworkShape parse_network(const std::string& text) {
  Json spec = io::parse_json(text, kExpected);
  only("network", spec, {"input", "layers"});
  const Json& input = spec["input"];
  if (!input.is_array() || input.size() != 3)
    throw InvalidInput("input is " + input.dump() + "; expected [channels, height, width]");
  const Json& layers = spec["layers"];
  if (!layers.is_array() || layers.size() < 3)
    throw InvalidInput("layers: expected a list of conv, …, mean_pool, linear");

  NetworkBuilder builder(whole("input channels", input[0]), whole("input height", input[1]),
                         whole("input width", input[2]));
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Json& layer = layers[l];
    if (!layer.is_object() || layer.size() != 1)
      throw InvalidInput(layer_name(l) + " is " + layer.dump() + "; expected one of conv, mean_pool, linear");
    const std::string kind = layer.begin().key(), name = layer_name(l) + " (" + kind + ")";
    const std::size_t left = layers.size() - 1 - l;
    const char* expected = left > 1 ? "conv" : left == 1 ? "mean_pool" : "linear";
    if (kind != expected)
      throw InvalidInput(name + ": expected " + expected + " here; a network is conv, …, mean_pool, linear");
    const Json& settings = layer.begin().value();
    if (left > 1) add_convolution(builder, name, settings);
    else if (left == 1) only(name, settings, {});
    else only(name, settings, {"out"});
  }
  const std::string last = layer_name(layers.size() - 1) + " (linear)";
  const int classes = field(last, layers.back().begin().value(), "out");
  if (classes < 2) throw InvalidInput(last + ": out is 1; expected at least 2 classes");
  return builder.finish(classes);
}

NetworkShape read_network(const std::string& path) {
  const std::string text = io::read_text(path, kExpected);
  try {
    return parse_network(text);
  } catch (const InvalidInput& error) {
    throw InvalidInput(path + ": " + error.what());
  }
}

}  // namespace clout
