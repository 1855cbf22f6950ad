#include <algorithm>
#include <clout/host/leave_one_out.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/kernels/workspace.hpp>
#include <cmath>

namespace clout {
namespace {

// How much one chord step is taken to shrink the gradient by, before the first ratio is known.
constexpr double kFirstContraction = 0.03;
// A verification in double costs several passes in single precision: it is tried once the next gradient should pass.
constexpr double kVerifyMargin = 0.5;
// Chord steps that shrink the gradient by less than this are not worth going on with.
constexpr double kSlowContraction = 0.8;

/// The largest of the first `count` norms; NaN where one of them is.
double worst_of(const std::vector<double>& norms, Index count) {
  double worst = 0;
  for (Index j = 0; j < count; ++j) {
    const double norm = norms[static_cast<std::size_t>(j)];
    if (std::isnan(norm)) return norm;
    worst = std::max(worst, norm);
  }
  return worst;
}

void require_minimum(const std::vector<Index>& group, const std::string& obstacle) {
  if (obstacle.empty()) return;
  const std::string who = group.empty() ? "all" : "row " + std::to_string(group[0]) + (group.size() > 1 ? ", …" : "");
  throw NotCertified("retrain: without " + who + ": " + obstacle + " (no results were written)");
}

}  // namespace

void require_minima(const Retrainable<double>& objective, const std::vector<std::vector<Index>>& groups) {
  for (const std::vector<Index>& group : groups) require_minimum(group, objective.obstacle_to_minimum(group));
}

template <class T>
struct LeaveOneOut<T>::State {
  MatrixView<double> constant;    // [B][p]  (W_j/W) ∇R_j(θ̂)
  MatrixView<double> offset;      // [B][p]  δ
  MatrixView<double> gradient;    // [B][p]  (W_j/W) ∇R_j(θ̂ + δ)
  MatrixView<double> parameters;  // [B][p]  θ̂ + δ
  MatrixView<T> step, difference;  // [B][p]
  MatrixView<double> theta;       // [1][p]
  std::vector<double> norms;
  Index iterations = 0;
  bool verified = false;  // norms are of ∇R_j from scratch, in double
};

template <class T>
LeaveOneOut<T>::LeaveOneOut(Retrainable<double>& exact, Retrainable<T>& fast, Objective<double>& test,
                            const HessianFactor<T>& factor, std::vector<double> theta, Retrain retrain,
                            LeaveOneOutOptions options)
    : exact_(exact),
      fast_(fast),
      test_(test),
      factor_(factor),
      theta_(std::move(theta)),
      retrain_(std::move(retrain)),
      options_(options) {
  require(options.tolerance > 0, "leave-one-out tolerance: expected a positive gradient norm");
  require(options.block > 0, "leave-one-out block: expected at least one model");
  require(exact.can_remove() && fast.can_remove(), "this model has no retraining in difference form");
}

template <class T>
std::vector<RetrainedModel> LeaveOneOut<T>::run(const std::vector<std::vector<Index>>& groups, io::Journal* journal,
                                                const Progress& progress) {
  require_minima(exact_, groups);
  const Index total = static_cast<Index>(groups.size()), tests = test_.examples();
  std::vector<RetrainedModel> models;
  for (Index first = 0; first < total; first += options_.block) {
    const Index count = std::min(options_.block, total - first);
    const auto number = static_cast<std::uint64_t>(first / options_.block);
    const auto record = static_cast<std::size_t>(2 + tests);  // per model: norm, iterations, loss changes
    if (journal && journal->completed().contains(number)) {
      const std::vector<double>& values = journal->completed().at(number);
      require(values.size() == record * static_cast<std::size_t>(count),
              "journal: block " + std::to_string(number) + " has another length; expected the same request as before");
      for (auto at = values.begin(); at != values.end(); at += static_cast<std::ptrdiff_t>(record))
        models.push_back({at[0], static_cast<Index>(at[1]), {at + 2, at + static_cast<std::ptrdiff_t>(record)}, {}});
    } else {
      std::vector<RetrainedModel> block = retrain_block({groups.begin() + first, groups.begin() + first + count});
      std::vector<double> values;
      for (RetrainedModel& model : block) {
        values.push_back(model.gradient_norm);
        values.push_back(static_cast<double>(model.iterations));
        values.insert(values.end(), model.loss_change.begin(), model.loss_change.end());
        model.parameters = {};
        models.push_back(std::move(model));
      }
      if (journal) journal->append(number, values);
    }
    if (progress) progress("retrain", static_cast<double>(first + count), static_cast<double>(total));
  }
  return models;
}

template <class T>
std::vector<RetrainedModel> LeaveOneOut<T>::retrain_block(std::vector<std::vector<Index>> groups) {
  const Index models = static_cast<Index>(groups.size()), width = options_.block, p = exact_.parameters();
  require(models > 0 && models <= width, "leave-one-out block: " + std::to_string(models) + " models; expected 1 to " +
                                             std::to_string(width));
  groups.resize(static_cast<std::size_t>(width));  // constant width: the same bits wherever a model stands
  Device& device = exact_.device();
  const Removals removals(device, std::move(groups), exact_.examples());

  State state;
  const Workspace workspace(device, [&](Workspace& w) {
    for (MatrixView<double>* view : {&state.constant, &state.offset, &state.gradient, &state.parameters})
      *view = w.matrix<double>(width, p);
    state.step = w.matrix<T>(width, p);
    state.difference = w.matrix<T>(width, p);
    state.theta = w.matrix<double>(1, p);
  });
  device.copy_to_device(state.theta.data, theta_.data(), theta_.size() * sizeof(double));
  iterate(removals, state, models);

  std::vector<RetrainedModel> out(static_cast<std::size_t>(models));
  for (Index j = 0; j < models; ++j) {
    out[static_cast<std::size_t>(j)].gradient_norm = state.norms[static_cast<std::size_t>(j)];
    out[static_cast<std::size_t>(j)].iterations = state.iterations;
  }
  finish_by_newton(removals, state, models, out);
  const std::vector<double> changes = loss_changes(state.parameters);
  const std::vector<double> parameters = to_host(device, state.parameters);
  const Index tests = test_.examples();
  for (Index j = 0; j < models; ++j) {
    RetrainedModel& model = out[static_cast<std::size_t>(j)];
    for (Index t = 0; t < tests; ++t) model.loss_change.push_back(changes[static_cast<std::size_t>(t * width + j)]);
    model.parameters.assign(parameters.begin() + j * p, parameters.begin() + (j + 1) * p);
  }
  return out;
}

template <class T>
void LeaveOneOut<T>::iterate(const Removals& removals, State& state, Index models) {
  const KernelTable<double>& kernels = exact_.device().template kernels<double>();
  exact_.removal_constants(removals, state.constant);
  kernels.combine(exact_.device(), {0.0, {}, 0.0, state.offset});
  kernels.combine(exact_.device(), {1.0, state.constant, 0.0, state.gradient});
  state.norms = row_norms<double>(exact_.device(), state.gradient);

  double contraction = kFirstContraction;
  while (options_.chord && state.iterations < options_.max_steps) {
    const double worst = worst_of(state.norms, models);
    step(state);
    if (worst * contraction <= kVerifyMargin * options_.tolerance || state.verified) verify(removals, state);
    else difference(removals, state);
    const double now = worst_of(state.norms, models);
    if (state.verified && now <= options_.tolerance) return;
    if (!std::isfinite(now) || (state.iterations > 2 && now > kSlowContraction * worst)) break;
    // The first step goes from θ̂ to the influence estimate and says nothing about the steps after it.
    if (state.iterations > 1) contraction = std::max(now / worst, 1e-3);
  }
  if (!state.verified) verify(removals, state);
}

template <class T>
void LeaveOneOut<T>::step(State& state) {
  Device& device = exact_.device();
  device.kernels<T>().from_double(device, {state.gradient, state.step});
  factor_.solve(state.step);
  device.kernels<T>().to_double(device, {state.step, state.gradient});  // as room for the step in double
  device.kernels<double>().combine(device, {-1.0, state.gradient, 1.0, state.offset});
  ++state.iterations;
}

template <class T>
void LeaveOneOut<T>::difference(const Removals& removals, State& state) {
  Device& device = exact_.device();
  device.kernels<T>().from_double(device, {state.offset, state.step});
  fast_.removal_differences(removals, state.step, state.difference);
  device.kernels<T>().to_double(device, {state.difference, state.gradient});
  device.kernels<double>().combine(device, {1.0, state.constant, 1.0, state.gradient});
  state.norms = row_norms<double>(device, state.gradient);
}

template <class T>
void LeaveOneOut<T>::verify(const Removals& removals, State& state) {
  Device& device = exact_.device();
  const KernelTable<double>& kernels = device.kernels<double>();
  kernels.combine(device, {1.0, state.offset, 0.0, state.parameters});
  for (Index j = 0; j < state.parameters.rows; ++j)
    kernels.combine(device, {1.0, state.theta, 1.0, state.parameters.rows_from(j, 1)});
  exact_.gradients_without(removals, state.parameters, state.gradient);
  state.norms = row_norms<double>(device, state.gradient);
  state.verified = true;
}

template <class T>
void LeaveOneOut<T>::finish_by_newton(const Removals& removals, State& state, Index models,
                                      std::vector<RetrainedModel>& out) {
  Device& device = exact_.device();
  const std::size_t bytes = static_cast<std::size_t>(exact_.parameters()) * sizeof(double);
  for (Index j = 0; j < models; ++j) {
    RetrainedModel& model = out[static_cast<std::size_t>(j)];
    if ((options_.chord && model.gradient_norm <= options_.tolerance) || !retrain_) continue;
    std::vector<double> theta = theta_;  // the chord iteration may have left for anywhere
    const TrainingReport report = retrain_(removals.group(j), theta);
    require_minimum(removals.group(j), report.obstacle);
    model.iterations += static_cast<Index>(report.steps.size());
    device.copy_to_device(state.parameters.row(j), theta.data(), bytes);
    // From scratch by the same evaluation as every other model, not by the trainer's own word.
    exact_.gradients_without(removals, state.parameters, state.gradient);
    model.gradient_norm = row_norms<double>(device, state.gradient)[static_cast<std::size_t>(j)];
  }
}

template <class T>
std::vector<double> LeaveOneOut<T>::loss_changes(MatrixView<const double> parameters) {
  Device& device = test_.device();
  const Index tests = test_.examples();
  Buffer<double> before(device, tests), after(device, tests * parameters.rows);
  test_.losses(before.view(tests, 1));
  test_.losses_at(parameters, after.view(tests, parameters.rows));
  const std::vector<double> base = before.to_host();
  std::vector<double> changes = after.to_host();
  for (std::size_t i = 0; i < changes.size(); ++i) changes[i] -= base[i / static_cast<std::size_t>(parameters.rows)];
  return changes;
}

template class LeaveOneOut<float>;
template class LeaveOneOut<double>;

}  // namespace clout
