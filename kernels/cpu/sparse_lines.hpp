#pragma once
// Lines of a matrix that is stored without its zeros, times a strip of columns.

#include <algorithm>
#include <array>
#include <bit>
#include <clout/kernels/cpu/simd.hpp>
#include <clout/kernels/operations.hpp>
#include <cstring>

namespace clout::cpu {

/// Both products are one: lines of X times a strip of columns, [place][strip]. Vectors of a strip, and accumulators in
/// registers: narrow strips take several entries at a time, so that no sum waits for its own last addition.
inline constexpr int kStrip = 8;

/// Bytes as T: one load that broadcasts instead of a conversion.
template <class T>
inline constexpr std::array<T, 256> kByteValues = [] {
  std::array<T, 256> values{};
  for (std::size_t byte = 0; byte < 256; ++byte) values[byte] = static_cast<T>(byte);
  return values;
}();

template <class T>
inline T number(T value) {
  return value;
}
template <class T>
inline T number(std::uint8_t byte) {
  return kByteValues<T>[byte];
}

/// Lines of a matrix, as they are stored.
template <class Place, class Stored>
struct Entries {
  const Index* starts;
  const Place* places;
  const Stored* stored;
};

/// body(entries) with the types that the lines have.
template <class T, class Body>
void with_entries(const SparseLines<T>& lines, Body&& body) {
  const auto with_places = [&](const auto* stored) {
    if (lines.wide) body(Entries{lines.starts, lines.wide, stored});
    else body(Entries{lines.starts, lines.narrow, stored});
  };
  if (lines.bytes) with_places(lines.bytes);
  else with_places(lines.values);
}

/// Neighbouring numbers. Small integers come by one load for all of them: loads are what narrow strips run out of.
template <class V, int kCount>
class Group {
 public:
  explicit Group(const V* from) : from_(from) {
    if constexpr (kIsWord) std::memcpy(&word_, from, sizeof word_);
  }
  V operator[](int i) const {
    if constexpr (kIsWord) return static_cast<V>(word_ >> (8 * static_cast<int>(sizeof(V)) * i));
    else return from_[i];
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr bool kIsWord = std::is_unsigned_v<V> && kCount > 1 && (sizeof(V) * kCount == 8 || sizeof(V) * kCount == 4);
  using Word = std::conditional_t<sizeof(V) * kCount == 8, std::uint64_t, std::uint32_t>;
  const V* from_;
  Word word_ = 0;
};

/// out = start + Σ over a line's entries of stored · in[place], a strip of Width vectors.
template <class T, int Width, class Place, class Stored>
[[gnu::always_inline]] inline void multiply_line(const Place* place, const Stored* stored, Index count, const T* in,
                                                 Index in_stride, const T* start, T* out) {
  constexpr int kSets = std::max(1, kStrip / Width);
  Vector<T> sums[kSets][Width] = {};
#pragma GCC unroll 16
  for (int v = 0; v < Width; ++v) sums[0][v] = load(start + v * kLanes<T>);
  const auto add = [&](int set, Place at, Stored times) [[gnu::always_inline]] {
    const Vector<T> value = in_register(broadcast(number<T>(times)));
    const T* from = in + static_cast<Index>(at) * in_stride;
#pragma GCC unroll 16
    for (int v = 0; v < Width; ++v) sums[set][v] = add_product<T>(sums[set][v], value, from + v * kLanes<T>);
  };
  Index entry = 0;
  for (; entry + kSets <= count; entry += kSets) {
    const Group<Place, kSets> places(place + entry);
    const Group<Stored, kSets> numbers(stored + entry);
#pragma GCC unroll 16
    for (int set = 0; set < kSets; ++set) add(set, places[set], numbers[set]);
  }
  for (; entry < count; ++entry) add(0, place[entry], stored[entry]);
#pragma GCC unroll 16
  for (int v = 0; v < Width; ++v) {
    Vector<T> total = sums[0][v];
#pragma GCC unroll 16
    for (int set = 1; set < kSets; ++set) total += sums[set][v];
    store(out + v * kLanes<T>, total);
  }
}

/// Σ over a line's entries of stored · in[place]; four sums, so that none waits for its own last addition.
template <class T, class Place, class Stored>
T dot_line(const Place* place, const Stored* stored, Index count, const T* in) {
  T sums[4] = {};
  Index entry = 0;
  for (; entry + 4 <= count; entry += 4)
#pragma GCC unroll 4
    for (int set = 0; set < 4; ++set) sums[set] += number<T>(stored[entry + set]) * in[place[entry + set]];
  for (; entry < count; ++entry) sums[0] += number<T>(stored[entry]) * in[place[entry]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace clout::cpu
