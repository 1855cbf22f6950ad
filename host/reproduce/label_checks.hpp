#pragma once
// The tables of figure 6: how much checking labels in different orders repairs.

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace clout::reproduce {

inline constexpr std::size_t kCheckCounts = 6;  // 1/20 … 6/20 of the training examples are checked, or flipped
inline constexpr std::array<const char*, 3> kCheckMethods{"influence", "loss", "random"};

/// One repeat at one level of flipped labels.
struct LabelRepeat {
  struct Check {
    double fixed;          // flipped labels among those checked
    double accuracy;       // on the test part, after fitting with these labels restored
    double gradient_norm;  // of that fit
  };
  int level = 0, number = 0;  // the level is in twentieths of the training examples
  double flipped_accuracy = 0, flipped_gradient_norm = 0;
  double residual = 0;          // largest true relative residual of the solves that check self-influence
  double value_difference = 0;  // largest difference of those values to the solves', relative to the larger of the
                                // value and the least one that is checked
  std::array<std::array<Check, kCheckCounts>, kCheckMethods.size()> checks{};  // [method][count]

  /// As a journal keeps it, and back.
  std::vector<double> numbers() const;
  static LabelRepeat from(int level, int number, const std::vector<double>& numbers);
  double worst_gradient_norm() const;
};

/// Mean over repeats, and its standard error sd/√repeats, sd with the number of repeats below it, as the paper's code
/// has it.
struct MeanError {
  double mean = 0, error = 0;
};
MeanError mean_error(const std::vector<double>& values);

/// What the tables are made of: repeats of some levels, level after level; a level's flipped labels and a check's
/// examples are multiples of `step`.
struct LabelResult {
  std::vector<LabelRepeat> repeats;
  long examples = 0, step = 0;
};

/// level,flipped,checked,checked_fraction,method,fixed_fraction,fixed_error,accuracy,accuracy_error,repeats: every
/// plotted point.
std::string points_csv(const LabelResult& result);
/// One line per repeat, method and count of checks, with the fits' gradient norms.
std::string repeats_csv(const LabelResult& result);
/// Published numbers beside measured ones, level after level (the published level alone has both).
nlohmann::ordered_json level_facts(const LabelResult& result);

/// The level of the paper's figure: 2/20 of the labels are flipped.
inline constexpr int kPublishedLevel = 2;

}  // namespace clout::reproduce
