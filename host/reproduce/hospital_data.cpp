#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <clout/host/io/data_folders.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/packed_text.hpp>
#include <clout/host/numpy_random.hpp>
#include <clout/host/reproduce/hospital_data.hpp>
#include <map>

namespace clout::reproduce {
namespace {

namespace fs = std::filesystem;

using Table = std::vector<std::vector<std::string_view>>;  // [rows][columns]

constexpr std::array kNumbers{"time_in_hospital",  "num_lab_procedures", "num_procedures",   "num_medications",
                              "number_outpatient", "number_emergency",   "number_inpatient", "number_diagnoses"};
constexpr std::array kCategories{"gender", "race", "age", "discharge_disposition_id", "max_glu_serum", "A1Cresult"};
constexpr std::string_view kNumbered = "discharge_disposition_id";  // sorted as an integer
constexpr std::string_view kFirstDrug = "metformin", kLastDrug = "metformin-pioglitazone";
constexpr std::array kLastCategories{"change", "diabetesMed"};
constexpr std::string_view kLabel = "readmitted", kReadmitted = "<30";
constexpr std::size_t kTrainingHalf = 10'000;
constexpr std::uint32_t kSeed = 2;
constexpr std::int64_t kLargestNumber = 1'000'000;

/// A table of text with named columns.
class Columns {
 public:
  Columns(const fs::path& path, std::string_view text) : label_(io::display(path)) {
    for (std::string_view line : io::lines_of(text)) {
      if (line.ends_with('\r')) line.remove_suffix(1);
      rows_.push_back(io::fields_of(line, ','));
    }
    names_ = rows_.front();
    rows_.erase(rows_.begin());
    for (std::size_t row = 0; row < rows_.size(); ++row)
      if (rows_[row].size() != names_.size())
        io::fail(line_label(row),
                 fmt::format("has {} fields; expected the header's {}", rows_[row].size(), names_.size()));
  }

  std::size_t size() const { return rows_.size(); }
  std::string_view field(std::size_t row, std::size_t column) const { return rows_[row][column]; }
  std::string line_label(std::size_t row) const { return fmt::format("{}: line {}", label_, row + 2); }
  const std::string& label() const { return label_; }
  std::string_view name(std::size_t column) const { return names_[column]; }
  std::size_t column(std::string_view name) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end())
      io::fail(label_, fmt::format("has no column {}; expected the table of the diabetes data set", name));
    return static_cast<std::size_t>(at - names_.begin());
  }

 private:
  std::string label_;
  std::vector<std::string_view> names_;
  Table rows_;
};

/// The indicators of a column.
struct Block {
  std::size_t column;
  std::map<std::string_view, Index> places;  // of those categories that have an indicator: which feature it is
};

std::vector<std::string_view> categories_of(const Columns& table, std::size_t column) {
  std::map<std::string_view, int> seen;
  for (std::size_t row = 0; row < table.size(); ++row) seen.try_emplace(table.field(row, column));
  std::vector<std::string_view> sorted;
  for (const auto& [category, unused] : seen) sorted.push_back(category);
  if (table.name(column) == kNumbered)
    std::sort(sorted.begin(), sorted.end(), [&](std::string_view a, std::string_view b) {
      const std::string label = table.label() + ": " + std::string(kNumbered);
      return io::parse_whole(a, kLargestNumber, label, "a category") <
             io::parse_whole(b, kLargestNumber, label, "a category");
    });
  if (sorted.size() == 2) sorted.erase(sorted.begin());  // of two categories the second says all
  return sorted;
}

std::vector<std::size_t> category_columns(const Columns& table) {
  std::vector<std::size_t> columns;
  for (const char* name : kCategories) columns.push_back(table.column(name));
  const std::size_t first = table.column(kFirstDrug), last = table.column(kLastDrug);
  for (std::size_t column = first; column <= last; ++column) columns.push_back(column);
  for (const char* name : kLastCategories) columns.push_back(table.column(name));
  return columns;
}

void split(HospitalData& data, const std::string& label) {
  std::vector<Index> halves[2];  // not readmitted, readmitted
  for (std::size_t row = 0; row < data.labels.size(); ++row)
    halves[data.labels[row]].push_back(static_cast<Index>(row));
  NumpyRandom random(kSeed);
  for (const int half : {1, 0}) {
    std::vector<Index>& rows = halves[half];
    if (rows.size() <= kTrainingHalf)
      io::fail(label, fmt::format("has {} patients {}readmitted within 30 days; expected more than {}", rows.size(),
                                  half == 1 ? "" : "not ", kTrainingHalf));
    random.shuffle(rows);
    const auto end = rows.begin() + static_cast<std::ptrdiff_t>(kTrainingHalf);
    data.train.insert(data.train.end(), rows.begin(), end);
    data.test.insert(data.test.end(), end, rows.end());
  }
  random.shuffle(data.train);
  random.shuffle(data.test);
}

}  // namespace

HospitalData read_hospital(const fs::path& csv) {
  const std::string text =
      io::read_packed_text(csv, "the table of the diabetes data set, comma-separated (plain or gzip)");
  const Columns table(csv, text);
  HospitalData data;
  std::vector<std::size_t> numbers;
  for (const char* name : kNumbers) {
    numbers.push_back(table.column(name));
    data.features.emplace_back(name);
  }
  std::vector<Block> blocks;
  for (const std::size_t column : category_columns(table)) {
    blocks.push_back({column, {}});
    for (const std::string_view category : categories_of(table, column)) {
      blocks.back().places[category] = data.width();
      data.features.push_back(fmt::format("{}_{}", table.name(column), category));
    }
  }
  const std::size_t readmitted = table.column(kLabel);
  data.x.assign(table.size() * data.features.size(), 0.0);
  for (std::size_t row = 0; row < table.size(); ++row) {
    double* const x = data.x.data() + row * data.features.size();
    for (std::size_t i = 0; i < numbers.size(); ++i)
      x[i] = static_cast<double>(
          io::parse_whole(table.field(row, numbers[i]), kLargestNumber, table.line_label(row), kNumbers[i]));
    for (const Block& block : blocks)
      if (const auto at = block.places.find(table.field(row, block.column)); at != block.places.end())
        x[at->second] = 1;
    data.labels.push_back(table.field(row, readmitted) == kReadmitted);
  }
  split(data, table.label());
  return data;
}

fs::path find_hospital(const std::optional<fs::path>& named) {
  std::vector<std::string> looked;
  for (const fs::path& folder : io::data_folders(named)) {
    for (const fs::path& place : {folder / "hospital-readmission", folder}) {
      std::error_code ignored;
      for (const char* name : {"diabetic_data.csv.gz", "diabetic_data.csv"})
        if (fs::exists(place / name, ignored)) return place / name;
      looked.push_back(io::display(place));
    }
  }
  io::fail("hospital",
           fmt::format("diabetic_data.csv.gz not found; looked in {}; expected it in one of these: name the folder "
                       "in --data, or in the environment variable CLOUT_DATA",
                       fmt::join(looked, ", ")));
}

}  // namespace clout::reproduce
