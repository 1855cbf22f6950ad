#include <algorithm>
#include <clout/engine/direct_solver.hpp>
#include <clout/engine/influence.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/reproduce/hospital.hpp>
#include <clout/host/reproduce/hospital_data.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>
#include <numeric>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

constexpr double kL2 = 1e-4;        // the paper's
constexpr Index kTestIndex = 1742;  // the child whose prediction changes most, in the paper
constexpr const char* kChild = "age_[0-10)";
// H has a condition of 6e6: a gradient norm g leaves up to g/1e-4 in θ, so fits go beyond what is asked for, 1e-10.
constexpr double kTrainingTolerance = 1e-12;
constexpr double kSolveTolerance = 1e-10;
constexpr std::size_t kLargest = 10;  // listed each way

/// What the notebook of the published code shows: its training stopped after 1,000 iterations, at no minimum.
Facts published_hospital() {
  return {{"original",
           {{"train_objective", 0.642285},
            {"train_loss", 0.641162},
            {"test_loss", 0.65299},
            {"train_accuracy", 0.6239},
            {"test_accuracy", 0.681212},
            {"norm", 4.740}}},
          {"modified",
           {{"train_objective", 0.642617},
            {"train_loss", 0.64149},
            {"test_loss", 0.653814},
            {"train_accuracy", 0.624074},
            {"test_accuracy", 0.681347},
            {"norm", 4.747}}},
          {"prediction",
           {{"not_readmitted_original", 0.73701},
            {"not_readmitted_modified", 0.465439},
            {"test_gradient_norm", 30.045},
            {"test_children_flipped", 13}}},
          {"indicator", {{"rank_in_the_paper", 14}, {"rank_in_the_notebook", 15}}},
          {"children",
           {{{"position", 9366}, {"loss_change_if_removed", -0.117462}},
            {{"position", 11116}, {"loss_change_if_removed", -0.082582}},
            {{"position", 13685}, {"loss_change_if_removed", -0.118896}},
            {{"position", 19590}, {"loss_change_if_removed", 0.079363}}}},
          {"next",
           {{{"position", 5825}, {"loss_change_if_removed", -0.002921}},
            {{"position", 13027}, {"loss_change_if_removed", -0.002499}},
            {{"position", 1912}, {"loss_change_if_removed", -0.001945}},
            {{"position", 11641}, {"loss_change_if_removed", 0.001424}},
            {{"position", 14549}, {"loss_change_if_removed", 0.001403}},
            {{"position", 19107}, {"loss_change_if_removed", 0.001357}}}}};
}

/// A fit and what it says of the test part.
struct Fit {
  std::vector<double> theta;  // [d]
  TrainingReport report;
  double train_loss = 0, train_accuracy = 0, test_loss = 0, test_accuracy = 0;
  std::vector<double> outputs;  // [tests] w·x

  double norm() const {
    double squares = 0;
    for (const double w : theta) squares += w * w;
    return std::sqrt(squares);
  }
};

class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call,
                      {"summary.json", "largest.csv", "scores.npy", "manifest.json", "hospital.png", "hospital.svg"}) {}

  void run() {
    load();
    original_ = fit(data_.train, {});
    leave_out_children();
    modified_ = fit(rows_, original_.theta);
    seconds_["train"] = watch_.lap();
    predict();
    retrain();
    write();
  }

 private:
  using Model = MarginClassifier<double>;
  bool is_child(Index row) const { return data_.x[static_cast<std::size_t>(row * data_.width() + child_)] == 1; }
  Dataset<double> at(std::span<const Index> rows) const;
  Model model(Dataset<double> data, double l2) const { return {std::move(data), MarginLoss::logistic, 1.0, false, l2}; }
  void load();
  /// Trains on those rows of the table, from `start` or from zero.
  Fit fit(std::span<const Index> rows, std::vector<double> start);
  TrainingReport train_to_minimum(Model& objective, std::vector<double>& theta);
  /// Loss and accuracy of a model where it stands, and its outputs.
  void score(Model& objective, const std::vector<Index>& rows, const std::vector<double>& theta, double& loss,
             double& accuracy, std::vector<double>& outputs) const;
  void leave_out_children();
  void predict();
  void retrain();
  Facts fit_facts(const Fit& fit) const;
  Facts child_facts(std::size_t child) const;
  Facts indicator_facts() const;
  Facts prediction_facts() const;
  std::vector<Index> by_score() const;
  std::string largest_csv() const;
  void write();

  HospitalData data_;
  Index child_ = 0;              // the feature
  std::vector<Index> rows_;      // of the modified training set, in its order
  std::vector<Index> children_;  // positions in it
  std::vector<Index> left_out_;  // positions in the original training set
  std::unique_ptr<Dataset<double>> test_data_;
  Fit original_, modified_;
  SolveReport solve_;
  double test_gradient_norm_ = 0;
  std::vector<double> scores_;                     // [n] change of the test loss without each
  std::vector<std::vector<double>> perturbation_;  // [children][d] −∇ₓ(s·∇ℓᵢ)
  std::vector<double> actual_;                     // [children]
  double worst_gradient_norm_ = 0;
};

Dataset<double> Experiment::at(std::span<const Index> rows) const {
  std::vector<double> x;
  std::vector<std::int32_t> labels;
  for (const Index row : rows) {
    const auto begin = data_.x.begin() + row * data_.width();
    x.insert(x.end(), begin, begin + data_.width());
    labels.push_back(data_.labels[static_cast<std::size_t>(row)]);
  }
  return Dataset<double>::from_values(*device_, x, labels, data_.width(), 2);
}

void Experiment::load() {
  const std::filesystem::path path = find_hospital(data_folder());
  manifest_.add_input(path);
  data_ = read_hospital(path);
  const auto child = std::find(data_.features.begin(), data_.features.end(), kChild);
  if (child == data_.features.end() || static_cast<Index>(data_.test.size()) <= kTestIndex)
    throw InvalidInput(
        "hospital: the table has no patients younger than 10, or too few; expected the diabetes data set");
  child_ = child - data_.features.begin();
  test_data_ = std::make_unique<Dataset<double>>(at(data_.test));
  seconds_["load"] = watch_.lap();
}

TrainingReport Experiment::train_to_minimum(Model& objective, std::vector<double>& theta) {
  TrainingReport report = train<double>(objective, objective, theta, {.tolerance = kTrainingTolerance}, progress());
  worst_gradient_norm_ = std::max(worst_gradient_norm_, report.gradient_norm);
  if (!report.converged)
    throw NotCertified("reproduce: a fit stopped at a gradient norm of " + cli::number_text(report.gradient_norm, 3) +
                       "; expected at most 1e-12");
  return report;
}

Fit Experiment::fit(std::span<const Index> rows, std::vector<double> start) {
  Fit fit;
  fit.theta = start.empty() ? std::vector<double>(data_.features.size()) : std::move(start);
  Model train_model = model(at(rows), kL2), test_model = model(*test_data_, 0.0);
  fit.report = train_to_minimum(train_model, fit.theta);
  move_to<double>(test_model, test_model, fit.theta);
  std::vector<double> unused;
  score(train_model, {rows.begin(), rows.end()}, fit.theta, fit.train_loss, fit.train_accuracy, unused);
  score(test_model, data_.test, fit.theta, fit.test_loss, fit.test_accuracy, fit.outputs);
  return fit;
}

void Experiment::score(Model& objective, const std::vector<Index>& rows, const std::vector<double>& theta, double& loss,
                       double& accuracy, std::vector<double>& outputs) const {
  const Index n = objective.examples();
  Buffer<double> losses(*device_, n);
  objective.losses(losses.view(n, 1));
  loss = accuracy = 0;
  for (const double each : losses.to_host()) loss += each / static_cast<double>(n);
  for (const Index row : rows) {
    const auto x = data_.x.begin() + row * data_.width();
    outputs.push_back(std::inner_product(theta.begin(), theta.end(), x, 0.0));
    accuracy += ((outputs.back() > 0) == (data_.labels[static_cast<std::size_t>(row)] == 1)) / static_cast<double>(n);
  }
}

// Of the children who were not readmitted only the last stays.
void Experiment::leave_out_children() {
  for (std::size_t i = 0; i < data_.train.size(); ++i)
    if (is_child(data_.train[i]) && data_.labels[static_cast<std::size_t>(data_.train[i])] == 0)
      left_out_.push_back(static_cast<Index>(i));
  if (!left_out_.empty()) left_out_.pop_back();
  for (std::size_t i = 0; i < data_.train.size(); ++i) {
    if (std::binary_search(left_out_.begin(), left_out_.end(), static_cast<Index>(i))) continue;
    if (is_child(data_.train[i])) children_.push_back(static_cast<Index>(rows_.size()));
    rows_.push_back(data_.train[i]);
  }
}

void Experiment::predict() {
  Model train_model = model(at(rows_), kL2), test_model = model(*test_data_, 0.0);
  for (Model* each : {&train_model, &test_model}) move_to<double>(*each, *each, modified_.theta);
  const auto factor = std::make_shared<HessianFactor<double>>(train_model, 0.0, progress());
  const auto solver = make_direct_solver<double>(factor, train_model, 0.0, kSolveTolerance, progress());
  Influence<double> influence(train_model, test_model, *solver, modified_.theta);
  const std::vector<Index> test{kTestIndex};
  auto products = influence.inverse_products(test);
  require_certified(products.report);
  solve_ = products.report;
  scores_.resize(rows_.size());
  influence.removal_tiles(products, [&](const Influence<double>::Tile& tile) {
    std::copy(tile.values.begin(), tile.values.end(), scores_.begin() + tile.first);
  });

  const Index d = data_.width();
  const Buffer<double> s(*device_, std::span<const double>(products.values));
  Buffer<double> gradient(*device_, d);
  for (const Index child : children_) {
    train_model.input_gradients(s.view(1, d), child, 1, gradient.view(1, d));
    perturbation_.push_back(gradient.to_host());
    for (double& value : perturbation_.back()) value = -value;
  }
  test_model.example_gradients(test, gradient.view(1, d));
  test_gradient_norm_ = row_norms<double>(*device_, gradient.view(1, d))[0];
  seconds_["influence"] = watch_.lap();
}

// Exact: the model without each of the children.
void Experiment::retrain() {
  const Dataset<double> all = at(rows_),
                        test = at(std::vector<Index>{data_.test[static_cast<std::size_t>(kTestIndex)]});
  const auto loss_at = [&](const std::vector<double>& theta) {
    Model one = model(test, 0.0);
    move_to<double>(one, one, theta);
    Buffer<double> loss(*device_, 1);
    one.losses(loss.view(1, 1));
    return loss.to_host()[0];
  };
  for (const Index child : children_) {
    std::vector<double> weights(rows_.size(), 1.0), theta = modified_.theta;
    weights[static_cast<std::size_t>(child)] = 0;
    Model without = model(all.with_weights(weights), kL2);
    train_to_minimum(without, theta);
    actual_.push_back(loss_at(theta) - loss_at(modified_.theta));
  }
  seconds_["retrain"] = watch_.lap();
}

Facts Experiment::fit_facts(const Fit& fit) const {
  return {
      {"train_objective", fit.report.objective},  {"train_loss", fit.train_loss},       {"test_loss", fit.test_loss},
      {"train_accuracy", fit.train_accuracy},     {"test_accuracy", fit.test_accuracy}, {"norm", fit.norm()},
      {"gradient_norm", fit.report.gradient_norm}};
}

Facts Experiment::child_facts(std::size_t child) const {
  const std::vector<double>& along = perturbation_[child];
  const double own = std::abs(along[static_cast<std::size_t>(child_)]);
  const auto position = static_cast<std::size_t>(children_[child]);
  const auto x = data_.x.begin() + rows_[position] * data_.width();
  Index larger = 0, larger_there = 0;
  for (std::size_t f = 0; f < along.size(); ++f) {
    if (std::abs(along[f]) <= own) continue;
    ++larger;
    larger_there += x[static_cast<std::ptrdiff_t>(f)] != 0;
  }
  return {{"position", children_[child]},
          {"readmitted", data_.labels[static_cast<std::size_t>(rows_[position])] == 1},
          {"loss_change_if_removed", scores_[position]},
          {"actual_loss_change", actual_[child]},
          {"indicator_perturbation", along[static_cast<std::size_t>(child_)]},
          {"indicator_perturbation_rank", larger + 1},
          {"indicator_perturbation_rank_of_the_patients_own", larger_there + 1}};  // among features that are not 0
}

Facts Experiment::indicator_facts() const {
  const double own = std::abs(modified_.theta[static_cast<std::size_t>(child_)]);
  const auto larger = std::count_if(modified_.theta.begin(), modified_.theta.end(),
                                    [&](double value) { return std::abs(value) > own; });
  return {
      {"feature", child_}, {"coefficient", modified_.theta[static_cast<std::size_t>(child_)]}, {"rank", larger + 1}};
}

Facts Experiment::prediction_facts() const {
  const auto not_readmitted = [](const Fit& fit) { return 1 / (1 + std::exp(fit.outputs[kTestIndex])); };
  Index children = 0, flipped = 0;
  for (std::size_t i = 0; i < data_.test.size(); ++i) {
    if (!is_child(data_.test[i])) continue;
    ++children;
    flipped += (original_.outputs[i] > 0) != (modified_.outputs[i] > 0);
  }
  return {{"test_index", kTestIndex},
          {"not_readmitted_original", not_readmitted(original_)},
          {"not_readmitted_modified", not_readmitted(modified_)},
          {"test_gradient_norm", test_gradient_norm_},
          {"test_children", children},
          {"test_children_flipped", flipped}};
}

/// Positions by rising change: the most harmful first.
std::vector<Index> Experiment::by_score() const {
  std::vector<Index> order(scores_.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return scores_[static_cast<std::size_t>(a)] < scores_[static_cast<std::size_t>(b)];
  });
  return order;
}

std::string Experiment::largest_csv() const {
  std::string text = "direction,rank,position,row,readmitted,child,loss_change_if_removed\n";
  const std::vector<Index> order = by_score();
  for (const bool harmful : {true, false})
    for (std::size_t i = 0; i < std::min(kLargest, order.size()); ++i) {
      const auto position = static_cast<std::size_t>(harmful ? order[i] : order[order.size() - 1 - i]);
      const Index row = rows_[position];
      text += std::string(harmful ? "harmful" : "helpful") + "," + std::to_string(i + 1) + "," +
              std::to_string(position) + "," + std::to_string(row) + "," +
              std::to_string(data_.labels[static_cast<std::size_t>(row)]) + "," + (is_child(row) ? "1," : "0,") +
              cli::number_text(scores_[position], 17) + "\n";
    }
  return text;
}

void Experiment::write() {
  Facts facts{{"figure", "hospital"},
              {"n_train", rows_.size()},
              {"n_test", data_.test.size()},
              {"n_params", data_.width()},
              {"l2", kL2},
              {"left_out", left_out_},
              {"original", fit_facts(original_)},
              {"modified", fit_facts(modified_)},
              {"prediction", prediction_facts()},
              {"indicator", indicator_facts()},
              {"children", Facts::array()},
              {"max_gradient_norm", worst_gradient_norm_},
              {"max_relative_residual", solve_.max_relative_residual()}};
  for (std::size_t child = 0; child < children_.size(); ++child) facts["children"].push_back(child_facts(child));
  facts["published"] = published_hospital();
  io::ResultFiles results;
  results.add(folder_ / "largest.csv", largest_csv());
  cli::write_values<double>(results, folder_ / "scores.npy", {static_cast<Index>(scores_.size())}, scores_);
  finish(results, std::move(facts), "hospital",
         {"--largest", folder_ / "largest.csv", "--summary", folder_ / "summary.json", "--out", folder_.path()});
}

}  // namespace

void hospital(const cli::Invocation& call) { Experiment(call).run(); }

}  // namespace clout::reproduce
