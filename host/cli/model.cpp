#include <clout/host/cli/model.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/network_spec.hpp>
#include <clout/models/conv_net.hpp>
#include <clout/models/logistic_regression.hpp>

namespace clout::cli {

Model::Model(const Options& o) {
  if (o.model == "logistic") {
    if (o.classes == 0) throw InvalidInput("--model logistic: --classes is missing; expected the number of classes");
    shape_ = LinearShape{o.features, o.classes, o.bias};
    return;
  }
  shape_ = o.spec.empty() ? paper_network() : read_network(o.spec);
  if (o.classes != 0 && o.classes != network().classes)
    throw InvalidInput("--classes " + std::to_string(o.classes) + ": the network has " +
                       std::to_string(network().classes) + " (its linear layer's out)");
}

Index Model::classes() const { return is_logistic() ? std::get<LinearShape>(shape_).classes : network().classes; }

Index Model::parameters() const {
  return std::visit([](const auto& shape) { return shape.parameters(); }, shape_);
}

std::vector<ParameterBlock> Model::layout() const {
  return is_logistic() ? linear_layout(std::get<LinearShape>(shape_)) : network_layout(network());
}

std::string Model::layout_text() const {
  std::string text;
  for (const ParameterBlock& block : layout())
    text += (text.empty() ? "" : ", then ") + block.name + " " + io::shape_text(block.shape);
  return is_logistic() && !std::get<LinearShape>(shape_).bias ? text + ", no bias" : text;
}

void Model::expect_examples(const std::vector<Index>& shape, const std::string& source) {
  Index features = 1;
  for (std::size_t axis = 1; axis < shape.size(); ++axis) features *= shape[axis];
  if (is_logistic()) {
    std::get<LinearShape>(shape_).features = features;
    return;
  }
  const NetworkShape& net = network();
  const bool fits = shape.size() == 4 ? shape[1] == net.channels && shape[2] == net.height && shape[3] == net.width
                                      : features == net.input_size();
  if (!fits)
    throw InvalidInput(source + ": examples of shape " + io::shape_text(std::span(shape).subspan(1)) +
                       "; the network expects [" + std::to_string(net.channels) + "][" + std::to_string(net.height) +
                       "][" + std::to_string(net.width) + "]");
}

template <class T>
std::unique_ptr<Objective<T>> Model::objective(Dataset<T> data, double l2, Curvature curvature) const {
  // The Gauss-Newton matrix of a linear model is its Hessian: there is nothing to choose.
  if (is_logistic())
    return std::make_unique<LogisticRegression<T>>(std::move(data), std::get<LinearShape>(shape_).bias, l2);
  return std::make_unique<ConvNet<T>>(std::move(data), network(), l2, curvature);
}
template std::unique_ptr<Objective<float>> Model::objective(Dataset<float>, double, Curvature) const;
template std::unique_ptr<Objective<double>> Model::objective(Dataset<double>, double, Curvature) const;

}  // namespace clout::cli
