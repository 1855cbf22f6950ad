#include <algorithm>
#include <array>
#include <clout/host/io/npy.hpp>
#include <clout/host/reproduce/attack_record.hpp>
#include <clout/host/reproduce/figure5.hpp>
#include <clout/host/reproduce/photographs.hpp>
#include <clout/host/reproduce/run.hpp>
#include <clout/models/margin_classifier.hpp>
#include <cmath>

namespace clout::reproduce {
namespace {

using Facts = nlohmann::ordered_json;

constexpr double kL2 = 1e-3, kGradientTolerance = 1e-10;
// In levels of 8 bits: the published box is half a level, of which a hair less rounds to the same byte whichever way a
// half is rounded. The other box leads as far in all 3,072 inputs together, by Euclid, as that in the published 268,203.
constexpr double kLevel = 1.0 / 255, kPublishedBox = 0.5 * (1 - 0x1p-20);
constexpr double kPublishedInputs = 268'203;
constexpr Index kSteps = 100, kGroupSteps = 2000;           // a step is
constexpr double kStepOfBox = 0.04, kGroupStepOfBox = 0.01;  // of a box
constexpr Index kTests = 200, kGroupTests = 30, kDirectTests = 16, kShown = 3, kChosen = 10, kBlock = 64;
// With --quick.
constexpr Index kQuickTests = 6, kQuickGroupSteps = 40, kQuickSteps = 20, kQuickDirectTests = 2;

/// Which of a test image's strongest training images an attack changes.
struct Kind {
  const char* name;
  Index first, count;
  bool is_quick, is_direct;
};
constexpr Kind kKinds[] = {{"1st", 0, 1, true, true},     {"2nd", 1, 1, false, false},   {"top 2", 0, 2, false, false},
                           {"top 3", 0, 3, false, false}, {"top 5", 0, 5, false, false}, {"top 10", 0, 10, true, true}};

std::array<double, 2> boxes() {
  return {kPublishedBox, 0.5 * std::sqrt(kPublishedInputs / static_cast<double>(io::kCifarPixels))};
}

std::vector<std::pair<double, Kind>> all_kinds() {
  std::vector<std::pair<double, Kind>> all;
  for (const double box : boxes())
    for (const Kind& kind : kKinds) all.emplace_back(box, kind);
  return all;
}

std::unique_ptr<LinearModel<double>> two_classes(Dataset<double> data, double l2) {
  return std::make_unique<MarginClassifier<double>>(std::move(data), MarginLoss::logistic, 1.0, false, l2);
}

class Experiment : ExperimentRun {
 public:
  explicit Experiment(const cli::Invocation& call)
      : ExperimentRun(call, {"summary.json", "figure5.csv", "group.csv", "images.npy", "manifest.json", "figure5.png",
                             "figure5.svg"}),
        photographs_(data_folder(), manifest_),
        train_(labelled_images(*device_, photographs_.train)),
        tests_(labelled_images(*device_, photographs_.test)),
        network_(feature_network(data_folder(), manifest_)) {}
  void run();

 private:
  Attack attack_on(const FrozenNetwork* below) const {
    const Index p = below ? below->features() : train_.features();
    return {train_, tests_, below, two_classes, kL2, std::vector<double>(static_cast<std::size_t>(p)), kGradientTolerance};
  }
  /// The first `count` test images, of one class or (−1) either, that the model gets right.
  std::vector<Index> right_ones(const Attack& attack, Index count, std::int32_t of_class) const;
  /// Attacks of every kind on each of these test images, by the blocks of the journal from `block` on.
  void run_series(Attack& attack, const std::string& model, const std::vector<Index>& tests, std::uint64_t block);
  std::vector<std::vector<Index>> choose(Attack& attack, const std::vector<Index>& tests, std::uint64_t block);
  std::vector<AttackRecord> run_block(Attack& attack, const std::vector<AttackPlan>& plans, double box,
                                      const Progress& steps);
  AttackRecord record(Attack& attack, const AttackPlan& plan, const AttackResult& result);
  /// One training image against many test images at once.
  void run_group(Attack& attack, const std::vector<Index>& tests, double box, std::uint64_t block);
  /// Attacks whose pictures are shown, run once more for them.
  void show(Attack& attack);
  std::vector<double> inputs_of(const std::vector<Index>& rows) const;
  Facts root_mean_square_distances(const Attack& attack) const;
  void write(const Attack& attack);
  AttackOptions options_of(double box) const {
    return {.steps = most_steps(), .step = kStepOfBox * box * kLevel, .box = box * kLevel};
  }

  Index most_steps() const { return options_.quick ? kQuickSteps : kSteps; }

  Photographs photographs_;
  Dataset<double> train_, tests_;
  FrozenNetwork network_;
  std::optional<io::Journal> journal_;
  std::vector<AttackSeries> all_;
  Facts groups_ = Facts::array(), shown_ = Facts::array(), distances_;
  std::string group_csv_ = "box,step,mean_loss,wrong\n";
  std::vector<double> pictures_;  // [shown][test, before, after][3][32][32]
  Index right_ = 0;
  double training_norm_ = 0, refits_ = 0;
};

std::vector<Index> Experiment::right_ones(const Attack& attack, Index count, std::int32_t of_class) const {
  std::vector<Index> rows;
  for (Index i = 0; i < tests_.examples() && std::ssize(rows) < count; ++i)
    if (attack.before()[static_cast<std::size_t>(i)].was_right &&
        (of_class < 0 || tests_.host_labels()[static_cast<std::size_t>(i)] == of_class))
      rows.push_back(i);
  return rows;
}

std::vector<double> Experiment::inputs_of(const std::vector<Index>& rows) const {
  std::vector<double> all;
  for (const Index row : rows) {
    const std::vector<double> x = train_.host_features(row, 1);
    all.insert(all.end(), x.begin(), x.end());
  }
  return all;
}

AttackRecord Experiment::record(Attack& attack, const AttackPlan& plan, const AttackResult& result) {
  return {result, attack.check(plan, result), inputs_of(plan.rows)};
}

std::vector<std::vector<Index>> Experiment::choose(Attack& attack, const std::vector<Index>& tests, std::uint64_t block) {
  std::vector<std::vector<Index>> chosen;
  const auto known = journal_->completed().find(block);
  if (known != journal_->completed().end()) {
    for (std::size_t first = 0; first < known->second.size(); first += kChosen)
      chosen.emplace_back(known->second.begin() + static_cast<Index>(first),
                          known->second.begin() + static_cast<Index>(first) + kChosen);
    require(chosen.size() == tests.size(), "journal: block " + std::to_string(block) + " is of another request");
    return chosen;
  }
  std::vector<std::vector<Index>> sets;
  for (const Index test : tests) sets.push_back({test});
  chosen = attack.strongest(sets, kChosen, progress());
  std::vector<double> numbers;
  for (const std::vector<Index>& rows : chosen) numbers.insert(numbers.end(), rows.begin(), rows.end());
  journal_->append(block, numbers);
  return chosen;
}

std::vector<AttackRecord> Experiment::run_block(Attack& attack, const std::vector<AttackPlan>& plans, double box,
                                                const Progress& steps) {
  const std::vector<AttackResult> results = attack.run(plans, options_of(box), steps);
  std::vector<AttackRecord> records;
  for (std::size_t a = 0; a < plans.size(); ++a) records.push_back(record(attack, plans[a], results[a]));
  return records;
}

void Experiment::run_series(Attack& attack, const std::string& model, const std::vector<Index>& tests,
                            std::uint64_t block) {
  const std::vector<std::vector<Index>> chosen = choose(attack, tests, block++);
  const auto is_wanted = [&](const Kind& kind) {
    return (!options_.quick || kind.is_quick) && (model != "pixels" || kind.is_direct);
  };
  double images = 0, changed = 0;  // of all attacks, and of those that are done
  for (const auto& [box, kind] : all_kinds())
    if (is_wanted(kind)) images += static_cast<double>(kind.count * std::ssize(tests));
  for (const auto& [box, kind] : all_kinds()) {
    if (!is_wanted(kind)) continue;
    AttackSeries series{model, kind.name, box, {}, {}};
    for (std::size_t t = 0; t < tests.size(); ++t) {
      const auto first = chosen[t].begin() + kind.first;
      series.plans.push_back({{first, first + kind.count}, {tests[t]}});
    }
    for (std::size_t first = 0; first < series.plans.size(); first += kBlock, ++block) {
      const auto count = std::min<std::size_t>(kBlock, series.plans.size() - first);
      const auto known = journal_->completed().find(block);
      const double own = static_cast<double>(kind.count) * static_cast<double>(count);
      const Progress steps = [&](const std::string&, double done, double total) {
        if (progress()) progress()("attacks on " + model, changed + own * done / total, images);
      };
      if (known == journal_->completed().end()) {
        const auto begin = series.plans.begin() + static_cast<Index>(first);
        std::vector<double> numbers;
        for (const AttackRecord& each : run_block(attack, {begin, begin + static_cast<Index>(count)}, box, steps)) {
          const std::vector<double> record = each.numbers();
          numbers.insert(numbers.end(), record.begin(), record.end());
          series.records.push_back(each);
        }
        journal_->append(block, numbers);
      } else {
        for (std::size_t a = 0; a < count; ++a)
          series.records.push_back(AttackRecord::from(
              std::span(known->second).subspan(a * AttackRecord::kNumbers, AttackRecord::kNumbers)));
      }
      changed += own;
    }
    all_.push_back(std::move(series));
  }
}

void Experiment::run_group(Attack& attack, const std::vector<Index>& tests, double box, std::uint64_t block) {
  std::vector<double> numbers;
  const auto known = journal_->completed().find(block);
  if (known != journal_->completed().end()) {
    numbers = known->second;
  } else {
    const AttackPlan plan{attack.strongest({tests}, 1, progress())[0], tests};
    const AttackOptions options{.steps = options_.quick ? kQuickGroupSteps : kGroupSteps,
                                .step = kGroupStepOfBox * box * kLevel,
                                .box = box * kLevel,
                                .stops_when_flipped = false};
    const AttackResult result = attack.run({plan}, options, progress())[0];
    numbers = record(attack, plan, result).numbers();
    numbers.push_back(static_cast<double>(plan.rows[0]));
    for (const AttackStep& step : result.history) numbers.insert(numbers.end(), {step.mean_loss, static_cast<double>(step.wrong)});
    journal_->append(block, numbers);
  }
  const AttackRecord own = AttackRecord::from(std::span(numbers).first(AttackRecord::kNumbers));
  for (std::size_t i = AttackRecord::kNumbers + 1, step = 1; i + 1 < numbers.size(); i += 2, ++step)
    group_csv_ += cli::number_text(box, 17) + "," + std::to_string(step) + "," + cli::number_text(numbers[i], 17) + "," + std::to_string(static_cast<Index>(numbers[i + 1])) + "\n";
  refits_ += own.steps + 1;
  groups_.push_back({{"box", box},
                     {"train_index", static_cast<Index>(numbers[AttackRecord::kNumbers])},
                     {"test_class", "dog"},
                     {"test_images", tests.size()},
                     {"steps", own.steps},
                     {"step", kGroupStepOfBox * box},
                     {"flipped", own.wrong},
                     {"flipped_anew", own.check_wrong},
                     {"mean_loss_before", own.loss_before},
                     {"mean_loss_after", own.loss_after},
                     {"mean_loss_anew", own.check_loss},
                     {"max_gradient_norm", std::max(own.refit_norm, own.check_norm)}});
}

void Experiment::show(Attack& attack) {
  std::vector<AttackPlan> plans;
  double box = 0;
  for (const AttackSeries& series : all_) {  // the smallest box and the fewest images that flip any
    if (series.model != "network" || !plans.empty()) continue;
    box = series.box;
    for (std::size_t a = 0; a < series.plans.size() && std::ssize(plans) < kShown; ++a)
      if (series.records[a].check_wrong > 0) plans.push_back(series.plans[a]);
  }
  if (plans.empty()) return;
  const std::vector<AttackResult> results = attack.run(plans, options_of(box), progress());
  for (std::size_t a = 0; a < plans.size(); ++a) {
    const Index test = plans[a].tests[0], row = plans[a].rows[0];
    const auto name = [](std::int32_t label) { return label == 1 ? "ship" : "dog"; };
    const std::vector<double> before = train_.host_features(row, 1), image = tests_.host_features(test, 1);
    for (const std::vector<double>* picture : {&image, &before, &results[a].inputs})  // of several images, the strongest
      pictures_.insert(pictures_.end(), picture->begin(), picture->begin() + train_.features());
    shown_.push_back({{"test_index", test},
                      {"test_class", name(tests_.host_labels()[static_cast<std::size_t>(test)])},
                      {"train_index", row},
                      {"train_class", name(train_.host_labels()[static_cast<std::size_t>(row)])},
                      {"training_images", plans[a].rows.size()},
                      {"box", box},
                      {"steps", results[a].history.size()},
                      {"probability_before", std::exp(-results[a].tests[0].loss_before)},
                      {"probability_after", std::exp(-results[a].tests[0].loss_after)}});
  }
}

// Of two training images drawn at random: twice the variance, summed over coordinates.
Facts Experiment::root_mean_square_distances(const Attack& attack) const {
  const auto of = [&](const std::vector<double>& values, Index width) {
    const auto n = static_cast<double>(train_.examples());
    double sum = 0;
    for (Index f = 0; f < width; ++f) {
      double mean = 0, square = 0;
      for (Index i = 0; i < train_.examples(); ++i) mean += values[static_cast<std::size_t>(i * width + f)] / n;
      for (Index i = 0; i < train_.examples(); ++i) square += std::pow(values[static_cast<std::size_t>(i * width + f)] - mean, 2) / n;
      sum += 2 * square;
    }
    return std::sqrt(sum);
  };
  return {{"pixels", of(train_.host_features(0, train_.examples()), train_.features())},
          {"features", of(attack.base().features(), network_.features())}};
}

void Experiment::write(const Attack& attack) {
  Facts series = Facts::array();
  double norm = training_norm_;
  for (const Facts& group : groups_) norm = std::max(norm, group["max_gradient_norm"].get<double>());
  for (const AttackSeries& each : all_) {
    series.push_back(series_facts(each));
    refits_ += series.back()["refits"].get<double>() + series.back()["test_images"].get<double>();
    norm = std::max({norm, series.back()["max_gradient_norm"].get<double>(), series.back()["max_gradient_norm_anew"].get<double>()});
  }
  double right = 0;
  for (const AttackedTest& test : attack.before()) right += test.was_right ? 1 : 0;
  const Facts facts{{"figure", "figure5"},
                    {"quick", options_.quick},
                    {"n_train", train_.examples()},
                    {"n_test", tests_.examples()},
                    {"n_params", network_.features()},
                    {"l2", kL2},
                    {"features", std::string(kFeatureNetwork) + ", trained on eight other classes"},
                    {"test_accuracy", right / static_cast<double>(tests_.examples())},
                    {"step_of_box", kStepOfBox},
                    {"most_steps", most_steps()},
                    {"refits", refits_},
                    {"max_gradient_norm", norm},
                    {"attacks", series},
                    {"groups", groups_},
                    {"root_mean_square_distances", distances_},
                    {"shown", shown_}};
  io::ResultFiles results;
  results.add(folder_ / "figure5.csv", attacks_csv(all_));
  results.add(folder_ / "group.csv", group_csv_);
  io::write_npy(results.add(folder_ / "images.npy"), {std::ssize(shown_), 3, 3, 32, 32}, std::span<const double>(pictures_));
  finish(results, facts, "figure5",
         {"--points", folder_ / "figure5.csv", "--group", folder_ / "group.csv", "--images", folder_ / "images.npy",
          "--summary", folder_ / "summary.json", "--out", folder_.path()});
}

void Experiment::run() {
  journal_.emplace(open_journal("figure5", {{"experiment", "figure5"}}));
  const cli::EmptyJournal nothing_yet{*journal_};
  Attack on_features = attack_on(&network_);
  distances_ = root_mean_square_distances(on_features);
  training_norm_ = on_features.base().gradient_norm();
  seconds_["train"] = watch_.lap();
  run_series(on_features, "network", right_ones(on_features, options_.quick ? kQuickTests : kTests, -1), 0);
  seconds_["attacks"] = watch_.lap();
  for (std::uint64_t b = 0; b < 2; ++b)
    run_group(on_features, right_ones(on_features, kGroupTests, 0), boxes()[b], 1000 + b);
  seconds_["group"] = watch_.lap();
  Attack on_pixels = attack_on(nullptr);
  run_series(on_pixels, "pixels", right_ones(on_pixels, options_.quick ? kQuickDirectTests : kDirectTests, -1), 2000);
  seconds_["pixels"] = watch_.lap();
  show(on_features);
  write(on_features);
  journal_->finish();
}

}  // namespace

void figure5(const cli::Invocation& call) { Experiment(call).run(); }

}  // namespace clout::reproduce
