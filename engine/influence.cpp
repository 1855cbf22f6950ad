#include <algorithm>
#include <clout/engine/influence.hpp>
#include <clout/engine/scaling.hpp>
#include <clout/kernels/kernel_table.hpp>

namespace clout {
namespace {

constexpr Index kExampleRows = 4096;  // training rows scored per call, for one number a pair

Index rows_per_tile(Index width) { return std::max<Index>(1, kExampleRows / width); }

/// λ sᵀθ over the regularised blocks: what the training gradient's regulariser adds to every score of one test point.
double regularizer_term(const ParameterRanges& ranges, double l2, const double* s, const std::vector<double>& theta) {
  double sum = 0;
  for (int r = 0; r < ranges.count; ++r)
    for (Index i = ranges.range[r].begin; i < ranges.range[r].end; ++i) sum += s[i] * theta[static_cast<std::size_t>(i)];
  return l2 * sum;
}

}  // namespace

GroupMembers::GroupMembers(const std::vector<std::vector<Index>>& groups, Index examples)
    : groups_(static_cast<Index>(groups.size())) {
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const Index example : groups[g]) {
      require(example >= 0 && example < examples, "set of examples: index " + std::to_string(example) +
                                                      " is out of range; expected 0 to " +
                                                      std::to_string(examples - 1));
      members_.push_back({example, static_cast<Index>(g)});
    }
  const auto before = [](const Member& a, const Member& b) {
    return a.example != b.example ? a.example < b.example : a.group < b.group;
  };
  std::sort(members_.begin(), members_.end(), before);
  const auto twice = std::adjacent_find(members_.begin(), members_.end(),
                                        [&](const Member& a, const Member& b) { return !before(a, b); });
  if (twice != members_.end())
    throw InvalidInput("set of examples: index " + std::to_string(twice->example) +
                       " stands twice in one set; expected each once");
}

std::span<const GroupMembers::Member> GroupMembers::among(Index first, Index count) const {
  const auto begin = std::ranges::lower_bound(members_, first, {}, &Member::example);
  const auto end = std::ranges::lower_bound(members_, first + count, {}, &Member::example);
  return {begin, end};
}

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
typename Influence<T>::Scaled Influence<T>::scale(const Scores& products) const {
  const Index p = train_.parameters(), tests = static_cast<Index>(products.norms.size());
  require(tests > 0 && tests <= kTestBlock, "influence: " + std::to_string(tests) +
                                                " tests are to be scored together; expected 1 to " +
                                                std::to_string(kTestBlock));
  const ParameterRanges regularized = regularized_ranges(train_.layout());
  Scaled scaled;
  std::vector<T> rounded;
  for (Index t = 0; t < tests; ++t) {
    const std::span<const double> row(products.values.data() + t * p, static_cast<std::size_t>(p));
    scaled.units.push_back(binary_unit(row));
    scaled.offsets.push_back(regularizer_term(regularized, train_.l2(), row.data(), theta_));
    for (const double value : row) rounded.push_back(static_cast<T>(value / scaled.units.back()));
  }
  scaled.products = Buffer<T>(train_.device(), std::span<const T>(rounded));
  return scaled;
}

template <class T>
void Influence<T>::removal_tiles(const Scores& products, const Receiver& receive) {
  const Index n = train_.examples(), p = train_.parameters(), tests = static_cast<Index>(products.norms.size());
  const Index classes = train_.classes();
  Scaled scaled = scale(products);
  const MatrixView<const T> s = scaled.products.view(tests, p);
  Buffer<T> tangents(train_.device(), std::min(n, kExampleRows) * tests);
  std::vector<T> tile;
  std::vector<double> scores;
  for (Index first = 0; first < n; first += kExampleRows) {
    const Index count = std::min(kExampleRows, n - first);
    const MatrixView<T> out = tangents.view(count, tests);
    if (shifts_.is_empty()) train_.loss_tangents(s, first, out);
    else train_.shifted_tangents(s, shifts_.view(n, classes).rows_from(first, count), first, out);
    tile.resize(static_cast<std::size_t>(count * tests));
    tangents.download(tile);
    scores.resize(tile.size());
    for (Index i = 0; i < count; ++i) {
      const double weight = train_.example_weight(first + i) / train_.total_weight();
      for (Index t = 0; t < tests; ++t)
        scores[static_cast<std::size_t>(t * count + i)] =
            weight * (scaled.units[static_cast<std::size_t>(t)] *
                          static_cast<double>(tile[static_cast<std::size_t>(i * tests + t)]) +
                      scaled.offsets[static_cast<std::size_t>(t)]);
    }
    receive({tests, first, count, 1, scores});
  }
}

template <class T>
void Influence<T>::relabel_tiles(const Scores& products, std::span<const std::int32_t> labels,
                                 const Receiver& receive) {
  const Index n = train_.examples(), p = train_.parameters(), tests = static_cast<Index>(products.norms.size());
  const Index classes = train_.classes(), rows = rows_per_tile(classes);
  require(classes > 0, "influence of labels: this model's examples have none");
  require(static_cast<Index>(labels.size()) == n,
          "influence of labels: " + std::to_string(labels.size()) + " labels; expected " + std::to_string(n));
  Scaled scaled = scale(products);
  Buffer<T> tangents(train_.device(), std::min(n, rows) * tests * classes);
  std::vector<T> tile;
  std::vector<double> changes;
  for (Index first = 0; first < n; first += rows) {
    const Index count = std::min(rows, n - first);
    train_.label_tangents(scaled.products.view(tests, p), first, tangents.view(count, classes * tests));
    tile.resize(static_cast<std::size_t>(count * tests * classes));
    tangents.download(tile);
    changes.resize(tile.size());
    for (Index i = 0; i < count; ++i) {
      const double weight = train_.example_weight(first + i) / train_.total_weight();
      const T* by_label = tile.data() + i * classes * tests;
      const T* own = by_label + labels[static_cast<std::size_t>(first + i)] * tests;
      for (Index t = 0; t < tests; ++t)
        for (Index c = 0; c < classes; ++c)
          changes[static_cast<std::size_t>((t * count + i) * classes + c)] =
              weight * scaled.units[static_cast<std::size_t>(t)] *
              (static_cast<double>(own[t]) - static_cast<double>(by_label[c * tests + t]));
    }
    receive({tests, first, count, classes, changes});
  }
}

template <class T>
std::vector<double> Influence<T>::group_scores(const Scores& products, const GroupMembers& groups) {
  const std::size_t all = static_cast<std::size_t>(groups.groups());
  std::vector<double> sums(products.norms.size() * all);
  removal_tiles(products, [&](const Tile& tile) {
    for (const auto& [example, group] : groups.among(tile.first, tile.count))
      for (Index t = 0; t < tile.tests; ++t)
        sums[static_cast<std::size_t>(t) * all + static_cast<std::size_t>(group)] +=
            tile.values[static_cast<std::size_t>(t * tile.count + example - tile.first)];
  });
  return sums;
}

template <class T>
void Influence<T>::use_newton_shifts(std::span<const double> shifts) {
  require(static_cast<Index>(shifts.size()) == train_.examples() * train_.classes(),
          "influence: " + std::to_string(shifts.size()) + " shifts; expected " + std::to_string(train_.examples()) +
              " examples' times " + std::to_string(train_.classes()));
  const std::vector<T> rounded(shifts.begin(), shifts.end());
  shifts_ = Buffer<T>(train_.device(), std::span<const T>(rounded));
}

template <class T>
std::size_t Influence<T>::plan(const Objective<T>& train, const Objective<double>& test, Index width) {
  const Index p = train.parameters(), rows = std::min(train.examples(), rows_per_tile(width));
  const Index tests = std::min(kTestBlock, test.examples());
  const std::size_t solving = static_cast<std::size_t>(2 * tests * p) * sizeof(double) + test.working_memory(1);
  const std::size_t scoring = static_cast<std::size_t>(tests * (p + 2 * rows * width)) * sizeof(T);
  return solving + scoring + train.working_memory(tests);
}

template <class T>
typename Influence<T>::Scores Influence<T>::scores(std::span<const Index> test_rows, const Progress& progress) {
  const std::size_t m = test_rows.size(), n = static_cast<std::size_t>(train_.examples());
  require(m > 0, "influence: there are no test examples; expected at least one");
  Scores result;
  result.values.resize(m * n);
  for (std::size_t first = 0; first < m; first += kTestBlock) {
    const std::size_t count = std::min<std::size_t>(kTestBlock, m - first);
    const Scores products = inverse_products(test_rows.subspan(first, count));
    result.report.append(products.report);
    result.norms.insert(result.norms.end(), products.norms.begin(), products.norms.end());
    removal_tiles(products, [&](const Tile& tile) {
      for (std::size_t t = 0; t < count; ++t)
        std::copy_n(tile.values.data() + static_cast<Index>(t) * tile.count, tile.count,
                    result.values.data() + (first + t) * n + static_cast<std::size_t>(tile.first));
    });
    if (progress) progress("influence", static_cast<double>(first + count), static_cast<double>(m));
  }
  return result;
}

template class Influence<float>;
template class Influence<double>;

}  // namespace clout
