#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout {
namespace {

constexpr Index kTestBlock = 32;     // right-hand sides that are solved and scored together
constexpr Index kExampleRows = 4096;  // training rows scored per call

void append(SolveReport& all, const SolveReport& part) {
  if (all.columns.empty()) {
    all = part;
    return;
  }
  all.columns.insert(all.columns.end(), part.columns.begin(), part.columns.end());
  all.products += part.products;
  all.certifying_products += part.certifying_products;
  all.seconds += part.seconds;
  if (part.lissa) all.lissa = part.lissa;  // counts from the solver's beginning
}

/// λ sᵀθ over the regularised blocks: what the training gradient's regulariser adds to every score of one test point.
double regularizer_term(const ParameterRanges& ranges, double l2, const double* s, const std::vector<double>& theta) {
  double sum = 0;
  for (int r = 0; r < ranges.count; ++r)
    for (Index i = ranges.range[r].begin; i < ranges.range[r].end; ++i) sum += s[i] * theta[static_cast<std::size_t>(i)];
  return l2 * sum;
}

}  // namespace

template <class T>
Influence<T>::Influence(Objective<T>& train, Objective<double>& test, Solver& solver, std::vector<double> theta)
    : train_(train), test_(test), solver_(solver), theta_(std::move(theta)) {
  require(train.parameters() == test.parameters() && solver.size() == train.parameters() &&
              static_cast<Index>(theta_.size()) == train.parameters(),
          "influence: training objective, test objective, solver and parameters must be of one model");
}

template <class T>
typename Influence<T>::Scores Influence<T>::inverse_products(std::span<const Index> test_rows) {
  const Index m = static_cast<Index>(test_rows.size()), p = train_.parameters();
  require(m > 0, "influence: there are no test examples; expected at least one");
  for (const Index row : test_rows)
    require(row >= 0 && row < test_.examples(), "test index " + std::to_string(row) + " is out of range; expected 0 to " +
                                                    std::to_string(test_.examples() - 1));
  Device& device = train_.device();
  Buffer<double> gradients(device, m * p), products(device, m * p);
  test_.example_gradients(test_rows, gradients.view(m, p));
  Scores result;
  result.report = solver_.solve(gradients.view(m, p), products.view(m, p));
  result.values = products.to_host();
  result.norms = row_norms<double>(device, products.view(m, p));
  return result;
}

template <class T>
typename Influence<T>::Scores Influence<T>::scores(std::span<const Index> test_rows, const Progress& progress) {
  const Index m = static_cast<Index>(test_rows.size()), n = train_.examples(), p = train_.parameters();
  Device& device = train_.device();
  const ParameterRanges regularized = regularized_ranges(train_.layout());
  Scores result;
  result.values.resize(static_cast<std::size_t>(m * n));
  Buffer<T> s_device(device, kTestBlock * p), tangents(device, kExampleRows * kTestBlock);
  std::vector<T> s_rounded, tile;
  for (Index first = 0; first < std::max<Index>(m, 1); first += kTestBlock) {
    const Index count = std::min(kTestBlock, m - first);
    const Scores s = inverse_products(test_rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
    append(result.report, s.report);
    result.norms.insert(result.norms.end(), s.norms.begin(), s.norms.end());
    s_rounded.resize(s.values.size());
    std::vector<double> offsets, units;
    for (Index t = 0; t < count; ++t) {
      // In units of its own, so that single precision neither underflows nor overflows.
      const std::span<const double> row(s.values.data() + t * p, static_cast<std::size_t>(p));
      units.push_back(binary_unit(row));
      for (std::size_t i = 0; i < row.size(); ++i)
        s_rounded[static_cast<std::size_t>(t * p) + i] = static_cast<T>(row[i] / units.back());
    }
    s_device.upload(std::span<const T>(s_rounded));
    for (Index t = 0; t < count; ++t)
      offsets.push_back(regularizer_term(regularized, train_.l2(), s.values.data() + t * p, theta_));
    for (Index row = 0; row < n; row += kExampleRows) {
      const Index rows = std::min(kExampleRows, n - row);
      train_.loss_tangents(s_device.view(count, p), row, tangents.view(rows, count));
      tile.resize(static_cast<std::size_t>(rows * count));
      tangents.download(tile);
      for (Index t = 0; t < count; ++t) {
        const double offset = offsets[static_cast<std::size_t>(t)], unit = units[static_cast<std::size_t>(t)];
        double* out = result.values.data() + (first + t) * n + row;
        for (Index i = 0; i < rows; ++i)
          out[i] = train_.example_weight(row + i) / train_.total_weight() *
                   (unit * static_cast<double>(tile[static_cast<std::size_t>(i * count + t)]) + offset);
      }
    }
    if (progress) progress("influence", static_cast<double>(first + count), static_cast<double>(m));
  }
  return result;
}

SelfInfluence self_influence(Objective<double>& train, Solver& solver, std::span<const Index> rows,
                             const Progress& progress) {
  const Index m = static_cast<Index>(rows.size()), p = train.parameters();
  Device& device = train.device();
  Buffer<double> gradients(device, kTestBlock * p), products(device, kTestBlock * p), dots(device, kTestBlock);
  SelfInfluence result;
  std::vector<double> host(static_cast<std::size_t>(kTestBlock));
  for (Index first = 0; first < m; first += kTestBlock) {
    const Index count = std::min(kTestBlock, m - first);
    const auto block = rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    train.example_gradients(block, gradients.view(count, p));
    append(result.report, solver.solve(gradients.view(count, p), products.view(count, p)));
    device.kernels<double>().vector_dots(device, {gradients.view(count, p), products.view(count, p), dots.data()});
    dots.download(std::span<double>(host).first(static_cast<std::size_t>(count)));
    for (Index j = 0; j < count; ++j)
      result.values.push_back(train.example_weight(block[static_cast<std::size_t>(j)]) / train.total_weight() *
                              host[static_cast<std::size_t>(j)]);
    if (progress) progress("self-influence", static_cast<double>(first + count), static_cast<double>(m));
  }
  return result;
}

template class Influence<float>;
template class Influence<double>;

}  // namespace clout
