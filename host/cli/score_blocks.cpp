#include <clout/host/cli/output.hpp>
#include <clout/host/cli/score_blocks.hpp>
#include <clout/host/io/npy_header.hpp>
#include <cmath>

namespace clout::cli {

template <class T>
std::string ScoreFile<T>::header(Index tests, Index columns, Index width) {
  std::vector<Index> shape{tests, columns};
  if (width > 1) shape.push_back(width);
  return io::npy_header_bytes({io::dtype_of<T>(), shape});
}

template <class T>
std::uint64_t ScoreFile<T>::bytes(Index tests, Index columns, Index width) {
  const Index count = io::element_count(std::vector<Index>{tests, columns, width}, sizeof(T), "scores");
  return header(tests, columns, width).size() + static_cast<std::uint64_t>(count) * sizeof(T);
}

template <class T>
ScoreFile<T>::ScoreFile(const std::filesystem::path& path, Index tests, Index columns, Index width, bool resume)
    : name_(path.filename().string()),
      columns_(columns),
      width_(width),
      header_bytes_(header(tests, columns, width).size()),
      file_(path, bytes(tests, columns, width), resume) {
  file_.write(0, std::as_bytes(std::span<const char>(header(tests, columns, width))));
}

template <class T>
void ScoreFile<T>::write(Index first_test, const typename Influence<T>::Tile& tile) {
  rounded_.assign(tile.values.begin(), tile.values.end());
  for (std::size_t i = 0; i < rounded_.size(); ++i)
    if (!std::isfinite(rounded_[i])) {
      const Index pair = static_cast<Index>(i) / tile.width;
      throw NotCertified(name_ + ": the number at [" + std::to_string(first_test + pair / tile.count) + "][" +
                         std::to_string(tile.first + pair % tile.count) + "] is " + number_text(tile.values[i]) +
                         ", beyond " + (sizeof(T) == 4 ? "float32" : "float64") +
                         "; the data, the weights, the parameters or --l2 are too large (nothing was written)");
    }
  const Index row = tile.count * tile.width;
  for (Index t = 0; t < tile.tests; ++t) {
    const auto at = static_cast<std::uint64_t>(((first_test + t) * columns_ + tile.first) * width_);
    file_.write(header_bytes_ + at * sizeof(T), std::as_bytes(std::span<const T>(rounded_).subspan(
                                                    static_cast<std::size_t>(t * row), static_cast<std::size_t>(row))));
  }
}

template class ScoreFile<float>;
template class ScoreFile<double>;

std::vector<double> ScoredBlock::pack() const {
  std::vector<double> values{report.rounding, static_cast<double>(report.products),
                             static_cast<double>(report.certifying_products), report.seconds};
  for (std::size_t t = 0; t < tops.size(); ++t) {
    const ColumnReport& column = report.columns[t];
    values.insert(values.end(), {static_cast<double>(column.status), static_cast<double>(column.iterations),
                                 static_cast<double>(column.refinements), column.relative_residual,
                                 column.smallest_rayleigh, column.smallest_eigenvalue, column.largest_eigenvalue});
    tops[t].pack(values);
  }
  return values;
}

ScoredBlock ScoredBlock::unpack(std::span<const double> values, Index tests, const Options& options, double tolerance) {
  const auto take = [&values] {
    require(!values.empty(), "journal: a block of scores is cut off; expected the same request as before");
    const double value = values.front();
    values = values.subspan(1);
    return value;
  };
  ScoredBlock block;
  block.report.solver = options.solver;
  block.report.tolerance = tolerance;
  block.report.damping = options.damping;
  block.report.rounding = take();
  block.report.products = static_cast<Index>(take());
  block.report.certifying_products = static_cast<Index>(take());
  block.report.seconds = take();
  for (Index t = 0; t < tests; ++t) {
    ColumnReport& column = block.report.columns.emplace_back();
    column.status = static_cast<ColumnStatus>(static_cast<int>(take()));
    column.iterations = static_cast<Index>(take());
    column.refinements = static_cast<Index>(take());
    for (double* field : {&column.relative_residual, &column.smallest_rayleigh, &column.smallest_eigenvalue,
                          &column.largest_eigenvalue})
      *field = take();
    block.tops.emplace_back(options.top).unpack(values);
  }
  require(values.empty(), "journal: a block of scores is too long; expected the same request as before");
  return block;
}

UnfinishedScores::~UnfinishedScores() {
  if (!refused && !journal.completed().empty()) return;
  if (file) file->discard();
  try {
    journal.finish();
  } catch (const Error&) {  // then it stays, and the next run says so
  }
}

}  // namespace clout::cli
