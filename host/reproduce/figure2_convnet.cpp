#include <clout/engine/influence.hpp>
#include <clout/engine/proximal.hpp>
#include <clout/engine/spectrum.hpp>
#include <clout/engine/training.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/fine_tuning.hpp>
#include <clout/host/io/data_folders.hpp>
#include <clout/host/network_score.hpp>
#include <clout/host/quasi_newton.hpp>
#include <clout/host/reproduce/checkpoint.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/host/reproduce/figure2_convnet.hpp>
#include <clout/host/reproduce/network_tables.hpp>
#include <clout/host/reproduce/run.hpp>
#include <cmath>
#include <numeric>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;
using Groups = std::vector<std::vector<Index>>;

// The paper's setting (figure 2, right), and the honest ones beside it.
constexpr double kL2 = 0.001, kDamping = 0.01;
constexpr Index kTestIndex = 6558;
constexpr Index kRemoved = 100, kRandomRemoved = 30, kRandomTests = 100;
constexpr Index kSteps = 30'000;
constexpr double kTolerance = 1e-10;  // of residuals, and of gradient norms of the proximal objectives
constexpr const char* kCheckpoint = "convnet-seed0";
// Models side by side. Few with Adam, where a block takes minutes, so that a killed run loses little.
constexpr Index kAdamModels = 5, kProximalModels = 10;
constexpr std::uint64_t kRowsBlock = std::uint64_t{1} << 32;  // behind all blocks of models

template <class T>
class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call, kFigure2Results),
        removed_(options_.quick ? 10 : kRemoved),
        random_removed_(options_.quick ? 5 : kRandomRemoved),
        random_tests_(options_.quick ? 10 : kRandomTests),
        steps_(options_.quick ? 300 : kSteps) {
    if (options_.adam_points > removed_)
      throw InvalidInput("--adam-points: " + std::to_string(options_.adam_points) + "; expected 2 to " +
                         std::to_string(removed_) + (options_.quick ? " with --quick" : ""));
  }

  void run() {
    load();
    io::Journal adam = open_journal("retrain"), proximal = open_journal("proximal"), pbrf = open_journal("pbrf");
    factorise();
    const std::vector<double> hessian_scores = predict(*exact_, hessian_factor_, hessian_report_);
    choose(hessian_scores);
    for (io::Journal* journal : {&adam, &proximal, &pbrf}) expect_rows(*journal);
    retrain_proximal(*exact_, *hessian_factor_, hessian_scores, ProximalKind::objective, proximal, result_.proximal);
    retrain_divergence(pbrf);
    fine_tune_all(hessian_scores, adam);
    write();
    for (io::Journal* journal : {&adam, &proximal, &pbrf}) journal->finish();
  }

 private:
  using Factor = std::shared_ptr<const HessianFactor<double>>;

  void load();
  io::Journal open_journal(const std::string& name);
  void factorise();
  std::vector<double> predict(ConvNet<double>& net, const Factor& factor, SolveReport& report);
  void choose(const std::vector<double>& scores);
  void expect_rows(io::Journal& journal) const;
  void retrain_proximal(ConvNet<double>& net, const HessianFactor<double>& factor, const std::vector<double>& scores,
                        ProximalKind kind, io::Journal& journal, Retraining& result);
  void retrain_divergence(io::Journal& journal);
  void fine_tune_all(const std::vector<double>& scores, io::Journal& journal);
  std::vector<double> chosen_scores(const std::vector<double>& scores) const;
  Groups groups(Index count) const;
  Index adam_points() const {
    return options_.adam_points > 0 ? options_.adam_points : static_cast<Index>(result_.removed.size());
  }
  Facts summary();
  void write();

  Index removed_, random_removed_, random_tests_, steps_;

  std::unique_ptr<Dataset<double>> data_, tests_data_, all_tests_data_;
  std::unique_ptr<ConvNet<double>> exact_, tests_, all_tests_;
  Checkpoint checkpoint_;
  Spectrum spectrum_;
  double damping_ = 0;
  Factor hessian_factor_;
  SolveReport hessian_report_, gauss_newton_report_;
  std::vector<double> changes_;  // [removed][all tests], Adam's, the control's taken off
  NetworkResult result_;
};

template <class T>
void Experiment<T>::load() {
  const std::optional<std::filesystem::path> named = data_folder();
  const std::filesystem::path folder = io::find_mnist(named);
  const io::Mnist mnist = io::load_mnist(named);
  for (const auto& path : io::mnist_files(folder)) manifest_.add_input(path);
  const std::vector<Index> subset = io::read_small_subset(folder);
  manifest_.add_input(io::small_subset_file(folder));
  const io::MnistSplit split = io::paper_split(mnist);
  result_.tests = test_rows(kTestIndex, split.test.count, random_tests_, options_.seed);
  data_ = std::make_unique<Dataset<double>>(images_at(*device_, split.train, subset));
  const NetworkShape shape = paper_network();
  exact_ = std::make_unique<ConvNet<double>>(*data_, shape, kL2);
  tests_ = std::make_unique<ConvNet<double>>(images_at(*device_, split.test, result_.tests), shape, 0.0);
  all_tests_ = std::make_unique<ConvNet<double>>(all_images(*device_, split.test), shape, 0.0);

  const std::filesystem::path place =
      options_.checkpoint.empty() ? io::find_model(kCheckpoint, named) : std::filesystem::path(options_.checkpoint);
  checkpoint_ = read_checkpoint(place, exact_->parameters(), manifest_);
  const Buffer<double> theta(*device_, std::span<const double>(checkpoint_.state.parameters));
  for (ConvNet<double>* net : {exact_.get(), tests_.get(), all_tests_.get()})
    net->set_parameters(theta.view(1, net->parameters()));
  seconds_["load"] = watch_.lap();
}

// LAPACK's factor is in the bits of the proximal minima, and the number of threads in LAPACK's; Adam's steps are the
// same for any number.
template <class T>
io::Journal Experiment<T>::open_journal(const std::string& name) {
  const DeviceInfo device = device_->info();
  Facts factor = Facts::object();
  if (name != "retrain") factor = {{"libraries", device.libraries}, {"threads", device.threads}};
  return ExperimentRun::open_journal(name, {{"figure", "figure2"}, {"panel", "convnet"}, {"version", CLOUT_VERSION}, {"retraining", name}},
                                     factor);
}

// With the paper's damping where it makes the Hessian positive definite; else with what lifts the smallest eigenvalue
// to as far above it as it is below zero. One assembled Hessian serves the eigenvalues and the factor.
template <class T>
void Experiment<T>::factorise() {
  const Index p = exact_->parameters();
  Buffer<double> hessian(*device_, p * p);
  progress()("explicit Hessian", 0, 3);
  exact_->explicit_hessian(0.0, hessian.view(p, p));
  progress()("eigenvalues", 1, 3);
  spectrum_ = spectrum(*device_, hessian.view(p, p));
  const double smallest = spectrum_.smallest();
  damping_ = smallest + kDamping > spectrum_.rounding ? kDamping : kDamping - 2 * smallest;
  hessian_factor_ = std::make_shared<HessianFactor<double>>(*exact_, std::move(hessian), damping_, progress());
  seconds_["spectrum"] = watch_.lap();
}

template <class T>
std::vector<double> Experiment<T>::predict(ConvNet<double>& net, const Factor& factor, SolveReport& report) {
  const auto solver = make_direct_solver<double>(factor, net, damping_, kTolerance, progress());
  Influence<double> influence(net, *tests_, *solver, checkpoint_.state.parameters);
  std::vector<Index> all(result_.tests.size());
  std::iota(all.begin(), all.end(), Index{0});
  auto scores = influence.scores(all, progress());
  require_certified(scores.report);
  report = std::move(scores.report);
  return std::move(scores.values);
}

template <class T>
void Experiment<T>::choose(const std::vector<double>& scores) {
  const std::span<const double> first(scores.data(), static_cast<std::size_t>(data_->examples()));
  result_.removed = removed_rows(first, removed_, random_removed_, options_.seed);
  result_.influential = removed_;
  for (const Index row : result_.removed) result_.labels.push_back(data_->host_labels()[static_cast<std::size_t>(row)]);
  seconds_["predict"] = watch_.lap();
}

// A journal's blocks are of rows by their number in the choice, which another LAPACK may take otherwise at a near tie.
template <class T>
void Experiment<T>::expect_rows(io::Journal& journal) const {
  const std::vector<double> rows(result_.removed.begin(), result_.removed.end());
  const auto& completed = journal.completed();
  if (!completed.contains(kRowsBlock)) return journal.append(kRowsBlock, rows);
  if (completed.at(kRowsBlock) != rows)
    throw InvalidInput(folder_.path().string() + ": its journals are of other training points than are chosen now; expected "
                       "the same: delete them to start again, or choose another --out");
}

// The scores of the removed rows, [removed][tests].
template <class T>
std::vector<double> Experiment<T>::chosen_scores(const std::vector<double>& scores) const {
  std::vector<double> chosen;
  for (const Index row : result_.removed)
    for (std::size_t t = 0; t < result_.tests.size(); ++t)
      chosen.push_back(scores[t * static_cast<std::size_t>(data_->examples()) + static_cast<std::size_t>(row)]);
  return chosen;
}

template <class T>
Groups Experiment<T>::groups(Index count) const {
  Groups groups;
  for (Index j = 0; j < count; ++j) groups.push_back({result_.removed[static_cast<std::size_t>(j)]});
  return groups;
}

template <class T>
void Experiment<T>::retrain_proximal(ConvNet<double>& net, const HessianFactor<double>& factor,
                                     const std::vector<double>& scores, ProximalKind kind, io::Journal& journal,
                                     Retraining& result) {
  const std::vector<double>& theta = checkpoint_.state.parameters;
  Proximal objective(net, theta, damping_, kind);
  const auto by_quasi_newton = [&](const std::vector<Index>& group, std::vector<double>& from) {
    const Removals removals(*device_, {group}, data_->examples());
    return minimize(objective, removals, factor, from, {.tolerance = kTolerance});
  };
  LeaveOneOut<double> retraining(objective, objective, *tests_, factor, theta, by_quasi_newton,
                                 {.tolerance = kTolerance, .block = kProximalModels});
  result.predicted = chosen_scores(scores);
  for (const RetrainedModel& model : retraining.run(groups(static_cast<Index>(result_.removed.size())), &journal, progress())) {
    if (!(model.gradient_norm <= kTolerance))
      throw NotCertified("reproduce: a proximal objective was minimised to a gradient norm of " +
                         cli::number_text(model.gradient_norm, 3) + "; expected at most 1e-10");
    result.actual.insert(result.actual.end(), model.loss_change.begin(), model.loss_change.end());
    result.gradient_norms.push_back(model.gradient_norm);
  }
  seconds_[kind == ProximalKind::objective ? "proximal" : "pbrf"] = watch_.lap();
}

template <class T>
void Experiment<T>::retrain_divergence(io::Journal& journal) {
  ConvNet<double> net(*data_, exact_->shape(), kL2, Curvature::gauss_newton);
  const Buffer<double> theta(*device_, std::span<const double>(checkpoint_.state.parameters));
  net.set_parameters(theta.view(1, net.parameters()));
  const auto factor = std::make_shared<HessianFactor<double>>(net, damping_, progress());
  const std::vector<double> scores = predict(net, factor, gauss_newton_report_);
  seconds_["predict_gauss_newton"] = watch_.lap();
  retrain_proximal(net, *factor, scores, ProximalKind::divergence, journal, result_.pbrf);
}

template <class T>
void Experiment<T>::fine_tune_all(const std::vector<double>& scores, io::Journal& journal) {
  const auto rounded = [](const std::vector<double>& values) { return std::vector<T>(values.begin(), values.end()); };
  const AdamState<double>& state = checkpoint_.state;
  const AdamState<T> start{state.step, rounded(state.parameters), rounded(state.first_moments),
                           rounded(state.second_moments)};
  ConvNet<T> net(data_->template as<T>(), exact_->shape(), kL2);
  const FineTuningOptions options{.adam = checkpoint_.options, .steps = steps_, .block = kAdamModels};
  const FineTuned tuned = fine_tune<T>(net, *all_tests_, start, groups(adam_points()), options, &journal, progress());

  result_.adam.predicted = chosen_scores(scores);
  const auto at = [&](Index test) { return static_cast<std::size_t>(result_.tests[static_cast<std::size_t>(test)]); };
  for (const std::vector<double>& model : tuned.models) {
    for (std::size_t t = 0; t < model.size(); ++t) changes_.push_back(model[t] - tuned.controls[0][t]);
    for (Index t = 0; t < static_cast<Index>(result_.tests.size()); ++t)
      result_.adam.actual.push_back(model[at(t)] - tuned.controls[0][at(t)]);
  }
  for (const std::vector<double>& control : tuned.controls)
    for (Index t = 0; t < static_cast<Index>(result_.tests.size()); ++t) result_.controls.push_back(control[at(t)]);
  seconds_["retrain"] = watch_.lap();
}

template <class T>
Facts Experiment<T>::summary() {
  const std::vector<double>& theta = checkpoint_.state.parameters;
  const Index p = exact_->parameters();
  const Buffer<double> on_device(*device_, std::span<const double>(theta));
  const NetworkScore train = network_score(*exact_, theta), test = network_score(*all_tests_, theta);
  Facts facts{
      {"figure", "figure2"},
      {"panel", "convnet"},
      {"quick", options_.quick},
      {"n_train", data_->examples()},
      {"n_params", p},
      {"l2", kL2},
      {"test_index", kTestIndex},
      {"n_removed", removed_},
      {"checkpoint",
       {{"steps", checkpoint_.state.step},
        {"seed", checkpoint_.options.seed},
        {"gradient_norm", gradient_norm(*exact_)}}},
      {"retraining_steps", steps_},
      {"n_adam", std::min(adam_points(), removed_)},
      {"damping", damping_},
      {"published_damping", kDamping},
      {"hessian",
       {{"smallest", spectrum_.smallest()}, {"largest", spectrum_.largest()}, {"negative", spectrum_.negative()}}},
      {"solver", hessian_report_.solver},
      {"objective", objective_value<double>(*exact_, on_device.view(1, p))},
      {"train_loss", train.loss},
      {"test_loss", test.loss},
      {"train_accuracy", train.accuracy},
      {"test_accuracy", test.accuracy},
      {"published_pearson", 0.875}};
  RandomSequence random(options_.seed, RandomStream::bootstrap);
  facts.update(agreement_facts(result_, random));
  facts["max_relative_residual"] =
      std::max(hessian_report_.max_relative_residual(), gauss_newton_report_.max_relative_residual());
  return facts;
}

template <class T>
void Experiment<T>::write() {
  Facts facts = summary();
  io::ResultFiles results;
  results.add(folder_ / "loo.csv", influential_csv(result_));
  results.add(folder_ / "loo_random.csv", random_csv(result_));
  RandomSequence random(options_.seed + 1, RandomStream::bootstrap);
  std::vector<TestAgreement> per_test;
  if (adam_points() == static_cast<Index>(result_.removed.size())) {
    facts["random"]["adam"] = random_facts(result_, result_.adam, random, per_test);
    results.add(folder_ / "random_tests.csv", tests_csv(per_test));
  }
  std::vector<TestAgreement> not_written;
  facts["random"]["proximal"] = random_facts(result_, result_.proximal, random, not_written);
  facts["random"]["pbrf"] = random_facts(result_, result_.pbrf, random, not_written);
  cli::write_values<double>(results, folder_ / "changes.npy",
                            {adam_points(), all_tests_->examples()}, changes_);
  finish(results, std::move(facts), "figure2_convnet", figure2_arguments(folder_.path()));
}

}  // namespace

template <class T>
void figure2_convnet(const cli::Invocation& call) {
  Experiment<T>(call).run();
}
template void figure2_convnet<float>(const cli::Invocation&);
template void figure2_convnet<double>(const cli::Invocation&);

}  // namespace clout::reproduce
