#pragma once
// Checks of the views that a model is handed.

#include <clout/kernels/error.hpp>
#include <clout/kernels/matrix_view.hpp>

namespace clout {

inline std::string shape_text(Index rows, Index columns) {
  return "[" + std::to_string(rows) + "][" + std::to_string(columns) + "]";
}

/// Throws InvalidInput that begins with `what` unless the two shapes agree.
inline void expect_shape(const char* what, Index rows, Index columns, Index expected_rows, Index expected_columns) {
  if (rows == expected_rows && columns == expected_columns) return;
  throw InvalidInput(std::string(what) + ": " + shape_text(rows, columns) + "; expected " +
                     shape_text(expected_rows, expected_columns));
}

/// At least one vector of `parameters` numbers.
template <class T>
void expect_vectors(const char* what, MatrixView<const T> vectors, Index parameters) {
  require(vectors.rows > 0, std::string(what) + ": there are none; expected at least one");
  expect_shape(what, vectors.rows, vectors.columns, vectors.rows, parameters);
}

}  // namespace clout
