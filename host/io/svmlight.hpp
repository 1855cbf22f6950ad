#pragma once
// Sparse rows with labels as text, in the format of SVMlight (Joachims 1999) and LIBSVM: "label column:value …" a line,
// columns ascending and counted from 1.

#include <clout/kernels/sparse_features.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace clout::io {

/// Rows with non-negative integer labels and values.
struct LabelledRows {
  SparseRows<double> x;
  std::vector<std::int32_t> labels;  // [n]
};

/// Reads a file (plain or gzip) of `columns` columns. Throws InvalidInput, naming the line, for anything that is not a
/// row of non-negative integers with ascending columns within them; comments and the like are refused.
LabelledRows read_svmlight(const std::filesystem::path& path, Index columns);

/// The text of such a file, values as integers.
std::string svmlight_text(const LabelledRows& rows);

}  // namespace clout::io
