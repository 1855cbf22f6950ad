#pragma once
// Products of bytes and floats on the tensor cores, to single precision. A byte is a bf16 as it stands, a float the sum
// of three, so three passes miss nothing but what sums lose. The tensor cores cut sums off instead of rounding them,
// always towards zero; so they add up kDepth products, and what they have then is added, rounded, to sums in registers
// (Ootomo & Yokota 2022, "Recovering single precision accuracy from Tensor Cores ...").

#include <bit>
#include <clout/kernels/cuda/device_code.hpp>
#include <clout/kernels/operations.hpp>

namespace clout::cuda {

/// Neighbouring numbers that move together.
template <class S, int kCount>
struct alignas(sizeof(S) * kCount) Together {
  S value[kCount];
};

/// How a product C = A Bᵀ of bytes A [m][k] and floats B [n][k] is cut. With kTransposed, memory holds Aᵀ and Bᵀ.
template <bool kIsTransposed>
struct ByteTile {
  static constexpr bool kTransposed = kIsTransposed;
  static constexpr int kThreads = 128;
  static constexpr int kRows = 128, kColumns = 80, kDepth = 32;  // m, n, k: of a block, in one go
  // Two by two warps take turns with blocks of 16 rows and 8 columns: where there is nothing, all know it alike.
  static constexpr int kRowBlocks = kRows / 32, kColumnBlocks = kColumns / 16;
  static constexpr int kPieces = 3;
  // Lines of memory, and the numbers of each.
  static constexpr int kByteLines = kTransposed ? kDepth : kRows, kByteLength = kTransposed ? kRows : kDepth;
  static constexpr int kFloatLines = kTransposed ? kDepth : kColumns, kFloatLength = kTransposed ? kColumns : kDepth;
  // What a thread fetches: so many times 16 bytes of each operand.
  static constexpr int kByteParts = kByteLines * kByteLength / 16 / kThreads;
  static constexpr int kFloatParts = kFloatLines * kFloatLength / 4 / kThreads;
  static constexpr int kFloatThreads = kTransposed ? kThreads / kFloatLines : kFloatLength / 4;  // that share a line

  /// Lines are 16 bytes longer than their numbers: eight of them then begin in different banks.
  struct alignas(16) Stage {
    std::uint16_t bytes[kByteLines][kByteLength + 8];
    std::uint16_t pieces[kPieces][kFloatLines][kFloatLength + 8];
  };
  struct alignas(16) Shared {
    Stage stage[2];
  };
  static_assert(2 * sizeof(Shared) <= 227 * 1024, "two blocks share a multiprocessor of sm_90");

  using Sums = float[kRowBlocks][kColumnBlocks][4];
};

/// A tile's numbers on their way from global to shared memory.
template <class Tile>
struct Fetched {
  Together<std::uint32_t, 4> bytes[Tile::kByteParts];
  Together<float, 4> floats[Tile::kFloatParts];
};

/// The operands: X′ = (X, 1) as bytes, and floats, whose lines begin at multiples of 16 bytes and go on with zeros to
/// the next. Numbers beyond the ends of either count as zeros.
struct ByteOperands {
  FeatureView<float> x;  // bytes; the scale does not count
  bool bias;
  MatrixView<const float> floats;
};

/// 16 numbers of line `row` of X′, from `column` on, the first in the lowest bits.
__device__ __forceinline__ Together<std::uint32_t, 4> fetch_bytes(const ByteOperands& in, Index row, Index column) {
  Together<std::uint32_t, 4> part{};
  if (row >= in.x.rows) return part;
  const std::uint8_t* source = in.x.bytes + row * in.x.columns + column;
  if (column + 16 <= in.x.columns && reinterpret_cast<std::uintptr_t>(source) % 16 == 0)
    return std::bit_cast<Together<std::uint32_t, 4>>(*reinterpret_cast<const Together<std::uint8_t, 16>*>(source));
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t byte = column + i < in.x.columns ? source[i] : in.bias && column + i == in.x.columns ? 1 : 0;
    part.value[i / 4] |= byte << 8 * (i % 4);
  }
  return part;
}

/// 4 numbers of line `row` of the floats, from `column` on.
__device__ __forceinline__ Together<float, 4> fetch_floats(const ByteOperands& in, Index row, Index column) {
  if (row >= in.floats.rows || column >= in.floats.columns) return {};
  return *reinterpret_cast<const Together<float, 4>*>(in.floats.row(row) + column);
}

// Which part of which line of the floats a thread moves: all of one line where it is long, else of several lines.
template <class Tile>
__device__ __forceinline__ int float_line(int part) {
  return thread_in_block() / Tile::kFloatThreads +
         (Tile::kTransposed ? 0 : part * (Tile::kThreads / Tile::kFloatThreads));
}
template <class Tile>
__device__ __forceinline__ int float_place(int part) {
  return 4 * (thread_in_block() % Tile::kFloatThreads + (Tile::kTransposed ? part * Tile::kFloatThreads : 0));
}

/// The tile of A that begins at row m and column k, and that of B at row n and column k.
template <class Tile>
__device__ __forceinline__ void fetch(const ByteOperands& in, Index m, Index n, Index k, Fetched<Tile>& fetched) {
#pragma unroll
  for (int part = 0; part < Tile::kByteParts; ++part) {
    const int at = thread_in_block() + part * Tile::kThreads;
    const int line = at / (Tile::kByteLength / 16), place = at % (Tile::kByteLength / 16) * 16;
    fetched.bytes[part] = fetch_bytes(in, (Tile::kTransposed ? k : m) + line, (Tile::kTransposed ? m : k) + place);
  }
#pragma unroll
  for (int part = 0; part < Tile::kFloatParts; ++part) {
    const int line = float_line<Tile>(part), place = float_place<Tile>(part);
    fetched.floats[part] = fetch_floats(in, (Tile::kTransposed ? k : n) + line, (Tile::kTransposed ? n : k) + place);
  }
}

/// The bf16 of a word's i-th byte. 2²³ + byte is a float with the byte in its last place.
__device__ __forceinline__ std::uint16_t bf16_of(std::uint32_t word, int i) {
  const std::uint32_t byte = word >> 8 * i & 255;
  const float value = std::bit_cast<float>(0x4b000000u | byte) - 8388608.0f;
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}

/// Cuts the next bf16 off `rest`: its upper half. What is left is exact; after three of them it is nothing, above
/// 1e-33.
__device__ __forceinline__ std::uint16_t cut_bf16(float& rest) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(rest);
  rest -= std::bit_cast<float>(bits & 0xffff0000u);
  return static_cast<std::uint16_t>(bits >> 16);
}

template <class Tile>
__device__ __forceinline__ void store(const Fetched<Tile>& fetched, typename Tile::Stage& stage) {
#pragma unroll
  for (int part = 0; part < Tile::kByteParts; ++part) {
    const int at = thread_in_block() + part * Tile::kThreads;
    const int line = at / (Tile::kByteLength / 16), place = at % (Tile::kByteLength / 16) * 16;
    Together<std::uint16_t, 8> half[2];
#pragma unroll
    for (int i = 0; i < 16; ++i) half[i / 8].value[i % 8] = bf16_of(fetched.bytes[part].value[i / 4], i % 4);
    auto* target = reinterpret_cast<Together<std::uint16_t, 8>*>(&stage.bytes[line][place]);
    target[0] = half[0];
    target[1] = half[1];
  }
#pragma unroll
  for (int part = 0; part < Tile::kFloatParts; ++part) {
    const int line = float_line<Tile>(part), place = float_place<Tile>(part);
    Together<float, 4> rest = fetched.floats[part];
#pragma unroll
    for (int piece = 0; piece < Tile::kPieces; ++piece) {
      Together<std::uint16_t, 4> cut;
#pragma unroll
      for (int i = 0; i < 4; ++i) cut.value[i] = cut_bf16(rest.value[i]);
      *reinterpret_cast<Together<std::uint16_t, 4>*>(&stage.pieces[piece][line][place]) = cut;
    }
  }
}

/// Where a warp's blocks begin.
__device__ __forceinline__ int row_of_block(int block) { return 32 * block + warp_in_block() / 2 * 16; }
__device__ __forceinline__ int column_of_block(int block) { return 16 * block + warp_in_block() % 2 * 8; }

/// sums += A Bᵀ over the stage, for the warp's blocks; those from `rows` and `columns` on hold zeros and are left out.
template <class Tile>
__device__ __forceinline__ void multiply(const typename Tile::Stage& stage, Index rows, Index columns,
                                         typename Tile::Sums& sums) {
  constexpr bool kTransposed = Tile::kTransposed;
  constexpr int kHalves = Tile::kDepth / 16;
  const int matrix = lane_in_warp() / 8, line = lane_in_warp() % 8;
  std::uint32_t a[Tile::kRowBlocks][kHalves][4];
#pragma unroll
  for (int m = 0; m < Tile::kRowBlocks; ++m)
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const int row = row_of_block(m) + matrix % 2 * 8, k = 16 * half + matrix / 2 * 8;
      load_matrices<kTransposed>(a[m][half], kTransposed ? &stage.bytes[k + line][row] : &stage.bytes[row + line][k]);
    }
#pragma unroll
  for (int n = 0; n < Tile::kColumnBlocks; ++n) {
    if (16 * n >= columns) continue;
    const int column = column_of_block(n);
    std::uint32_t b[Tile::kPieces][4];
#pragma unroll
    for (int piece = 0; piece < Tile::kPieces; ++piece) {
      const auto& lines = stage.pieces[piece];
      load_matrices<kTransposed>(b[piece],
                                 kTransposed ? &lines[8 * matrix + line][column] : &lines[column + line][8 * matrix]);
    }
    float part[Tile::kRowBlocks][4] = {};
#pragma unroll
    for (int piece = Tile::kPieces - 1; piece >= 0; --piece)  // the smallest first
#pragma unroll
      for (int half = 0; half < kHalves; ++half)
#pragma unroll
        for (int m = 0; m < Tile::kRowBlocks; ++m)
          if (32 * m < rows) multiply_add_bf16(part[m], a[m][half], b[piece][2 * half], b[piece][2 * half + 1]);
#pragma unroll
    for (int m = 0; m < Tile::kRowBlocks; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[m][n][i] += part[m][i];
  }
}

/// sums ← A Bᵀ of the tile at row m and column n, over k from `begin` to `end`; what lies beyond `end` must be zeros,
/// or beyond the operands. `rows` and `columns` are those of A Bᵀ.
template <class Tile>
__device__ __forceinline__ void multiply_tile(const ByteOperands& in, Index m, Index n, Index begin, Index end,
                                              Index rows, Index columns, typename Tile::Shared& shared,
                                              typename Tile::Sums& sums) {
  Fetched<Tile> fetched;
  if (begin >= end) return;
  fetch<Tile>(in, m, n, begin, fetched);
  store<Tile>(fetched, shared.stage[0]);
  int current = 0;
  for (Index k = begin; k < end; k += Tile::kDepth) {
    __syncthreads();  // this stage is full, and nobody reads the other one any more
    const bool goes_on = k + Tile::kDepth < end;
    if (goes_on) fetch<Tile>(in, m, n, k + Tile::kDepth, fetched);
    multiply<Tile>(shared.stage[current], rows - m, columns - n, sums);
    current ^= 1;
    if (goes_on) store<Tile>(fetched, shared.stage[current]);
  }
}

/// Calls use(row, column, sum) for the thread's numbers of the tile that begins at (m, n).
template <class Tile, class Use>
__device__ __forceinline__ void for_each_sum(Index m, Index n, const typename Tile::Sums& sums, const Use& use) {
  m += lane_in_warp() / 4;
  n += lane_in_warp() % 4 * 2;
#pragma unroll
  for (int row = 0; row < Tile::kRowBlocks; ++row)
#pragma unroll
    for (int column = 0; column < Tile::kColumnBlocks; ++column)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        use(m + row_of_block(row) + i / 2 * 8, n + column_of_block(column) + i % 2, sums[row][column][i]);
}

}  // namespace clout::cuda
