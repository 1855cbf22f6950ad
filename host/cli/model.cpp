#include <clout/host/cli/model.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/network_spec.hpp>
#include <clout/models/conv_net.hpp>
#include <clout/models/logistic_regression.hpp>
#include <utility>

namespace clout::cli {

namespace {

MarginShape margin_shape(const Options& o) {
  if (o.classes != 0 && o.classes != 2)
    throw InvalidInput("--classes " + std::to_string(o.classes) + ": a margin model tells two classes apart; expected 2");
  const bool is_smooth = o.loss == "smooth-hinge";
  if (is_smooth != (o.temperature > 0))
    throw InvalidInput(is_smooth ? "--loss smooth-hinge: --temperature is missing; expected t > 0"
                                 : "--temperature: is of --loss smooth-hinge, not of " + o.loss);
  const MarginLoss loss = is_smooth             ? MarginLoss::smooth_hinge
                          : o.loss == "hinge" ? MarginLoss::hinge
                                              : MarginLoss::logistic;
  return {LinearShape{o.features, 1, o.bias}, loss, is_smooth ? o.temperature : 1};
}

}  // namespace

Model::Model(const Options& o) {
  if (o.model == "logistic") {
    if (o.classes == 0) throw InvalidInput("--model logistic: --classes is missing; expected the number of classes");
    shape_ = LinearShape{o.features, o.classes, o.bias};
    return;
  }
  if (o.model == "margin") {
    shape_ = margin_shape(o);
    return;
  }
  shape_ = o.spec.empty() ? paper_network() : read_network(o.spec);
  if (o.classes != 0 && o.classes != network().classes)
    throw InvalidInput("--classes " + std::to_string(o.classes) + ": the network has " +
                       std::to_string(network().classes) + " (its linear layer's out)");
}

const LinearShape* Model::linear() const {
  if (is_margin()) return &std::get<MarginShape>(shape_).linear;
  return std::get_if<LinearShape>(&shape_);
}

LinearShape* Model::linear() { return const_cast<LinearShape*>(std::as_const(*this).linear()); }

Index Model::classes() const { return is_margin() ? 2 : is_linear() ? linear()->classes : network().classes; }

Index Model::parameters() const { return is_linear() ? linear()->parameters() : network().parameters(); }

std::vector<ParameterBlock> Model::layout() const {
  return is_linear() ? linear_layout(*linear()) : network_layout(network());
}

std::string Model::layout_text() const {
  std::string text;
  for (const ParameterBlock& block : layout())
    text += (text.empty() ? "" : ", then ") + block.name + " " + io::shape_text(block.shape);
  return is_linear() && !linear()->bias ? text + ", no bias" : text;
}

void Model::expect_examples(const std::vector<Index>& shape, const std::string& source) {
  Index features = 1;
  for (std::size_t axis = 1; axis < shape.size(); ++axis) features *= shape[axis];
  if (is_linear()) {
    linear()->features = features;
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

double Model::temperature() const {
  const MarginShape* shape = std::get_if<MarginShape>(&shape_);
  return shape != nullptr && shape->loss == MarginLoss::smooth_hinge ? shape->temperature : 0;
}

Model Model::at_temperature(double t) const {
  Model other = *this;
  std::get<MarginShape>(other.shape_).temperature = t;
  return other;
}

template <class T>
std::unique_ptr<Objective<T>> Model::objective(Dataset<T> data, double l2, Curvature curvature) const {
  // The Gauss-Newton matrix of a linear model is its Hessian: there is nothing to choose.
  if (is_margin()) {
    const MarginShape& shape = std::get<MarginShape>(shape_);
    return std::make_unique<MarginClassifier<T>>(std::move(data), shape.loss, shape.temperature, shape.linear.bias, l2);
  }
  if (is_linear()) return std::make_unique<LogisticRegression<T>>(std::move(data), linear()->bias, l2);
  return std::make_unique<ConvNet<T>>(std::move(data), network(), l2, curvature);
}
template std::unique_ptr<Objective<float>> Model::objective(Dataset<float>, double, Curvature) const;
template std::unique_ptr<Objective<double>> Model::objective(Dataset<double>, double, Curvature) const;

}  // namespace clout::cli
