#include <algorithm>
#include <clout/kernels/cpu/entries.hpp>
#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/cpu/reductions.hpp>
#include <clout/kernels/cpu/simd.hpp>

namespace clout::cpu {
namespace {

using Doubles = Vector<double>;
constexpr Index kWidth = kLanes<double>;
constexpr bool kHasManyRegisters = kVectorBytes == 64;  // 32 of them, else 16

typedef float Halves __attribute__((vector_size(kVectorBytes / 2), aligned(alignof(float)), may_alias));

template <class T>
Doubles load_doubles(const T* from) {
  if constexpr (std::is_same_v<T, double>) return load<double>(from);
  else return __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Doubles);
}

template <class T>
void store_rounded(T* to, Doubles values) {
  if constexpr (std::is_same_v<T, double>) store<double>(to, values);
  else *reinterpret_cast<Halves*>(to) = __builtin_convertvector(values, Halves);
}

double total(Doubles sums) {
  double sum = 0;
  for (Index lane = 0; lane < kWidth; ++lane) sum += sums[lane];
  return sum;
}

// Rows of a and b in a tile of products: what is loaded once is used four times, or twice.
constexpr Index kRowsA = 4, kRowsB = kHasManyRegisters ? 4 : 2;

template <class T>
void products_tile(const BlockProducts<T>& op, Index i, Index j) {
  Doubles sums[kRowsA][kRowsB] = {};
  const Index p = op.a.columns, whole = p - p % kWidth;
  for (Index c = 0; c < whole; c += kWidth) {
    Doubles a[kRowsA], b[kRowsB];
    for (Index r = 0; r < kRowsA; ++r) a[r] = load_doubles(op.a.row(i + r) + c);
    for (Index s = 0; s < kRowsB; ++s) b[s] = load_doubles(op.b.row(j + s) + c);
    for (Index r = 0; r < kRowsA; ++r)
      for (Index s = 0; s < kRowsB; ++s) sums[r][s] += a[r] * b[s];
  }
  for (Index r = 0; r < kRowsA; ++r)
    for (Index s = 0; s < kRowsB; ++s) {
      double sum = total(sums[r][s]);
      for (Index c = whole; c < p; ++c)
        sum += static_cast<double>(op.a(i + r, c)) * static_cast<double>(op.b(j + s, c));
      op.products[(i + r) * op.b.rows + j + s] = sum;
    }
}

// Of a combination: rows of out in a tile, vectors of their columns, and columns of a piece, whose part of x stays in the
// second-level cache while all rows of out are made of it.
constexpr Index kRowsOut = 4, kVectors = kHasManyRegisters ? 4 : 2, kColumns = 128;
static_assert(kColumns % (kVectors * kWidth) == 0);

template <Index kRows, class T>
void combine_tile(const BlockCombine<T>& op, Index row, Index first, Index count) {
  const double* factors = op.coefficients + row * op.x.rows;
  Index c = first;
  for (const Index end = first + count; c + kVectors * kWidth <= end; c += kVectors * kWidth) {
    Doubles sums[kRows][kVectors] = {};
    for (Index r = 0; r < kRows && op.b != 0; ++r)
      for (Index v = 0; v < kVectors; ++v) sums[r][v] = op.b * load_doubles(op.out.row(row + r) + c + v * kWidth);
    for (Index j = 0; j < op.x.rows; ++j) {
      Doubles x[kVectors];
      for (Index v = 0; v < kVectors; ++v) x[v] = load_doubles(op.x.row(j) + c + v * kWidth);
      for (Index r = 0; r < kRows; ++r)
        for (Index v = 0; v < kVectors; ++v) sums[r][v] += factors[r * op.x.rows + j] * x[v];
    }
    for (Index r = 0; r < kRows; ++r)
      for (Index v = 0; v < kVectors; ++v) store_rounded(op.out.row(row + r) + c + v * kWidth, sums[r][v]);
  }
  for (; c < first + count; ++c)
    for (Index r = 0; r < kRows; ++r) {
      double sum = op.b == 0 ? 0 : op.b * static_cast<double>(op.out(row + r, c));
      for (Index j = 0; j < op.x.rows; ++j) sum += factors[r * op.x.rows + j] * static_cast<double>(op.x(j, c));
      op.out(row + r, c) = static_cast<T>(sum);
    }
}

}  // namespace

// products[i][j] = a_i · b_j.  2p flops each; a is read again for every tile of b, from cache.
template <class T>
void block_products(Device& device, const BlockProducts<T>& op) {
  const Index along = ceil_div(op.a.rows, kRowsA), tiles = along * ceil_div(op.b.rows, kRowsB);
  parallel_tasks(device, tiles, [&](Index task, int) {
    const Index i = task % along * kRowsA, j = task / along * kRowsB;
    if (i + kRowsA <= op.a.rows && j + kRowsB <= op.b.rows) return products_tile(op, i, j);
    for (Index r = i; r < std::min(i + kRowsA, op.a.rows); ++r)
      for (Index s = j; s < std::min(j + kRowsB, op.b.rows); ++s)
        op.products[r * op.b.rows + s] = dot(op.a.row(r), op.b.row(s), op.a.columns);
  });
}

// out ← C·x + b·out.  2p flops for each number of C.
template <class T>
void block_combine(Device& device, const BlockCombine<T>& op) {
  const Index tiles = ceil_div(op.out.rows, kRowsOut), pieces = ceil_div(op.out.columns, kColumns);
  parallel_tasks(device, tiles * pieces, [&](Index task, int) {
    const Index row = task % tiles * kRowsOut, first = task / tiles * kColumns;
    const Index count = std::min(kColumns, op.out.columns - first);
    if (row + kRowsOut <= op.out.rows) return combine_tile<kRowsOut>(op, row, first, count);
    for (Index r = row; r < op.out.rows; ++r) combine_tile<1>(op, r, first, count);
  });
}

template void block_products(Device&, const BlockProducts<float>&);
template void block_products(Device&, const BlockProducts<double>&);
template void block_combine(Device&, const BlockCombine<float>&);
template void block_combine(Device&, const BlockCombine<double>&);

}  // namespace clout::cpu
