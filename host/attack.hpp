#pragma once
// Training-set attacks (Koh & Liang 2017, section 5.2): small changes of training inputs that flip test predictions.

#include <clout/host/changed_rows.hpp>
#include <clout/host/frozen_network.hpp>
#include <optional>

namespace clout {

struct AttackOptions {
  Index steps = 100;                ///< at most
  double step = 0, box = 0;         ///< of one step, and of all together: in every coordinate of x as the model sees it
  double low = 0, high = 1;         ///< what x may be
  bool stops_when_flipped = true;   ///< an attack ends when all its test points are flipped
};

/// These training rows are changed to raise the mean loss of these test rows.
struct AttackPlan {
  std::vector<Index> rows, tests;
};

struct AttackedTest {
  double loss_before = 0, loss_after = 0;
  bool was_right = false, is_right = false;
};

struct AttackStep {
  double mean_loss = 0;  // of the tests, after the step's refit
  Index wrong = 0;       // of them
};

struct AttackResult {
  std::vector<double> inputs;         ///< [rows][d] as they ended
  std::vector<double> theta;          ///< [p] of the model refitted to them
  std::vector<AttackedTest> tests;    ///< of the plan, in its order
  std::vector<AttackStep> history;    ///< each with a refit; it ends, too, where the tests' gradient is zero in double
  double gradient_norm = 0;           ///< the largest of all refits
  double predicted_first = 0;         ///< of the mean loss by the first step: (1/n) Σ I_pert,loss·δx
  double actual_first = 0;
  double feature_distance = 0;        ///< ‖φ(x) − φ(start)‖₂, all rows together

};

/// What a model trained anew on the attacked rows says, beside the attack's own refits.
struct AttackCheck {
  bool is_from_zero = true;         ///< false: from the model before the attack, since training from zero got nowhere
  double gradient_norm = 0;
  std::vector<AttackedTest> tests{};  ///< of the plan, in its order
};

/// Mean loss after, and how many are wrong.
double mean_loss(std::span<const AttackedTest> tests);
Index count_wrong(std::span<const AttackedTest> tests);

/// Attacks on a linear model on inputs, or on what a frozen network makes of them. Each step moves every coordinate of
/// the attacked rows by ±step along I_pert,loss = −∇ₓ(s·∇θℓ), s = H⁻¹∇ℓ_test, within the box around where it was
/// (the paper's equation 5, by signs); then features, the model and s are computed again.
class Attack {
 public:
  /// `below` is null, or a network whose features the model stands on. `theta`, [p], is where training starts.
  /// tests and train are inputs, labelled.
  Attack(const Dataset<double>& train, const Dataset<double>& tests, const FrozenNetwork* below, FittedModel::Make make,
         double l2, std::vector<double> theta, double tolerance, const Progress& progress = {});

  const FittedModel& base() const { return base_; }
  /// Loss and correctness of every test row before any attack.
  const std::vector<AttackedTest>& before() const { return before_; }

  /// The `count` training rows with the largest ‖I_pert,loss‖₁ for each set of test rows, the largest first.
  std::vector<std::vector<Index>> strongest(const std::vector<std::vector<Index>>& tests, Index count,
                                            const Progress& progress = {});
  /// Plans of as many rows each, side by side. `progress` counts steps.
  std::vector<AttackResult> run(const std::vector<AttackPlan>& plans, const AttackOptions& options,
                                const Progress& progress = {});
  /// Trains anew, on data that hold `result`'s inputs in the plan's rows. Throws NotCertified as training does.
  AttackCheck check(const AttackPlan& plan, const AttackResult& result);

 private:
  struct Running;
  Index input_size() const { return train_.features(); }
  std::vector<double> features_of(const std::vector<double>& inputs) const;
  Dataset<double> as_images(const std::vector<double>& inputs) const;
  std::vector<double> features_at(std::span<const Index> rows) const;
  std::vector<std::int32_t> labels_at(std::span<const Index> rows) const;
  /// Mean ∇ℓ of test rows at θ: [p].
  std::vector<double> test_gradient(const std::vector<Index>& tests, const std::vector<double>& theta) const;
  bool is_right(const std::vector<double>& theta, Index test) const;
  /// ∇ₓ(s·∇θℓ) of each running attack's rows, and their moves.
  void move(std::vector<Running>& running, const std::vector<Index>& active, const AttackOptions& options);
  void refit(std::vector<Running>& running, ChangedRows& variants, std::vector<Index>& active,
             const AttackOptions& options);
  /// s of the active attacks; those whose tests have no gradient any more end.
  void solve(std::vector<Running>& running, ChangedRows& variants, std::vector<Index>& active);

  Dataset<double> train_, tests_;
  const FrozenNetwork* below_;
  FittedModel base_;
  std::vector<double> test_features_;
  std::unique_ptr<LinearModel<double>> on_tests_;  // at the base's θ
  std::vector<AttackedTest> before_;
};

}  // namespace clout
