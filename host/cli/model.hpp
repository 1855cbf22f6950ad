#pragma once
// The model that --model and the options beside it name.

#include <clout/engine/objective.hpp>
#include <clout/host/cli/options.hpp>
#include <clout/kernels/network.hpp>
#include <clout/kernels/network_operations.hpp>
#include <clout/models/margin_classifier.hpp>
#include <memory>
#include <variant>

namespace clout::cli {

class Model {
 public:
  /// Reads --spec where there is one. Throws InvalidInput where options are missing, or not this model's.
  explicit Model(const Options& options);

  /// logistic or margin: linear in its parameters, and convex.
  bool is_linear() const { return !std::holds_alternative<NetworkShape>(shape_); }
  bool is_margin() const { return std::holds_alternative<MarginShape>(shape_); }
  /// A margin model whose loss has kinks: trained and retrained by its dual problem.
  bool is_hinge() const { return is_margin() && std::get<MarginShape>(shape_).loss == MarginLoss::hinge; }
  const NetworkShape& network() const { return std::get<NetworkShape>(shape_); }
  /// How many labels there are.
  Index classes() const;
  Index parameters() const;
  std::vector<ParameterBlock> layout() const;
  /// "weight [10][784], no bias": what a parameter file is to hold.
  std::string layout_text() const;

  /// Takes the number of features from the data: `shape` is x's, [n][d] or [n][C][H][W]. Throws InvalidInput, beginning
  /// with `source`, where they do not fit the model.
  void expect_examples(const std::vector<Index>& shape, const std::string& source);

  /// A smooth hinge's temperature; 0 for every other loss and model.
  double temperature() const;
  /// The same model, a smooth hinge at temperature t.
  Model at_temperature(double t) const;

  /// The model's objective on `data`, at zero parameters.
  template <class T>
  std::unique_ptr<Objective<T>> objective(Dataset<T> data, double l2, Curvature curvature = Curvature::hessian) const;

 private:
  LinearShape* linear();
  const LinearShape* linear() const;

  std::variant<LinearShape, MarginShape, NetworkShape> shape_;
};

}  // namespace clout::cli
