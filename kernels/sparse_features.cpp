#include <algorithm>
#include <clout/kernels/sparse_features.hpp>

namespace clout {
namespace {

constexpr Index kLongestNarrow = 65'536;

constexpr Index blocks_of(Index rows) { return (rows + kSparseBlockRows - 1) / kSparseBlockRows; }

// Lines under construction, on the host.
template <class V>
struct HostLines {
  std::vector<Index> starts{0};
  std::vector<std::uint32_t> places;
  std::vector<V> stored;

  HostLines(Index lines, Index entries) {
    starts.reserve(static_cast<std::size_t>(lines + 1));
    places.reserve(static_cast<std::size_t>(entries));
    stored.reserve(static_cast<std::size_t>(entries));
  }
  // One more line: `count` numbers, `step` apart.
  void add(const V* from, Index count, Index step) {
    for (Index place = 0; place < count; ++place, from += step)
      if (*from != V(0)) {
        places.push_back(static_cast<std::uint32_t>(place));
        stored.push_back(*from);
      }
    starts.push_back(static_cast<Index>(stored.size()));
  }
};

}  // namespace

template <class V>
Index count_entries(std::span<const V> numbers) {
  return std::count_if(numbers.begin(), numbers.end(), [](V number) { return number != V(0); });
}

template <class V>
SparseStorage<V>::SparseStorage(Device& device, std::span<const V> x, Index rows, Index columns) {
  ensure(static_cast<Index>(x.size()) == rows * columns, "sparse storage: as many numbers as rows times columns");
  const Index entries = count_entries(x);
  const auto upload = [&](const HostLines<V>& host, Index longest) {
    Lines lines{Buffer<Index>(device, host.starts), {}, {}, Buffer<V>(device, host.stored)};
    if (longest > kLongestNarrow) {
      lines.wide = Buffer<std::uint32_t>(device, host.places);
    } else {
      const std::vector<std::uint16_t> narrow(host.places.begin(), host.places.end());
      lines.narrow = Buffer<std::uint16_t>(device, narrow);
    }
    return lines;
  };
  {
    HostLines<V> host(rows, entries);
    for (Index row = 0; row < rows; ++row) host.add(x.data() + row * columns, columns, 1);
    rows_ = upload(host, columns);
  }
  HostLines<V> host(blocks_of(rows) * columns, entries);
  for (Index first = 0; first < rows; first += kSparseBlockRows)
    for (Index column = 0; column < columns; ++column)
      host.add(x.data() + first * columns + column, std::min(kSparseBlockRows, rows - first), columns);
  columns_ = upload(host, kSparseBlockRows);
}

template <class V>
std::size_t SparseStorage<V>::bytes_for(Index rows, Index columns, Index entries) {
  const std::size_t place = columns > kLongestNarrow ? sizeof(std::uint32_t) : sizeof(std::uint16_t);
  const std::size_t each = 2 * sizeof(V) + place + sizeof(std::uint16_t);
  return static_cast<std::size_t>(entries) * each +
         static_cast<std::size_t>(rows + blocks_of(rows) * columns + 2) * sizeof(Index);
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
  return {lines(rows_), lines(columns_)};
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
