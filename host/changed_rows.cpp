#include <fmt/format.h>

#include <algorithm>
#include <clout/host/changed_rows.hpp>
#include <clout/host/newton_retrain.hpp>
#include <clout/host/side_by_side.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <functional>

namespace clout {
namespace {

constexpr Index kCycles = 4;  // of conjugate gradients, each from the true residual

}  // namespace

FittedModel::FittedModel(Device& device, std::vector<double> features, std::vector<std::int32_t> labels, Index classes,
                         Make make, double l2, std::vector<double> theta, double tolerance, const Progress& progress)
    : device_(device),
      features_(std::move(features)),
      labels_(std::move(labels)),
      classes_(classes),
      make_(std::move(make)),
      l2_(l2),
      theta_(std::move(theta)),
      tolerance_(tolerance),
      model_(on(features_, labels_, false)),
      hessian_(device, model_->parameters() * model_->parameters()) {
  const TrainingReport report = train<double>(*model_, *model_, theta_, {.tolerance = tolerance}, progress);
  if (!report.converged)
    throw NotCertified(report.obstacle.empty()
                           ? fmt::format("training: gradient norm {:.3g} after {} Newton steps, tolerance {:.3g}: raise --l2 "
                                         "or --tolerance",
                                         report.gradient_norm, report.steps.size(), tolerance)
                           : "training: " + report.obstacle);
  gradient_norm_ = report.gradient_norm;
  model_->explicit_hessian(0.0, hessian_.view(parameters(), parameters()));
}

std::unique_ptr<LinearModel<double>> FittedModel::on(std::span<const double> features,
                                                     std::span<const std::int32_t> labels, bool only_losses) const {
  const Index width = std::ssize(features_) / std::ssize(labels_);
  return make_(Dataset<double>::from_values(device_, features, labels, width, classes_), only_losses ? 0.0 : l2_);
}

std::shared_ptr<const HessianFactor<double>> FittedModel::factor(double scale) {
  const Index p = parameters();
  Buffer<double> scaled(device_, p * p);
  device_.kernels<double>().combine(device_, {scale, hessian_.view(p, p), 0.0, scaled.view(p, p)});
  return std::make_shared<HessianFactor<double>>(*model_, std::move(scaled), 0.0);
}

ChangedRows::ChangedRows(FittedModel& base, std::vector<std::vector<Index>> rows)
    : base_(base), rows_(std::move(rows)), each_(rows_.empty() ? 0 : std::ssize(rows_[0])) {
  for (const std::vector<Index>& each : rows_)
    require(std::ssize(each) == each_, "rows that a variant changes: " + std::to_string(each.size()) +
                                           "; expected as many as the others, " + std::to_string(each_));
  // A variant's rows weigh n of all W: (W_j/W) ∇R_j has the Hessian (n/W) H.
  const auto n = static_cast<double>(base.examples());
  factor_ = base.factor(n / (n + static_cast<double>(variants() * each_)));
}

void ChangedRows::place(const std::vector<double>& features) {
  std::vector<double> all = base_.features();
  all.insert(all.end(), features.begin(), features.end());
  std::vector<std::int32_t> labels = base_.labels();
  for (const std::vector<Index>& rows : rows_)
    for (const Index row : rows) labels.push_back(base_.labels().at(static_cast<std::size_t>(row)));
  model_ = base_.on(all, labels, false);
  move_to<double>(*model_, *model_, base_.theta());
}

std::vector<std::vector<Index>> ChangedRows::left_out(const std::vector<Index>& which) const {
  std::vector<std::vector<Index>> groups;
  for (const Index variant : which) {
    std::vector<Index> group = rows_[static_cast<std::size_t>(variant)];
    for (Index other = 0; other < variants() * each_; ++other)
      if (other / each_ != variant) group.push_back(base_.examples() + other);
    groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<RetrainedModel> ChangedRows::fit(const std::vector<Index>& which, Objective<double>& tests) {
  const auto make = [this](Dataset<double> kept) { return base_.on(std::move(kept)); };
  LeaveOneOut<double> fits(*model_, *model_, tests, *factor_, base_.theta(),
                           newton_retrain<double>(model_->data(), make, {.tolerance = base_.tolerance()}),
                           {.tolerance = base_.tolerance(), .block = std::ssize(which)});
  std::vector<RetrainedModel> models = fits.retrain_block(left_out(which));
  for (std::size_t j = 0; j < models.size(); ++j)
    if (!(models[j].gradient_norm <= base_.tolerance()))
      throw NotCertified(fmt::format("attack {}: a refit's gradient norm is {:.3g}, tolerance {:.3g}: raise --l2 or --tolerance",
                                     which[j], models[j].gradient_norm, base_.tolerance()));
  return models;
}

std::vector<double> ChangedRows::solve(const std::vector<Index>& which, const std::vector<double>& theta,
                                       const std::vector<double>& v, double tolerance) {
  Device& device = model_->device();
  const Index k = std::ssize(which), p = base_.parameters(), n = model_->examples(), width = k * model_->shape().classes;
  const Removals removals(device, left_out(which), n);
  const Buffer<double> points(device, std::span<const double>(theta));
  Buffer<double> curvatures(device, n * width), in(device, k * p), out(device, k * p);
  model_->curvatures_at(points.view(k, p), curvatures.view(n, width));
  const RowsMap<double> multiply = [&](std::span<const double> x, std::span<double> product) {
    in.upload(x);
    model_->hessian_products_with(curvatures.view(n, width), removals, in.view(k, p), out.view(k, p));
    out.download(product);
  };
  const SideBySideOptions<double> options{.precondition = [&](std::span<const double> x, std::span<double> solved) {
    in.upload(x);
    factor_->solve(in.view(k, p));
    in.download(solved);
  }};
  std::vector<double> targets = norms_of_rows<double>(v, k);
  for (double& target : targets) target *= tolerance;
  std::vector<double> s(v.size()), left = v, product(v.size());
  for (Index cycle = 0; cycle < kCycles; ++cycle) {
    const std::vector<double> correction = solve_side_by_side<double>(multiply, left, targets, options).x;
    for (std::size_t i = 0; i < s.size(); ++i) s[i] += correction[i];
    multiply(s, product);  // what is really left
    for (std::size_t i = 0; i < s.size(); ++i) left[i] = v[i] - product[i];
    const std::vector<double> norms = norms_of_rows<double>(left, k);
    if (std::equal(norms.begin(), norms.end(), targets.begin(), std::less_equal<>())) return s;
  }
  throw NotCertified(fmt::format("an attack's solve stays above a true relative residual of {:.3g}: raise --l2", tolerance));
}

}  // namespace clout
