#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <clout/host/attack.hpp>
#include <clout/host/statistics.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <cmath>
#include <numeric>

namespace clout {
namespace {

constexpr double kSolveTolerance = 1e-10;
constexpr Index kTestsAtOnce = 64, kRowsAtOnce = 16;  // of input gradients in memory: tests · rows · inputs

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::vector<double> part(const std::vector<double>& all, Index first, Index count) {
  return {all.begin() + first, all.begin() + first + count};
}

std::vector<double> host_features(const Dataset<double>& data) { return data.host_features(0, data.examples()); }

}  // namespace

struct Attack::Running {
  AttackPlan plan;
  AttackResult result;                            // inputs and θ as they are now
  std::vector<double> start, features, solution;  // [rows][d], [rows][width], s [p]
  double unit = 0;                                // largest entry of ∇ℓ_test; s is in units of it
  double predicted = 0;                           // change of the mean loss by the last move
};

double mean_loss(std::span<const AttackedTest> tests) {
  double sum = 0;
  for (const AttackedTest& test : tests) sum += test.loss_after;
  return sum / static_cast<double>(tests.size());
}

Index count_wrong(std::span<const AttackedTest> tests) {
  return std::count_if(tests.begin(), tests.end(), [](const AttackedTest& test) { return !test.is_right; });
}

Attack::Attack(const Dataset<double>& train, const Dataset<double>& tests, const FrozenNetwork* below,
               FittedModel::Make make, double l2, std::vector<double> theta, double tolerance, const Progress& progress)
    : train_(train),
      tests_(tests),
      below_(below),
      base_(train.device(), below ? below->features_of(train) : host_features(train), train.host_labels(),
            train.classes(), std::move(make), l2, std::move(theta), tolerance, progress),
      test_features_(below ? below->features_of(tests) : host_features(tests)),
      on_tests_(base_.on(test_features_, tests.host_labels(), true)) {
  move_to<double>(*on_tests_, *on_tests_, base_.theta());
  const Index m = tests_.examples();
  Buffer<double> losses(tests_.device(), m);
  on_tests_->losses(losses.view(m, 1));
  for (const double loss : losses.to_host()) {
    const bool right = is_right(base_.theta(), std::ssize(before_));
    before_.push_back({loss, loss, right, right});
  }
}

// From the outputs themselves: a loss tells a prediction of two classes only.
bool Attack::is_right(const std::vector<double>& theta, Index test) const {
  const LinearShape& shape = on_tests_->shape();
  const Index width = shape.features, label = tests_.host_labels()[at(test)];
  const auto x = test_features_.begin() + test * width;
  std::vector<double> outputs;
  for (Index c = 0; c < shape.classes; ++c)
    outputs.push_back(std::inner_product(x, x + width, theta.begin() + c * width,
                                         shape.bias ? theta[at(shape.weights() + c)] : 0.0));
  if (shape.classes == 1) return (outputs[0] > 0 ? 1 : 0) == label;
  return std::max_element(outputs.begin(), outputs.end()) - outputs.begin() == label;
}

Dataset<double> Attack::as_images(const std::vector<double>& inputs) const {
  const std::vector<std::int32_t> labels(inputs.size() / at(input_size()));
  return Dataset<double>::from_values(train_.device(), inputs, labels, input_size(), train_.classes());
}

std::vector<double> Attack::features_of(const std::vector<double>& inputs) const {
  return below_ ? below_->features_of(as_images(inputs)) : inputs;
}

std::vector<double> Attack::features_at(std::span<const Index> rows) const {
  const Index width = base_.width();
  std::vector<double> features;
  for (const Index row : rows) {
    const auto first = base_.features().begin() + row * width;
    features.insert(features.end(), first, first + width);
  }
  return features;
}

std::vector<std::int32_t> Attack::labels_at(std::span<const Index> rows) const {
  std::vector<std::int32_t> labels;
  for (const Index row : rows) labels.push_back(base_.labels().at(at(row)));
  return labels;
}

std::vector<double> Attack::test_gradient(const std::vector<Index>& tests, const std::vector<double>& theta) const {
  const Index width = base_.width(), p = base_.parameters();
  std::vector<double> features;
  std::vector<std::int32_t> labels;
  for (const Index test : tests) {
    const auto first = test_features_.begin() + test * width;
    features.insert(features.end(), first, first + width);
    labels.push_back(tests_.host_labels().at(at(test)));
  }
  const auto own = base_.on(features, labels, true);
  move_to<double>(*own, *own, theta);
  Buffer<double> gradient(own->device(), p);
  own->gradient(gradient.view(1, p));
  return gradient.to_host();
}

// ‖∇ₓ(s·∇θℓᵢ)‖₁ for all sets and rows. On a network it is ‖Jᵢᵀuᵢ‖₁, u the gradient by the features: for many sets a row's
// Jacobian once, and a product for all of them together; for few a way back for each.
std::vector<std::vector<Index>> Attack::strongest(const std::vector<std::vector<Index>>& tests, Index count,
                                                  const Progress& progress) {
  Device& device = train_.device();
  const Index n = base_.examples(), p = base_.parameters(), width = base_.width(), d = input_size();
  const Index sets = std::ssize(tests);
  std::vector<double> v;
  for (const std::vector<Index>& set : tests) {
    const std::vector<double> gradient = test_gradient(set, base_.theta());
    v.insert(v.end(), gradient.begin(), gradient.end());
  }
  const auto solver = make_direct_solver<double>(base_.factor(), base_.model(), 0.0, kSolveTolerance);
  const Buffer<double> right_hand_sides(device, std::span<const double>(v));
  Buffer<double> s(device, sets * p);
  const SolveReport report = solver->solve(right_hand_sides.view(sets, p), s.view(sets, p));
  if (!report.certified()) throw NotCertified("attack: a solve's residual stays above 1e-10: raise --l2");

  std::vector<double> sizes(at(sets * n));  // [sets][n]
  const bool by_jacobians = below_ && 2 * sets > width;
  for (Index row = 0; row < n; row += kRowsAtOnce) {
    const Index rows = std::min(kRowsAtOnce, n - row);
    const std::vector<double> jacobians = by_jacobians ? below_->jacobians(train_, row, rows) : std::vector<double>{};
    const std::optional<Dataset<double>> images =
        below_ && !by_jacobians ? std::optional(as_images(train_.host_features(row, rows))) : std::nullopt;
    for (Index set = 0; set < sets; set += kTestsAtOnce) {
      const Index some = std::min(kTestsAtOnce, sets - set);
      Buffer<double> gradients(device, some * rows * width);
      base_.model().input_gradients(s.view(sets, p).rows_from(set, some), row, rows, gradients.view(some, rows * width));
      const std::vector<double> u = gradients.to_host();  // [some][rows][width]
      std::vector<double> by_inputs(at(some * d));
      for (Index j = 0; !by_jacobians && j < some; ++j) {
        const auto own = std::span(u).subspan(at(j * rows * width), at(rows * width));
        const std::vector<double> back = images ? below_->pull_back(*images, own) : std::vector<double>(own.begin(), own.end());
        for (Index i = 0; i < rows; ++i)
          sizes[at((set + j) * n + row + i)] = cblas_dasum(static_cast<int>(d), &back[at(i * d)], 1);
      }
      for (Index i = 0; by_jacobians && i < rows; ++i) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(some), static_cast<int>(d),
                    static_cast<int>(width), 1.0, &u[at(i * width)], static_cast<int>(rows * width), &jacobians[at(i * d)],
                    static_cast<int>(rows * d), 0.0, by_inputs.data(), static_cast<int>(d));
        for (Index j = 0; j < some; ++j)
          sizes[at((set + j) * n + row + i)] = cblas_dasum(static_cast<int>(d), &by_inputs[at(j * d)], 1);
      }
    }
    if (progress) progress("choose", static_cast<double>(row + rows), static_cast<double>(n));
  }

  std::vector<std::vector<Index>> chosen;
  for (Index set = 0; set < sets; ++set) {
    std::vector<Index> order = descending(std::span(sizes).subspan(at(set * n), at(n)));
    order.resize(at(std::min(count, n)));
    chosen.push_back(std::move(order));
  }
  return chosen;
}

std::vector<AttackResult> Attack::run(const std::vector<AttackPlan>& plans, const AttackOptions& options,
                                      const Progress& progress) {
  require(options.step > 0 && options.box > 0, "step and box of an attack: expected positive numbers");
  std::vector<Running> running;
  std::vector<std::vector<Index>> rows;
  std::vector<Index> active;
  std::vector<double> features;
  for (const AttackPlan& plan : plans) {
    Running each{.plan = plan, .result = {}, .start = {}, .features = features_at(plan.rows), .solution = {}};
    for (const Index row : plan.rows) {
      const std::vector<double> x = train_.host_features(row, 1);
      for (const double value : x)
        require(value >= options.low && value <= options.high,
                fmt::format("training row {}: {:.6g} is outside what an attack may make of it; expected {:.6g} to {:.6g}", row,
                            value, options.low, options.high));
      each.start.insert(each.start.end(), x.begin(), x.end());
    }
    each.result.inputs = each.start;
    each.result.theta = base_.theta();
    each.result.gradient_norm = base_.gradient_norm();
    for (const Index test : plan.tests) each.result.tests.push_back(before_.at(at(test)));
    features.insert(features.end(), each.features.begin(), each.features.end());
    rows.push_back(plan.rows);
    active.push_back(std::ssize(running));
    running.push_back(std::move(each));
  }
  ChangedRows variants(base_, std::move(rows));
  variants.place(features);
  solve(running, variants, active);
  for (Index step = 1; step <= options.steps && !active.empty(); ++step) {
    move(running, active, options);
    features.clear();
    for (const Running& each : running) features.insert(features.end(), each.features.begin(), each.features.end());
    variants.place(features);
    refit(running, variants, active, options);
    if (step < options.steps && !active.empty()) solve(running, variants, active);
    if (progress) progress("attack", static_cast<double>(step), static_cast<double>(options.steps));
  }
  std::vector<AttackResult> results;
  for (Running& each : running) {
    const std::vector<double> before = features_at(each.plan.rows);
    for (std::size_t i = 0; i < before.size(); ++i)
      each.result.feature_distance = std::hypot(each.result.feature_distance, each.features[i] - before[i]);
    results.push_back(std::move(each.result));
  }
  return results;
}

AttackCheck Attack::check(const AttackPlan& plan, const AttackResult& result) {
  std::vector<double> features = base_.features();
  const std::vector<double> changed = features_of(result.inputs);
  for (std::size_t r = 0; r < plan.rows.size(); ++r)
    std::copy_n(changed.begin() + static_cast<Index>(r) * base_.width(), base_.width(),
                features.begin() + plan.rows[r] * base_.width());
  const auto model = base_.on(features, base_.labels(), false);
  std::vector<double> theta(at(base_.parameters()));
  TrainingReport report = train<double>(*model, *model, theta, {.tolerance = base_.tolerance()});
  AttackCheck check{.is_from_zero = report.converged};
  if (!report.converged) {  // a cold loss without curvature there
    theta = base_.theta();
    report = train<double>(*model, *model, theta, {.tolerance = base_.tolerance()});
  }
  if (!report.converged) throw NotCertified("attack: training anew stopped above the tolerance: raise --l2 or --tolerance");
  check.gradient_norm = report.gradient_norm;
  const Index m = tests_.examples();
  const Buffer<double> there(train_.device(), std::span<const double>(theta));
  Buffer<double> losses(train_.device(), m);
  on_tests_->losses_at(there.view(1, std::ssize(theta)), losses.view(m, 1));
  const std::vector<double> host = losses.to_host();
  for (const Index test : plan.tests) {
    AttackedTest after = before_[at(test)];
    after.loss_after = host[at(test)];
    after.is_right = is_right(theta, test);
    check.tests.push_back(after);
  }
  return check;
}

void Attack::solve(std::vector<Running>& running, ChangedRows& variants, std::vector<Index>& active) {
  const Index p = base_.parameters();
  std::vector<double> theta, v;
  std::vector<Index> going_on;
  for (const Index j : active) {
    Running& each = running[at(j)];
    const std::vector<double> gradient = test_gradient(each.plan.tests, each.result.theta);
    each.unit = 0;  // of its own: a loss may be as small as double goes, and its direction counts all the same
    for (const double entry : gradient) each.unit = std::max(each.unit, std::abs(entry));
    if (each.unit == 0) continue;
    going_on.push_back(j);
    theta.insert(theta.end(), each.result.theta.begin(), each.result.theta.end());
    for (const double entry : gradient) v.push_back(entry / each.unit);
  }
  active = std::move(going_on);
  if (active.empty()) return;
  const std::vector<double> s = variants.solve(active, theta, v, kSolveTolerance);
  for (std::size_t a = 0; a < active.size(); ++a) running[at(active[a])].solution = part(s, static_cast<Index>(a) * p, p);
}

void Attack::move(std::vector<Running>& running, const std::vector<Index>& active, const AttackOptions& options) {
  const Index p = base_.parameters(), width = base_.width();
  std::vector<double> inputs, gradients;
  for (const Index j : active) {
    Running& each = running[at(j)];
    const Index rows = std::ssize(each.plan.rows);
    const auto own = base_.on(each.features, labels_at(each.plan.rows), true);
    move_to<double>(*own, *own, each.result.theta);
    const Buffer<double> s(own->device(), std::span<const double>(each.solution));
    Buffer<double> out(own->device(), rows * width);
    own->input_gradients(s.view(1, p), 0, rows, out.view(1, rows * width));
    const std::vector<double> by_features = out.to_host();
    gradients.insert(gradients.end(), by_features.begin(), by_features.end());
    inputs.insert(inputs.end(), each.result.inputs.begin(), each.result.inputs.end());
  }
  if (below_) gradients = below_->pull_back(as_images(inputs), gradients);
  std::size_t next = 0;
  for (const Index j : active) {
    Running& each = running[at(j)];
    each.predicted = 0;
    for (std::size_t i = 0; i < each.start.size(); ++i, ++next) {
      const double gradient = gradients[next], before = each.result.inputs[i];
      const double low = std::max(options.low, each.start[i] - options.box);
      const double high = std::min(options.high, each.start[i] + options.box);
      const double after = before - std::copysign(gradient == 0 ? 0.0 : options.step, gradient);
      each.result.inputs[i] = std::clamp(after, low, high);
      each.predicted -= gradient * (each.result.inputs[i] - before);
    }
    each.predicted *= each.unit / static_cast<double>(base_.examples());
  }
  std::vector<double> moved;
  for (const Index j : active) moved.insert(moved.end(), running[at(j)].result.inputs.begin(), running[at(j)].result.inputs.end());
  const std::vector<double> features = features_of(moved);
  Index first = 0;
  for (const Index j : active) {
    Running& each = running[at(j)];
    each.features = part(features, first, std::ssize(each.features));
    first += std::ssize(each.features);
  }
}

void Attack::refit(std::vector<Running>& running, ChangedRows& variants, std::vector<Index>& active,
                   const AttackOptions& options) {
  std::vector<RetrainedModel> models = variants.fit(active, *on_tests_);
  std::vector<Index> going_on;
  for (std::size_t a = 0; a < active.size(); ++a) {
    Running& each = running[at(active[a])];
    AttackResult& result = each.result;
    const double loss = mean_loss(result.tests);
    result.theta = std::move(models[a].parameters);
    result.gradient_norm = std::max(result.gradient_norm, models[a].gradient_norm);
    for (std::size_t t = 0; t < result.tests.size(); ++t) {
      AttackedTest& test = result.tests[t];
      test.loss_after = test.loss_before + models[a].loss_change[at(each.plan.tests[t])];
      test.is_right = is_right(result.theta, each.plan.tests[t]);
    }
    if (result.history.empty()) {
      result.predicted_first = each.predicted;
      result.actual_first = mean_loss(result.tests) - loss;
    }
    result.history.push_back({mean_loss(result.tests), count_wrong(result.tests)});
    if (count_wrong(result.tests) < std::ssize(result.tests) || !options.stops_when_flipped) going_on.push_back(active[a]);
  }
  active = std::move(going_on);
}

}  // namespace clout
