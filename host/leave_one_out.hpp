#pragma once
// Exact retraining without training examples, many models at once.

#include <clout/engine/direct_solver.hpp>
#include <clout/engine/removals.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/io/journal.hpp>

namespace clout {

struct LeaveOneOutOptions {
  double tolerance = 1e-10;  ///< on ‖∇R_j(θ_j)‖₂, from scratch in double
  Index max_steps = 40;      ///< of the chord iteration, before a model is handed to Newton's method
  bool chord = true;         ///< false: every model by Newton's method, which alone sees that there is no minimum
  Index block = 64;          ///< models side by side; part of the request: another width gives other bits
  bool gains = false;        ///< whether RetrainedModel::gain is wanted: another solve by the factor
};

/// One model retrained without a set of examples.
struct RetrainedModel {
  double gradient_norm = 0;         ///< ‖∇R_j(θ_j)‖₂, recomputed from scratch in double
  double size = 0;                  ///< ‖θ_j‖₂
  double gain = 0;                  ///< ‖θ_j − minimum‖ / gradient_norm as the next step has it; 0 where not wanted
  Index iterations = 0;             ///< steps taken
  std::vector<double> loss_change;  ///< [m] test loss after − before, in double
  std::vector<double> parameters;   ///< [p] θ_j; empty where it came from a journal
};

/// Models as numbers of a journal's block, each of `tests` loss changes, and back; without parameters.
std::vector<double> pack_models(std::span<const RetrainedModel> models);
void unpack_models(const std::vector<double>& values, std::uint64_t block, std::span<RetrainedModel> models, Index tests);

/// Throws NotCertified, naming the first set without which the objective is known to have no minimum: a gradient norm
/// proves nothing there.
void require_minima(const Retrainable<double>& objective, const std::vector<std::vector<Index>>& groups);

/// Retrains R_j, the mean over the examples that are left plus the same (λ/2)‖θ_reg‖² (or another retrainable objective),
/// by chord steps in difference form, δ ← δ − F⁻¹ (W_j/W) ∇R_j(θ̂ + δ), F the factor of the Hessian at θ̂, and
/// Anderson's correction from the second on; the first is the influence estimate. Products in precision T act on
/// differences alone; each model's last evaluation is in double, from scratch, and decides.
template <class T>
class LeaveOneOut {
 public:
  /// Trains `theta` further on the data without `group`: for models on which the chord iteration does not converge.
  using Retrain = std::function<TrainingReport(const std::vector<Index>& group, std::vector<double>& theta)>;

  /// `exact` and `fast` are one objective at θ̂, `test` the same model at θ̂ on the test examples.
  LeaveOneOut(Retrainable<double>& exact, Retrainable<T>& fast, Objective<double>& test, const HessianFactor<T>& factor,
              std::vector<double> theta, Retrain retrain, LeaveOneOutOptions options = {});

  /// All models, in fixed blocks numbered from the request; finished blocks are taken from and added to the journal.
  std::vector<RetrainedModel> run(const std::vector<std::vector<Index>>& groups, io::Journal* journal,
                                  const Progress& progress = {});

  /// One block of at most options.block models. Each leaves when it is done, so the bits are the block's.
  std::vector<RetrainedModel> retrain_block(std::vector<std::vector<Index>> groups);

 private:
  struct State;
  void iterate(State& state, std::vector<RetrainedModel>& out);
  void step(State& state);
  /// Gradients of the models in `count` rows from `first` on: in difference form in T, or from scratch in double.
  void difference(State& state, Index first, Index count);
  void verify(State& state, Index first, Index count);
  /// What a sweep leaves out for these models.
  Removals removals(State& state, Index first, Index count);
  /// θ̂ + δ of the model in `row`.
  void place(State& state, Index row, MatrixView<double> parameters);
  /// Lets models go that are done, or that the iteration does not serve.
  void retire(State& state, std::vector<RetrainedModel>& out);
  /// These rows, in this order, become the first ones.
  void move_up(State& state, const std::vector<Index>& rows);
  void finish_by_newton(State& state, std::vector<RetrainedModel>& out);
  /// Keeps the gradient in `row` as what is left of the model's.
  void keep_left(State& state, Index row, Index model);
  /// By the factor, where Newton's method has not told.
  void measure_gains(State& state, std::vector<RetrainedModel>& out);
  std::vector<double> loss_changes(MatrixView<const double> parameters);

  Retrainable<double>& exact_;
  Retrainable<T>& fast_;
  Objective<double>& test_;
  const HessianFactor<T>& factor_;
  std::vector<double> theta_;
  Retrain retrain_;
  LeaveOneOutOptions options_;
};

}  // namespace clout
