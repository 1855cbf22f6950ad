#pragma once
// Lines of a matrix that is stored without its zeros, times a strip of columns.

#include <algorithm>
#include <array>
#include <bit>
#include <clout/kernels/cpu/simd.hpp>
#include <clout/kernels/operations.hpp>
#include <cstring>

namespace clout::cpu {

/// Both products are one: lines of X times a strip of columns, [place][strip]. Vectors of a strip: of two, what the places
/// have stays close to the processor, and the sums of several entries have room in registers.
inline constexpr int kStrip = 2;
/// Entries that are taken at a time, and sums that they go to in turn, so that none waits for its own last addition.
template <class T>
inline constexpr int kGroup = std::min(8, kLanes<T>);
template <class T>
inline constexpr int kSums = std::min(4, kGroup<T>);

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

/// Neighbouring small integers: by words, since loads are what these products run out of.
template <class V, int kCount>
class Group {
 public:
  explicit Group(const V* from) : from_(from) {
    if constexpr (kWords > 0) std::memcpy(words_, from, sizeof words_);
  }
  V operator[](int i) const {
    if constexpr (kWords > 0) return static_cast<V>(words_[i / kEach] >> (8 * static_cast<int>(sizeof(V)) * (i % kEach)));
    else return from_[i];
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr int kEach = 8 / static_cast<int>(sizeof(V));
  static constexpr int kWords = kCount % kEach == 0 ? kCount / kEach : 0;
  const V* from_;
  std::uint64_t words_[std::max(1, kWords)];
};

/// The numbers of kGroup<T> neighbouring entries, each in all lanes.
template <class T, class Stored>
class Factors {
 public:
  explicit Factors(const T* from) : from_(from) {}
  Vector<T> operator[](int i) const { return in_register(broadcast(from_[i])); }

 private:
  const T* from_;
};
template <class T>
class Factors<T, std::uint8_t> {
 public:
  explicit Factors(const std::uint8_t* from) : numbers_(load_bytes<kGroup<T>, T>(from)) {}
  Vector<T> operator[](int i) const { return in_register(in_all_lanes<T>(numbers_, i)); }

 private:
  Vector<T> numbers_;
};

template <class T, int Width>
[[gnu::always_inline]] inline void add_entry(Vector<T> (&sums)[Width], Vector<T> factor, const T* from) {
#pragma GCC unroll 8
  for (int v = 0; v < Width; ++v) sums[v] = add_product<T>(sums[v], factor, from + v * kLanes<T>);
}

/// out = start + Σ over a line's entries of stored · in[place], a strip of Width vectors.
template <class T, int Width, class Place, class Stored>
[[gnu::always_inline]] inline void multiply_line(const Place* place, const Stored* stored, Index count, const T* in,
                                                 Index in_stride, const T* start, T* out) {
  Vector<T> sums[kSums<T>][Width] = {};
#pragma GCC unroll 8
  for (int v = 0; v < Width; ++v) sums[0][v] = load(start + v * kLanes<T>);
  Index entry = 0;
  for (; entry + kGroup<T> <= count; entry += kGroup<T>) {
    const Group<Place, kGroup<T>> places(place + entry);
    const Factors<T, Stored> factors(stored + entry);
#pragma GCC unroll 8
    for (int e = 0; e < kGroup<T>; ++e)
      add_entry<T>(sums[e % kSums<T>], factors[e], in + static_cast<Index>(places[e]) * in_stride);
  }
  for (; entry < count; ++entry)
    add_entry<T>(sums[0], in_register(broadcast(number<T>(stored[entry]))), in + static_cast<Index>(place[entry]) * in_stride);
#pragma GCC unroll 8
  for (int v = 0; v < Width; ++v) {
    Vector<T> total = sums[0][v];
#pragma GCC unroll 8
    for (int set = 1; set < kSums<T>; ++set) total += sums[set][v];
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
