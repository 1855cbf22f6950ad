#pragma once
// What figure 5 keeps of its attacks: records, tables, counts.

#include <clout/host/attack.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace clout::reproduce {

/// How one attack went, and what training anew says of it.
struct AttackRecord {
  double steps = 0, wrong = 0;             ///< wrong: of its test images, after the last refit
  double loss_before = 0, loss_after = 0;  ///< means over them
  double predicted_first = 0, actual_first = 0;
  double refit_norm = 0;                   ///< the largest gradient norm of all refits
  double check_wrong = 0, check_loss = 0, check_norm = 0;
  double change = 0;                       ///< largest of a coordinate
  double distance = 0;                     ///< ‖x − start‖₂ of the attacked images together
  double feature_distance = 0;

  AttackRecord() = default;
  /// `start`: the attacked images before, [rows][d].
  AttackRecord(const AttackResult& result, const AttackCheck& check, std::span<const double> start);
  /// As a journal has it, and back.
  static constexpr std::size_t kNumbers = 13;
  std::vector<double> numbers() const;
  static AttackRecord from(std::span<const double> numbers);
};

/// Attacks of one kind, each on one test image.
struct AttackSeries {
  std::string model, kind;  // "network" or "pixels"; which training images: "1st", "2nd", "top 2", …
  double box = 0;           // in levels of 8 bits
  std::vector<AttackPlan> plans;
  std::vector<AttackRecord> records;
};

/// figure5.csv: a row for each attack.
std::string attacks_csv(const std::vector<AttackSeries>& all);
/// Shares, refits, distances, agreement of the first steps' predictions with what happened.
nlohmann::ordered_json series_facts(const AttackSeries& series);

}  // namespace clout::reproduce
