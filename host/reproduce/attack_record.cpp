#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/reproduce/attack_record.hpp>
#include <clout/host/statistics.hpp>
#include <cmath>

namespace clout::reproduce {

AttackRecord::AttackRecord(const AttackResult& result, const AttackCheck& check, std::span<const double> start)
    : steps(static_cast<double>(result.history.size())),
      wrong(static_cast<double>(count_wrong(result.tests))),
      loss_after(mean_loss(result.tests)),
      predicted_first(result.predicted_first),
      actual_first(result.actual_first),
      refit_norm(result.gradient_norm),
      check_wrong(static_cast<double>(count_wrong(check.tests))),
      check_loss(mean_loss(check.tests)),
      check_norm(check.gradient_norm),
      feature_distance(result.feature_distance) {
  for (const AttackedTest& test : result.tests)
    loss_before += test.loss_before / static_cast<double>(result.tests.size());
  for (std::size_t i = 0; i < start.size(); ++i) {
    change = std::max(change, std::abs(result.inputs[i] - start[i]));
    distance = std::hypot(distance, result.inputs[i] - start[i]);
  }
}

std::vector<double> AttackRecord::numbers() const {
  return {steps,       wrong,      loss_before, loss_after, predicted_first, actual_first,    refit_norm,
          check_wrong, check_loss, check_norm,  change,     distance,        feature_distance};
}

AttackRecord AttackRecord::from(std::span<const double> numbers) {
  require(numbers.size() == kNumbers, "journal: a record of " + std::to_string(numbers.size()) + " numbers; expected " +
                                          std::to_string(kNumbers) + ", of the same request as before");
  AttackRecord record;
  double* const fields[kNumbers] = {&record.steps,           &record.wrong,        &record.loss_before,
                                    &record.loss_after,      &record.predicted_first, &record.actual_first,
                                    &record.refit_norm,      &record.check_wrong,  &record.check_loss,
                                    &record.check_norm,      &record.change,       &record.distance,
                                    &record.feature_distance};
  for (std::size_t i = 0; i < kNumbers; ++i) *fields[i] = numbers[i];
  return record;
}

std::string attacks_csv(const std::vector<AttackSeries>& all) {
  const auto number = [](double value) { return "," + cli::number_text(value, 17); };
  std::string text =
      "model,attack,box,test_index,train_indices,flipped,steps,loss_before,loss_after,flipped_anew,loss_anew,"
      "predicted_first,actual_first,refit_gradient_norm,gradient_norm_anew,largest_change,pixel_distance,"
      "feature_distance\n";
  for (const AttackSeries& series : all)
    for (std::size_t a = 0; a < series.records.size(); ++a) {
      const AttackRecord& r = series.records[a];
      text += series.model + "," + series.kind + number(series.box) + "," + std::to_string(series.plans[a].tests[0]) + ",";
      for (std::size_t i = 0; i < series.plans[a].rows.size(); ++i)
        text += (i > 0 ? " " : "") + std::to_string(series.plans[a].rows[i]);
      for (const double value : {r.wrong, r.steps, r.loss_before, r.loss_after, r.check_wrong, r.check_loss,
                                 r.predicted_first, r.actual_first, r.refit_norm, r.check_norm, r.change, r.distance,
                                 r.feature_distance})
        text += number(value);
      text += "\n";
    }
  return text;
}

nlohmann::ordered_json series_facts(const AttackSeries& series) {
  double flipped = 0, anew = 0, refits = 0, refit_norm = 0, check_norm = 0, change = 0, difference = 0;
  std::vector<double> predicted, actual, distances, feature_distances, steps;
  for (const AttackRecord& r : series.records) {
    flipped += r.wrong;
    anew += r.check_wrong;
    refits += r.steps + 1;
    refit_norm = std::max(refit_norm, r.refit_norm);
    check_norm = std::max(check_norm, r.check_norm);
    change = std::max(change, r.change);
    difference = std::max(difference, std::abs(r.check_loss - r.loss_after));
    predicted.push_back(r.predicted_first);
    actual.push_back(r.actual_first);
    distances.push_back(r.distance);
    feature_distances.push_back(r.feature_distance);
    if (r.wrong > 0) steps.push_back(r.steps);
  }
  const auto count = static_cast<double>(series.records.size());
  const Agreement first = agreement(predicted, actual);
  nlohmann::ordered_json facts{{"model", series.model},
                               {"attack", series.kind},
                               {"box", series.box},
                               {"training_images", series.plans[0].rows.size()},
                               {"test_images", series.records.size()},
                               {"flipped", flipped},
                               {"share_flipped", flipped / count},
                               {"flipped_anew", anew},
                               {"share_flipped_anew", anew / count},
                               {"refits", refits},
                               {"max_gradient_norm", refit_norm},
                               {"max_gradient_norm_anew", check_norm},
                               {"max_loss_difference_anew", difference},
                               {"largest_change", change},
                               {"median_pixel_distance", quantile(distances, 0.5)},
                               {"median_feature_distance", quantile(feature_distances, 0.5)},
                               {"first_step", {{"pearson", first.pearson}, {"slope", first.slope}}}};
  if (!steps.empty()) facts["median_steps_to_flip"] = quantile(steps, 0.5);
  return facts;
}

}  // namespace clout::reproduce
