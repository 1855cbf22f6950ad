#include <fmt/format.h>

#include <clout/host/io/file.hpp>
#include <clout/host/io/packed_text.hpp>
#include <clout/host/io/svmlight.hpp>
#include <limits>

namespace clout::io {
namespace {

constexpr std::string_view kExpected = "rows in SVMlight's format (plain or gzip)";
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

}  // namespace

LabelledRows read_svmlight(const std::filesystem::path& path, Index columns) {
  const std::string text = read_packed_text(path, kExpected);
  LabelledRows rows;
  rows.x.columns = columns;
  Index number = 0;
  for (const std::string_view line : lines_of(text)) {
    const std::string label = fmt::format("{}: line {}", display(path), ++number);
    const std::vector<std::string_view> fields = fields_of(line, ' ');
    rows.labels.push_back(static_cast<std::int32_t>(parse_whole(fields[0], kMost, label, "the label")));
    std::int64_t before = 0;
    for (std::size_t i = 1; i < fields.size(); ++i) {
      const std::vector<std::string_view> pair = fields_of(fields[i], ':');
      if (pair.size() != 2)
        fail(label, fmt::format("{} is no column:value; expected {}", printable(fields[i]), kExpected));
      const std::int64_t column = parse_whole(pair[0], columns, label, "a column");
      if (column <= before)
        fail(label, fmt::format("column {} follows {}; expected ascending ones from 1", column, before));
      rows.x.places.push_back(static_cast<std::uint32_t>(column - 1));
      rows.x.values.push_back(static_cast<double>(parse_whole(pair[1], kMost, label, "a value")));
      before = column;
    }
    rows.x.starts.push_back(static_cast<Index>(rows.x.values.size()));
  }
  return rows;
}

std::string svmlight_text(const LabelledRows& rows) {
  std::string text;
  for (std::size_t row = 0; row < rows.labels.size(); ++row) {
    text += std::to_string(rows.labels[row]);
    for (auto at = static_cast<std::size_t>(rows.x.starts[row]); at < static_cast<std::size_t>(rows.x.starts[row + 1]);
         ++at)
      text += fmt::format(" {}:{}", rows.x.places[at] + 1, static_cast<std::int64_t>(rows.x.values[at]));
    text += '\n';
  }
  return text;
}

}  // namespace clout::io
