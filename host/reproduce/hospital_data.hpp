#pragma once
// The hospital patients of section 5.3: the original table as the paper's design matrix, and its split.

#include <clout/kernels/matrix_view.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace clout::reproduce {

/// Rows are those of the table; `train` and `test` are row numbers in the paper's order.
struct HospitalData {
  std::vector<std::string> features;  // [d] names
  std::vector<double> x;              // [n][d], unscaled
  std::vector<std::int32_t> labels;   // [n]; 1: readmitted within 30 days
  std::vector<Index> train, test;

  Index width() const { return static_cast<Index>(features.size()); }
};

/// Reads the original CSV (plain or gzip) and prepares it as data/hospital-readmission/README.md says: 8 numbers, then
/// one indicator a category; two training halves of 10,000 rows each, readmitted and not, by NumPy's generator with
/// seed 2. Throws InvalidInput, naming the line or the column, for another table.
HospitalData read_hospital(const std::filesystem::path& csv);

/// The file in one of io::data_folders(named) or its hospital-readmission/, packed or plain. Throws InvalidInput with
/// the folders that were looked at.
std::filesystem::path find_hospital(const std::optional<std::filesystem::path>& named);

}  // namespace clout::reproduce
