#include <algorithm>
#include <clout/kernels/sparse_features.hpp>

namespace clout {
namespace {

constexpr Index kLongestNarrow = 65'536;

// X is thin where the columns of a block have fewer entries than this, on average: a sum for every column of every
// block would then be read and written about as often as X is.
constexpr Index kThinLine = 8;

constexpr Index blocks_of(Index rows, Index block_rows) { return (rows + block_rows - 1) / block_rows; }

template <class V>
SparseRows<V> rows_of(std::span<const V> x, Index rows, Index columns) {
  ensure(static_cast<Index>(x.size()) == rows * columns, "sparse storage: as many numbers as rows times columns");
  SparseRows<V> lines{.columns = columns};
  const auto entries = static_cast<std::size_t>(count_entries(x));
  lines.places.reserve(entries);
  lines.values.reserve(entries);
  for (Index row = 0; row < rows; ++row) {
    for (Index place = 0; place < columns; ++place)
      if (const V value = x[static_cast<std::size_t>(row * columns + place)]; value != V(0)) {
        lines.places.push_back(static_cast<std::uint32_t>(place));
        lines.values.push_back(value);
      }
    lines.starts.push_back(static_cast<Index>(lines.values.size()));
  }
  return lines;
}

// The columns of blocks of rows, [blocks][d] lines, by counting: entries of a line stay in the order of the rows.
template <class V>
SparseRows<V> columns_of(const SparseRows<V>& x, Index block_rows) {
  const Index blocks = blocks_of(x.rows(), block_rows);
  SparseRows<V> lines{.columns = block_rows};
  std::vector<Index>& starts = lines.starts;
  starts.assign(static_cast<std::size_t>(blocks * x.columns + 1), 0);
  const auto for_each_entry = [&](const auto& body) {
    for (Index row = 0; row < x.rows(); ++row)
      for (auto at = static_cast<std::size_t>(x.starts[static_cast<std::size_t>(row)]);
           at < static_cast<std::size_t>(x.starts[static_cast<std::size_t>(row + 1)]); ++at)
        body(static_cast<std::size_t>(row / block_rows * x.columns + x.places[at]), row % block_rows, x.values[at]);
  };
  for_each_entry([&](std::size_t line, Index, V) { ++starts[line + 1]; });
  for (std::size_t line = 1; line < starts.size(); ++line) starts[line] += starts[line - 1];
  lines.places.resize(x.places.size());
  lines.values.resize(x.values.size());
  std::vector<Index> next(starts.begin(), starts.end() - 1);
  for_each_entry([&](std::size_t line, Index place, V value) {
    const auto to = static_cast<std::size_t>(next[line]++);
    lines.places[to] = static_cast<std::uint32_t>(place);
    lines.values[to] = value;
  });
  return lines;
}

}  // namespace

template <class V>
Index count_entries(std::span<const V> numbers) {
  return std::count_if(numbers.begin(), numbers.end(), [](V number) { return number != V(0); });
}

template <class V>
typename SparseStorage<V>::Lines SparseStorage<V>::upload(Device& device, const SparseRows<V>& host) {
  Lines lines{Buffer<Index>(device, host.starts), {}, {}, Buffer<V>(device, host.values)};
  if (host.columns > kLongestNarrow) {
    lines.wide = Buffer<std::uint32_t>(device, host.places);
  } else {
    const std::vector<std::uint16_t> narrow(host.places.begin(), host.places.end());
    lines.narrow = Buffer<std::uint16_t>(device, narrow);
  }
  return lines;
}

template <class V>
SparseStorage<V>::SparseStorage(Device& device, std::span<const V> x, Index rows, Index columns)
    : SparseStorage(device, rows_of(x, rows, columns)) {}

template <class V>
SparseStorage<V>::SparseStorage(Device& device, const SparseRows<V>& x) : rows_(upload(device, x)) {
  const Index lines = blocks_of(x.rows(), kSparseBlockRows) * x.columns;
  const bool is_thin = x.rows() > kSparseBlockRows && static_cast<Index>(x.values.size()) < kThinLine * lines;
  if (is_thin && device.info().is_host) block_rows_ = kThinBlockRows;
  columns_ = upload(device, columns_of(x, block_rows_));
}

template <class V>
std::size_t SparseStorage<V>::bytes_for(Index rows, Index columns, Index entries) {
  const std::size_t place = columns > kLongestNarrow ? sizeof(std::uint32_t) : sizeof(std::uint16_t);
  const std::size_t each = 2 * sizeof(V) + place + sizeof(std::uint16_t);
  return static_cast<std::size_t>(entries) * each +
         static_cast<std::size_t>(rows + blocks_of(rows, kSparseBlockRows) * columns + 2) * sizeof(Index);
}

template <class V>
template <class T>
SparseFeatures<T> SparseStorage<V>::view() const {
  const auto lines = [](const Lines& from) {
    SparseLines<T> to{.starts = from.starts.data(), .narrow = from.narrow.data(), .wide = from.wide.data()};
    if constexpr (std::is_same_v<V, T>) to.values = from.stored.data();
    else to.bytes = from.stored.data();
    return to;
  };
  return {lines(rows_), lines(columns_), block_rows_};
}

template Index count_entries(std::span<const float>);
template Index count_entries(std::span<const double>);
template Index count_entries(std::span<const std::uint8_t>);
template class SparseStorage<float>;
template class SparseStorage<double>;
template class SparseStorage<std::uint8_t>;
template SparseFeatures<float> SparseStorage<float>::view() const;
template SparseFeatures<double> SparseStorage<double>::view() const;
template SparseFeatures<float> SparseStorage<std::uint8_t>::view() const;
template SparseFeatures<double> SparseStorage<std::uint8_t>::view() const;

}  // namespace clout
