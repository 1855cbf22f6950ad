#include <algorithm>
#include <clout/host/leave_one_out.hpp>
#include <clout/kernels/kernel_table.hpp>
#include <clout/kernels/workspace.hpp>
#include <cmath>

namespace clout {
namespace {

// A verification in double costs two passes in single precision, so it is tried as soon as it is likelier to pass than
// not. Anderson's first step gains this much on the plain step before it: half the models of MNIST more, half less.
constexpr double kAndersonGain = 0.05;
// No step is taken to shrink a gradient by more than this, however well the last one did.
constexpr double kBestContraction = 1e-3;
// Anderson's step looks back only where it takes less of the last step than this.
constexpr double kMostOfLast = 0.3;
// Steps that shrink the gradient by less than this are not worth going on with.
constexpr double kSlowContraction = 0.8;
// What the next step leaves is not taken to be more of it than this, where it is not known.
constexpr double kMostLeft = 0.9;

void require_minimum(const std::vector<Index>& group, const std::string& obstacle) {
  if (obstacle.empty()) return;
  const std::string who = group.empty() ? "all" : "row " + std::to_string(group[0]) + (group.size() > 1 ? ", …" : "");
  throw NotCertified("without " + who + ": " + obstacle + " (no results were written)");
}

}  // namespace

void require_minima(const Retrainable<double>& objective, const std::vector<std::vector<Index>>& groups) {
  for (const std::vector<Index>& group : groups) require_minimum(group, objective.obstacle_to_minimum(group));
}

std::vector<double> pack_models(std::span<const RetrainedModel> models) {
  std::vector<double> values;
  for (const RetrainedModel& model : models) {
    values.insert(values.end(), {model.gradient_norm, static_cast<double>(model.iterations), model.size, model.gain});
    values.insert(values.end(), model.loss_change.begin(), model.loss_change.end());
  }
  return values;
}

void unpack_models(const std::vector<double>& values, std::uint64_t block, std::span<RetrainedModel> models,
                   Index tests) {
  const auto record = static_cast<std::size_t>(4 + tests);
  require(values.size() == record * models.size(),
          "journal: block " + std::to_string(block) + " has another length; expected the same request as before");
  auto at = values.begin();
  for (RetrainedModel& model : models) {
    const auto end = at + static_cast<std::ptrdiff_t>(record);
    model = {.gradient_norm = at[0],
             .size = at[2],
             .gain = at[3],
             .iterations = static_cast<Index>(at[1]),
             .loss_change = {at + 4, end},
             .parameters = {}};
    at = end;
  }
}

// The models of a block that are under way stand in the first rows, those whose next gradient is to be verified before
// the others. Finished ones leave, and the rest moves up: work shrinks with them.
template <class T>
struct LeaveOneOut<T>::State {
  struct Slot {
    Index model = 0;
    double norm = 0;         // ‖(W_j/W) ∇R_j‖; verified: ‖∇R_j‖, from scratch and in double
    double contraction = 1;  // of the norm, by the last step
    Index steps = 0;
    bool is_verified = false;
    bool is_slow = false;    // the last step was, by two gradients of the same kind

    void reach(double next, bool verified) {
      contraction = norm > 0 ? next / norm : 1;
      is_slow = steps > 2 && verified == is_verified && contraction > kSlowContraction;
      norm = next;
      is_verified = verified;
    }
    // Whether the next gradient should pass, or those in difference form end in rounding.
    bool is_nearly_done(double tolerance) const {
      const double next = std::max(contraction, kBestContraction) * (steps == 1 ? kAndersonGain : 1.0);
      return is_verified || is_slow || norm * next <= tolerance;
    }
    bool is_lost(Index most_steps) const {
      return !std::isfinite(norm) || steps >= most_steps || (is_verified && is_slow);
    }
  };

  std::vector<std::vector<Index>> groups;  // model after model
  MatrixView<double> parameters;           // [B][p]  θ_j of finished models, model after model
  MatrixView<double> theta;                // [1][p]  θ̂
  MatrixView<double> left;                 // [B][p]  ∇R_j(θ_j) of finished models, where gains are wanted
  std::vector<double> onward;              // [B]     sum of the steps to come, in units of the next
  std::vector<Slot> slots;                 // row after row, as the rest:
  MatrixView<double> constant;             // [B][p]  (W_j/W) ∇R_j(θ̂)
  MatrixView<double> offset;               // [B][p]  δ
  MatrixView<double> gradient;             // [B][p]  (W_j/W) ∇R_j(θ̂ + δ)
  MatrixView<double> last, moved;          // [B][p]  F⁻¹ of the gradient before, and the step that was taken from there
  MatrixView<double> room;                 // [B][p]
  MatrixView<T> step, difference;          // [B][p]

  Index rows() const { return static_cast<Index>(slots.size()); }
  Slot& slot(Index row) { return slots[static_cast<std::size_t>(row)]; }
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
  const Index total = static_cast<Index>(groups.size());
  std::vector<RetrainedModel> models(groups.size());
  for (Index first = 0; first < total; first += options_.block) {
    const Index count = std::min(options_.block, total - first);
    const auto number = static_cast<std::uint64_t>(first / options_.block);
    const auto block = std::span(models).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    if (journal && journal->completed().contains(number)) {
      unpack_models(journal->completed().at(number), number, block, test_.examples());
    } else {
      std::ranges::move(retrain_block({groups.begin() + first, groups.begin() + first + count}), block.begin());
      for (RetrainedModel& model : block) model.parameters = std::vector<double>();  // = {} would keep the memory
      if (journal) journal->append(number, pack_models(block));
    }
    if (progress) progress("retrain", static_cast<double>(first + count), static_cast<double>(total));
  }
  return models;
}

template <class T>
std::vector<RetrainedModel> LeaveOneOut<T>::retrain_block(std::vector<std::vector<Index>> groups) {
  const Index models = static_cast<Index>(groups.size()), p = exact_.parameters();
  require(models > 0 && models <= options_.block, "leave-one-out block: " + std::to_string(models) +
                                                      " models; expected 1 to " + std::to_string(options_.block));
  Device& device = exact_.device();
  State state;
  state.groups = std::move(groups);
  const Workspace workspace(device, [&](Workspace& w) {
    for (MatrixView<double>* view : {&state.parameters, &state.constant, &state.offset, &state.gradient, &state.last,
                                     &state.moved, &state.room})
      *view = w.matrix<double>(models, p);
    state.step = w.matrix<T>(models, p);
    state.difference = w.matrix<T>(models, p);
    state.theta = w.matrix<double>(1, p);
    if (options_.gains) state.left = w.matrix<double>(models, p);
  });
  device.copy_to_device(state.theta.data, theta_.data(), theta_.size() * sizeof(double));

  state.onward.resize(state.groups.size());

  std::vector<RetrainedModel> out(state.groups.size());
  iterate(state, out);
  finish_by_newton(state, out);
  if (options_.gains) measure_gains(state, out);
  const std::vector<double> sizes = row_norms<double>(device, state.parameters);
  const std::vector<double> changes = loss_changes(state.parameters);
  const std::vector<double> parameters = to_host(device, state.parameters);
  const Index tests = test_.examples();
  for (Index j = 0; j < models; ++j) {
    RetrainedModel& model = out[static_cast<std::size_t>(j)];
    model.size = sizes[static_cast<std::size_t>(j)];
    for (Index t = 0; t < tests; ++t) model.loss_change.push_back(changes[static_cast<std::size_t>(t * models + j)]);
    model.parameters.assign(parameters.begin() + j * p, parameters.begin() + (j + 1) * p);
  }
  return out;
}

template <class T>
void LeaveOneOut<T>::iterate(State& state, std::vector<RetrainedModel>& out) {
  Device& device = exact_.device();
  const KernelTable<double>& kernels = device.template kernels<double>();
  exact_.removal_constants(Removals(device, state.groups, exact_.examples()), state.constant);
  kernels.combine(device, {0.0, {}, 0.0, state.offset});
  kernels.combine(device, {1.0, state.constant, 0.0, state.gradient});
  for (const double norm : row_norms<double>(device, state.gradient))
    state.slots.push_back({.model = state.rows(), .norm = norm});

  retire(state, out);
  while (state.rows() > 0) {
    const auto later = std::find_if(state.slots.begin(), state.slots.end(), [&](const auto& slot) {
      return !slot.is_nearly_done(options_.tolerance);
    });
    const Index nearly_done = later - state.slots.begin();
    step(state);
    verify(state, 0, nearly_done);
    difference(state, nearly_done, state.rows() - nearly_done);
    retire(state, out);
  }
}

template <class T>
Removals LeaveOneOut<T>::removals(State& state, Index first, Index count) {
  std::vector<std::vector<Index>> groups;
  for (Index row = first; row < first + count; ++row)
    groups.push_back(state.groups[static_cast<std::size_t>(state.slot(row).model)]);
  return {exact_.device(), std::move(groups), exact_.examples()};
}

template <class T>
void LeaveOneOut<T>::step(State& state) {
  Device& device = exact_.device();
  const KernelTable<double>& kernels = device.kernels<double>();
  const Index rows = state.rows();
  const auto in_use = [rows](auto view) { return view.rows_from(0, rows); };
  device.kernels<T>().from_double(device, {in_use(state.gradient), in_use(state.step)});
  factor_.solve(in_use(state.step));
  const MatrixView<double> f = in_use(state.gradient), change = in_use(state.room), last = in_use(state.last);
  const MatrixView<double> moved = in_use(state.moved), offset = in_use(state.offset);
  device.kernels<T>().to_double(device, {in_use(state.step), f});

  std::vector<double> gamma(static_cast<std::size_t>(rows), 0.0);
  if (state.slot(0).steps > 0) {
    kernels.combine(device, {1.0, f, 0.0, change});
    kernels.combine(device, {-1.0, last, 1.0, change});
    const std::vector<double> now = row_norms<double>(device, f), before = row_norms<double>(device, last);
    const std::vector<double> between = row_norms<double>(device, change);
    for (std::size_t row = 0; row < gamma.size(); ++row) {
      const double squares = between[row] * between[row];
      // f·(f − f′) from the three lengths.
      const double product = 0.5 * (now[row] * now[row] + squares - before[row] * before[row]);
      if (squares > 0 && std::abs(product) < kMostOfLast * squares) gamma[row] = product / squares;
    }
    kernels.combine(device, {-1.0, change, 1.0, moved});  // s′ − (f − f′)
  } else {
    kernels.combine(device, {0.0, {}, 0.0, moved});
  }
  kernels.combine(device, {1.0, f, 0.0, last});
  for (Index row = 0; row < rows; ++row)
    kernels.combine(device, {-1.0, f.rows_from(row, 1), -gamma[static_cast<std::size_t>(row)], moved.rows_from(row, 1)});
  kernels.combine(device, {1.0, moved, 1.0, offset});
  for (auto& slot : state.slots) ++slot.steps;
}

template <class T>
void LeaveOneOut<T>::difference(State& state, Index first, Index count) {
  if (count == 0) return;
  Device& device = exact_.device();
  const auto part = [&](auto view) { return view.rows_from(first, count); };
  device.kernels<T>().from_double(device, {part(state.offset), part(state.step)});
  fast_.removal_differences(removals(state, first, count), part(state.step), part(state.difference));
  device.kernels<T>().to_double(device, {part(state.difference), part(state.gradient)});
  device.kernels<double>().combine(device, {1.0, part(state.constant), 1.0, part(state.gradient)});
  const std::vector<double> norms = row_norms<double>(device, part(state.gradient));
  for (Index row = 0; row < count; ++row) state.slot(first + row).reach(norms[static_cast<std::size_t>(row)], false);
}

template <class T>
void LeaveOneOut<T>::verify(State& state, Index first, Index count) {
  if (count == 0) return;
  Device& device = exact_.device();
  const MatrixView<double> parameters = state.room.rows_from(first, count);
  for (Index row = 0; row < count; ++row) place(state, first + row, parameters.rows_from(row, 1));
  const MatrixView<double> gradient = state.gradient.rows_from(first, count);
  exact_.gradients_without(removals(state, first, count), parameters, gradient);
  const std::vector<double> norms = row_norms<double>(device, gradient);
  for (Index row = 0; row < count; ++row) state.slot(first + row).reach(norms[static_cast<std::size_t>(row)], true);
}

template <class T>
void LeaveOneOut<T>::place(State& state, Index row, MatrixView<double> parameters) {
  Device& device = exact_.device();
  device.kernels<double>().combine(device, {1.0, state.theta, 0.0, parameters});
  device.kernels<double>().combine(device, {1.0, state.offset.rows_from(row, 1), 1.0, parameters});
}

template <class T>
void LeaveOneOut<T>::retire(State& state, std::vector<RetrainedModel>& out) {
  std::vector<Index> staying;
  for (Index row = 0; row < state.rows(); ++row) {
    const auto& slot = state.slot(row);
    const bool is_done = slot.is_verified && slot.norm <= options_.tolerance;
    if (!is_done && options_.chord && !slot.is_lost(options_.max_steps)) {
      staying.push_back(row);
      continue;
    }
    if (!slot.is_verified) verify(state, row, 1);
    place(state, row, state.parameters.rows_from(slot.model, 1));
    RetrainedModel& model = out[static_cast<std::size_t>(slot.model)];
    model.gradient_norm = slot.norm;
    model.iterations = slot.steps;
    keep_left(state, row, slot.model);
    state.onward[static_cast<std::size_t>(slot.model)] = 1 / (1 - std::min(slot.contraction, kMostLeft));
  }
  std::stable_partition(staying.begin(), staying.end(),
                        [&](Index row) { return state.slot(row).is_nearly_done(options_.tolerance); });
  move_up(state, staying);
}

template <class T>
void LeaveOneOut<T>::move_up(State& state, const std::vector<Index>& rows) {
  Device& device = exact_.device();
  const Index count = static_cast<Index>(rows.size());
  std::vector<typename State::Slot> slots;
  for (const Index row : rows) slots.push_back(state.slot(row));
  state.slots = std::move(slots);
  if (std::is_sorted(rows.begin(), rows.end()) && (count == 0 || rows.back() == count - 1)) return;  // all stand right
  for (MatrixView<double>* matrix : {&state.constant, &state.offset, &state.gradient, &state.last, &state.moved}) {
    for (Index row = 0; row < count; ++row)
      device.kernels<double>().combine(
          device, {1.0, matrix->rows_from(rows[static_cast<std::size_t>(row)], 1), 0.0, state.room.rows_from(row, 1)});
    std::swap(*matrix, state.room);
  }
}

template <class T>
void LeaveOneOut<T>::finish_by_newton(State& state, std::vector<RetrainedModel>& out) {
  if (!retrain_) return;
  Device& device = exact_.device();
  const std::size_t bytes = static_cast<std::size_t>(exact_.parameters()) * sizeof(double);
  for (std::size_t j = 0; j < out.size(); ++j) {
    if (options_.chord && out[j].gradient_norm <= options_.tolerance) continue;
    std::vector<double> theta = theta_;  // the chord iteration may have left for anywhere
    const TrainingReport report = retrain_(state.groups[j], theta);
    require_minimum(state.groups[j], report.obstacle);
    out[j].iterations += static_cast<Index>(report.steps.size());
    const MatrixView<double> parameters = state.parameters.rows_from(static_cast<Index>(j), 1);
    const MatrixView<double> gradient = state.gradient.rows_from(0, 1);
    device.copy_to_device(parameters.data, theta.data(), bytes);
    // From scratch by the same evaluation as every other model, not by the trainer's own word.
    exact_.gradients_without(Removals(device, {state.groups[j]}, exact_.examples()), parameters, gradient);
    out[j].gradient_norm = row_norms<double>(device, gradient)[0];
    keep_left(state, 0, static_cast<Index>(j));
    out[j].gain = report.gain;
    state.onward[j] = 1 / (1 - kMostLeft);
  }
}

template <class T>
void LeaveOneOut<T>::keep_left(State& state, Index row, Index model) {
  if (!options_.gains) return;
  Device& device = exact_.device();
  device.kernels<double>().combine(device, {1.0, state.gradient.rows_from(row, 1), 0.0, state.left.rows_from(model, 1)});
}

template <class T>
void LeaveOneOut<T>::measure_gains(State& state, std::vector<RetrainedModel>& out) {
  const std::vector<double> next = gains<T>(factor_, state.left, state.step);
  for (std::size_t j = 0; j < out.size(); ++j)
    if (out[j].gain == 0) out[j].gain = next[j] * state.onward[j];
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
