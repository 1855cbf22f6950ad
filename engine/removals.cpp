#include <algorithm>
#include <clout/engine/removals.hpp>
#include <string>
#include <utility>

namespace clout {

Removals::Removals(Device& device, std::vector<std::vector<Index>> groups, Index examples)
    : groups_(std::move(groups)) {
  std::vector<std::pair<Index, std::int32_t>> pairs;
  for (std::size_t model = 0; model < groups_.size(); ++model)
    for (const Index row : groups_[model]) {
      require(row >= 0 && row < examples, "example to remove: index " + std::to_string(row) +
                                              " is out of range; expected 0 to " + std::to_string(examples - 1));
      pairs.emplace_back(row, static_cast<std::int32_t>(model));
    }
  std::sort(pairs.begin(), pairs.end());
  const auto twice = std::adjacent_find(pairs.begin(), pairs.end());
  require(twice == pairs.end(), twice == pairs.end() ? "" : "example to remove: index " + std::to_string(twice->first) +
                                                                " stands twice in one set; expected each once");
  std::vector<Index> rows;
  std::vector<std::int32_t> models;
  for (const auto& [row, model] : pairs) {
    rows.push_back(row);
    models.push_back(model);
  }
  rows_ = Buffer<Index>(device, std::span<const Index>(rows));
  models_ = Buffer<std::int32_t>(device, std::span<const std::int32_t>(models));
}

Exclusions Removals::exclusions() const { return {rows_.data(), models_.data(), rows_.size()}; }

}  // namespace clout
