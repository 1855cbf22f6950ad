#pragma once
// The sets of training examples that `retrain` leaves out, what is predicted for them, and how both are written.

#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/statistics.hpp>

namespace clout::cli {

using Groups = std::vector<std::vector<Index>>;

/// The sets of rows that --indices, --all or --groups name. Throws InvalidInput where one cannot be left out of `data`.
Groups requested_groups(const Options& options, const Dataset<double>& data);

/// The sets of a file: a JSON list of lists of training indices. Throws InvalidInput, naming the file, as above.
Groups read_groups(const std::string& path, const Dataset<double>& data);

/// Predicted change of each test loss for each set, sums of the members' scores: [groups][tests].
template <class T>
std::vector<double> predictions(Influence<T>& influence, const Groups& groups, Index tests, Index n,
                                const Options& options, const Progress& progress) {
  std::vector<double> predicted(groups.size() * static_cast<std::size_t>(tests));
  const GroupMembers members(groups, n);
  for (Index first = 0; first < tests; first += Influence<T>::kTestBlock) {
    std::vector<Index> rows;
    for (Index t = first; t < std::min(tests, first + Influence<T>::kTestBlock); ++t) rows.push_back(t);
    const auto products = influence.inverse_products(rows);
    settle(options, products.report);
    const std::vector<double> sums = influence.group_scores(products, members);
    for (std::size_t t = 0; t < rows.size(); ++t)
      for (std::size_t g = 0; g < groups.size(); ++g)
        predicted[g * static_cast<std::size_t>(tests) + static_cast<std::size_t>(first) + t] =
            sums[t * groups.size() + g];
    if (progress) progress("predict", static_cast<double>(first + std::ssize(rows)), static_cast<double>(tests));
  }
  return predicted;
}

/// "train_index,label", or for sets "group,size": the columns that name_of fills.
std::string names_header(bool by_group);
std::string name_of(const Groups& groups, std::size_t group, bool by_group, const std::vector<std::int32_t>& labels);

/// Throws InvalidInput where one of `options` is given: it would do nothing.
void expect_not_given(const Options& o, std::initializer_list<const char*> options, const std::string& why);

/// What retrain may write into its folder.
inline constexpr std::initializer_list<const char*> kRetrainResults = {"loo.csv", "actual.npy", "predicted.npy",
                                                                       "summary.json", "manifest.json"};
inline constexpr const char* kRetrainJournal = "retrain.journal";

/// Above a million pairs actual.npy and predicted.npy, [sets][tests], stand for loo.csv: writes them and says so. What an
/// earlier run left in `folder` goes away with `results`.
bool write_pairs(io::ResultFiles& results, const OutputFolder& folder, const std::vector<Index>& shape, const std::vector<double>& predicted,
                 const std::vector<double>& actual);

/// pearson, spearman and slope of more pairs than one.
void add_agreement(nlohmann::ordered_json& facts, const std::vector<double>& predicted,
                   const std::vector<double>& actual);

}  // namespace clout::cli
