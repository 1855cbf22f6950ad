#include <clout/host/cli/removed_sets.hpp>
#include <clout/host/io/json_text.hpp>
#include <clout/host/io/npy.hpp>

namespace clout::cli {
namespace {

// Above this many pairs loo.csv gives way to arrays.
constexpr Index kMostCsvPairs = 1'000'000;

Groups groups_from_json(const std::string& path) {
  const std::string expected = "a JSON list of lists of training indices";
  const std::string text = io::read_text(path, expected);
  const nlohmann::json lists = naming(path, [&] { return io::parse_json(text, expected); });
  if (!lists.is_array()) throw InvalidInput(path + ": is no list; expected " + expected);
  for (const auto& list : lists) {
    if (!list.is_array()) throw InvalidInput(path + ": " + list.dump() + " is no list; expected " + expected);
    for (const auto& index : list)
      if (!index.is_number_integer() || (index.is_number_unsigned() && index.get<std::uint64_t>() > INT64_MAX))
        throw InvalidInput(path + ": " + index.dump() + " is no index; expected integers in lists of training indices");
  }
  return lists.get<Groups>();
}

/// Throws InvalidInput, beginning with `source`, where a set cannot be left out of `data`.
void check_group(const std::string& source, const std::vector<Index>& group, const Dataset<double>& data) {
  if (group.empty()) throw InvalidInput(source + ": has an empty set; expected at least one index in each");
  for (const Index i : group)
    if (i < 0 || i >= data.examples())
      throw InvalidInput(source + ": index " + std::to_string(i) + " is out of range; expected 0 to " +
                         std::to_string(data.examples() - 1));
  std::vector<Index> sorted(group);
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    throw InvalidInput(source + ": index " + std::to_string(*twice) + " stands twice in one set; expected each once");
  // From the other side, so that small weights beside large ones are not lost.
  double weight = 0, left = 0;
  for (const Index i : group) weight += data.weight(i);
  if (weight < 0.5 * data.total_weight()) return;
  for (Index i = 0; i < data.examples(); ++i)
    if (!std::binary_search(sorted.begin(), sorted.end(), i)) left += data.weight(i);
  if (!(left > 0))
    throw InvalidInput(source + ": a set of " + std::to_string(group.size()) +
                       " examples has all the weight there is; something must stay");
}

void check_groups(const std::string& source, const Groups& groups, const Dataset<double>& data) {
  if (groups.empty()) throw InvalidInput(source + ": is empty; expected at least one index");
  for (const auto& group : groups) check_group(source, group, data);
}

}  // namespace

Groups read_groups(const std::string& path, const Dataset<double>& data) {
  Groups groups = groups_from_json(path);
  check_groups(path, groups, data);
  return groups;
}

Groups requested_groups(const Options& o, const Dataset<double>& data) {
  const Index n = data.examples();
  if (o.model == "convnet" && o.retraining == "adam") check_batch(o, n);
  if (!o.groups.empty()) return read_groups(o.groups, data);
  if (!o.all && o.indices.empty())
    throw InvalidInput("retrain: nothing to leave out is named; expected --indices, --all or --groups");
  Groups groups;
  if (o.all) {
    for (Index i = 0; i < n; ++i) groups.push_back({i});
  } else {
    for (const Index i : read_integers(o.indices, "indices")) groups.push_back({i});
  }
  check_groups(o.all ? "--all" : o.indices, groups, data);
  return groups;
}

void expect_not_given(const Options& o, std::initializer_list<const char*> options, const std::string& why) {
  for (const char* option : options)
    if (o.is_given(option)) throw InvalidInput(std::string(option) + ": would do nothing (" + why + "); expected none");
}

std::string names_header(bool by_group) { return by_group ? "group,size" : "train_index,label"; }

std::string name_of(const Groups& groups, std::size_t group, bool by_group, const std::vector<std::int32_t>& labels) {
  const std::vector<Index>& set = groups[group];
  if (by_group) return std::to_string(group) + "," + std::to_string(set.size());
  return std::to_string(set[0]) + "," + std::to_string(labels[static_cast<std::size_t>(set[0])]);
}

bool write_pairs(io::ResultFiles& results, const OutputFolder& folder, const std::vector<Index>& shape,
                 const std::vector<double>& predicted, const std::vector<double>& actual) {
  folder.supersede_earlier(results);
  if (shape[0] * shape[1] <= kMostCsvPairs) return false;
  write_values<double>(results, folder / "actual.npy", shape, actual);
  write_values<double>(results, folder / "predicted.npy", shape, predicted);
  return true;
}

void add_agreement(nlohmann::ordered_json& facts, const std::vector<double>& predicted,
                   const std::vector<double>& actual) {
  if (actual.size() < 2) return;
  const Agreement agree = agreement(predicted, actual);
  facts["pearson"] = agree.pearson;
  facts["spearman"] = agree.spearman;
  facts["slope"] = agree.slope;
}

}  // namespace clout::cli
