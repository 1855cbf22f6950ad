#include <algorithm>
#include <clout/host/changed_rows.hpp>
#include <clout/host/newton_retrain.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

constexpr Index kMostIterations = 500;
constexpr Index kCycles = 4;  // of conjugate gradients, each from the true residual

double dot(const double* a, const double* b, Index size) { return std::inner_product(a, a + size, b, 0.0); }

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
    throw NotCertified("training: gradient norm " + std::to_string(report.gradient_norm) + " after " +
                       std::to_string(report.steps.size()) + " Newton steps: raise --l2 or --tolerance" +
                       (report.obstacle.empty() ? "" : " (" + report.obstacle + ")"));
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
      throw NotCertified("refit " + std::to_string(which[j]) + ": gradient norm " +
                         std::to_string(models[j].gradient_norm) + ", above the tolerance: raise --l2 or --tolerance");
  return models;
}

std::vector<double> ChangedRows::solve(const std::vector<Index>& which, const std::vector<double>& theta,
                                       const std::vector<double>& v, double tolerance) {
  Device& device = model_->device();
  const Index k = std::ssize(which), p = base_.parameters(), all = k * p;
  const Removals removals(device, left_out(which), model_->examples());
  const Buffer<double> points(device, std::span<const double>(theta));
  Buffer<double> in(device, all), out(device, all);
  const auto multiply = [&](const std::vector<double>& x) {
    in.upload(x);
    model_->hessian_products_without(removals, points.view(k, p), in.view(k, p), out.view(k, p));
    return out.to_host();
  };
  const auto precondition = [&](const std::vector<double>& x) {
    in.upload(x);
    factor_->solve(in.view(k, p));
    return in.to_host();
  };
  std::vector<double> s(v.size()), r = v;
  std::vector<double> target, rho(static_cast<std::size_t>(k));
  for (Index j = 0; j < k; ++j) target.push_back(tolerance * std::sqrt(dot(&v[static_cast<std::size_t>(j * p)], &v[static_cast<std::size_t>(j * p)], p)));
  const auto is_done = [&](Index j) {
    const double* residual = &r[static_cast<std::size_t>(j * p)];
    return std::sqrt(dot(residual, residual, p)) <= target[static_cast<std::size_t>(j)];
  };
  const auto left = [&] {
    for (Index j = 0; j < k; ++j)
      if (!is_done(j)) return j;
    return k;
  };
  for (Index cycle = 0; cycle < kCycles && left() < k; ++cycle) {
    std::vector<double> direction;
    for (Index iteration = 0; iteration < kMostIterations && left() < k; ++iteration) {
      const std::vector<double> z = precondition(r);
      if (direction.empty()) direction.assign(z.size(), 0.0);
      for (Index j = 0; j < k; ++j) {
        const auto at = static_cast<std::size_t>(j * p);
        const double next = dot(&r[at], &z[at], p), before = rho[static_cast<std::size_t>(j)];
        const double beta = iteration > 0 && before > 0 ? next / before : 0;
        for (Index i = 0; i < p; ++i) direction[at + static_cast<std::size_t>(i)] = z[at + static_cast<std::size_t>(i)] + beta * direction[at + static_cast<std::size_t>(i)];
        rho[static_cast<std::size_t>(j)] = next;
      }
      const std::vector<double> q = multiply(direction);
      for (Index j = 0; j < k; ++j) {
        if (is_done(j)) continue;
        const auto at = static_cast<std::size_t>(j * p);
        const double curvature = dot(&direction[at], &q[at], p);
        const double alpha = curvature > 0 ? rho[static_cast<std::size_t>(j)] / curvature : 0;
        for (std::size_t i = at; i < at + static_cast<std::size_t>(p); ++i) {
          s[i] += alpha * direction[i];
          r[i] -= alpha * q[i];
        }
      }
    }
    const std::vector<double> product = multiply(s);  // what is really left
    for (std::size_t i = 0; i < r.size(); ++i) r[i] = v[i] - product[i];
  }
  if (left() < k)
    throw NotCertified("solve for refit " + std::to_string(which[static_cast<std::size_t>(left())]) +
                       ": the true residual stays above the tolerance: raise --l2");
  return s;
}

}  // namespace clout
