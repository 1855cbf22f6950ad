#include <clout/kernels/cpu/softmax_hessian.hpp>
#include <clout/kernels/cpu/sparse_lines.hpp>
#include <clout/kernels/interruption.hpp>
#include <functional>

namespace clout::cpu {
namespace {

// Pairs of classes that are summed side by side, a lane each: their sums for one feature stay in the first-level cache.
constexpr int kVectors = 3;
constexpr Index kPairs = kVectors * kLanes<double>;
// Examples with a sum of their own, which is added to that of all: numbers of one sign, so one sum would lose a digit.
constexpr Index kVisits = 1024;
constexpr int kTogether = 4;
constexpr Index kAhead = 6;  // examples that are fetched before their turn

double to_double(double value) { return value; }
double to_double(std::uint8_t byte) { return kByteValues<double>[byte]; }

// An example in which a feature is not zero.
struct Visit {
  Index row, begin, end;  // its entries from the feature's own on
  double value;
};

// One row of every block, H_cc′[u][u …], c < c′: the sums over the examples in which feature u is not zero of w x_u p_c p_c′
// times what else they have from u on. In double, for both precisions.
template <class T, class Place, class Stored>
class FeatureRows {
 public:
  FeatureRows(const SoftmaxHessian<T>& op, Entries<Place, Stored> rows, double* sums, Visit* visits)
      : op_(op), rows_(rows), d_(op.shape.features), sums_(sums), totals_(sums + (d_ + 1) * kPairs), visits_(visits) {}

  void run(Index u) {
    find_visits(u);
    const Index classes = op_.shape.classes, pairs = classes * (classes - 1) / 2;
    for (Index first = 0; first < pairs; first += kPairs) {
      const Index count = std::min(kPairs, pairs - first);
      for (Index lane = 0; lane < count; ++lane) pairs_[lane] = pair_of(first + lane, classes);
      std::fill(totals_ + u * kPairs, sums_end(totals_), 0.0);
      for (Index at = 0; at < count_; at += kVisits) {
        add_up(u, count, at, std::min(at + kVisits, count_));
        std::transform(sums_ + u * kPairs, sums_end(sums_), totals_ + u * kPairs, totals_ + u * kPairs, std::plus<>());
      }
      for (Index lane = 0; lane < count; ++lane) scatter(u, lane);
    }
  }

 private:
  void find_visits(Index u) {
    count_ = 0;
    if (u == d_) {  // the bias
      for (Index row = 0; row < op_.features.rows; ++row) visits_[count_++] = {row, 0, 0, 1};
      return;
    }
    const SparseLines<T>& lines = op_.sparse.columns;
    const Index blocks = ceil_div(op_.features.rows, op_.sparse.block_rows);
    for (Index block = 0; block < blocks; ++block) {
      const Index line = block * d_ + u;
      for (Index entry = lines.starts[line]; entry < lines.starts[line + 1]; ++entry) {
        const Index row = block * op_.sparse.block_rows + (lines.wide ? Index{lines.wide[entry]} : Index{lines.narrow[entry]});
        const Place* end = rows_.places + rows_.starts[row + 1];
        const Index begin = std::lower_bound(rows_.places + rows_.starts[row], end, static_cast<Place>(u)) - rows_.places;
        visits_[count_++] = {row, begin, end - rows_.places, to_double(rows_.stored[begin])};
      }
    }
  }

  double* sums_end(double* sums) const { return sums + (d_ + 1) * kPairs; }

  // sums[v][lane] for v ≥ u, of some visits.
  void add_up(Index u, Index count, Index first, Index last) {
    std::fill(sums_ + u * kPairs, sums_end(sums_), 0.0);
    alignas(64) double factors[kPairs] = {};
    double* const sums = sums_;  // what is stored might be a member, for all that the compiler knows
    const Place* const places = rows_.places;
    const Stored* const stored = rows_.stored;
    for (Index number = first; number < last; ++number) {
      if (number + kAhead < last) fetch(visits_[number + kAhead]);
      const Visit& visit = visits_[number];
      const T* p = op_.probabilities.row(visit.row);
      const double weight = op_.example_weights ? static_cast<double>(op_.example_weights[visit.row]) : 1.0;
      for (Index lane = 0; lane < count; ++lane)
        factors[lane] = weight * visit.value * (static_cast<double>(p[pairs_[lane].first]) * static_cast<double>(p[pairs_[lane].second]));
      Vector<double> factor[kVectors];
      for (int v = 0; v < kVectors; ++v) factor[v] = load(factors + v * kLanes<double>);
      const Index end = visit.end;
      Index entry = visit.begin;
      for (; entry + kTogether <= end; entry += kTogether) add<kTogether>(sums, places + entry, stored + entry, factor);
      for (; entry < end; ++entry) add<1>(sums, places + entry, stored + entry, factor);
      for (int v = 0; op_.shape.bias && v < kVectors; ++v) at(sums, d_)[v] += factor[v];
    }
  }

  static Vector<double>* at(double* sums, Index place) { return reinterpret_cast<Vector<double>*>(sums + place * kPairs); }

  // Entries of one example, all of different places: sums are read before any is written, or every entry would wait for the
  // last one's.
  template <int kCount>
  [[gnu::always_inline]] static void add(double* sums, const Place* place, const Stored* stored,
                                         const Vector<double> (&factor)[kVectors]) {
    const Group<Place, kCount> places(place);
    Vector<double>* to[kCount];
    Vector<double> next[kCount][kVectors];
#pragma GCC unroll 8
    for (int e = 0; e < kCount; ++e) {
      to[e] = at(sums, static_cast<Index>(places[e]));
      const Vector<double> times = in_register(broadcast(to_double(stored[e])));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) next[e][v] = add_product<double>(to[e][v], times, factor[v]);
    }
#pragma GCC unroll 8
    for (int e = 0; e < kCount; ++e)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) to[e][v] = next[e][v];
  }

  // Examples are far apart in memory, and short: nothing else would have them in the cache in time.
  void fetch(const Visit& visit) const {
    constexpr Index kLine = 64;
    const auto from = [](const auto* first, const auto* last) {
      for (const auto* line = reinterpret_cast<const char*>(first); line < reinterpret_cast<const char*>(last); line += kLine)
        __builtin_prefetch(line);
    };
    from(rows_.places + visit.begin, rows_.places + visit.end);
    from(rows_.stored + visit.begin, rows_.stored + visit.end);
    from(op_.probabilities.row(visit.row), op_.probabilities.row(visit.row) + op_.shape.classes);
  }

  Index parameter(Index c, Index column) const { return column < d_ ? c * d_ + column : op_.shape.classes * d_ + c; }

  // H_cc′ = H_c′c = −scale · sums, a symmetric block: four places for each number.
  void scatter(Index u, Index lane) {
    const auto [c, other] = pairs_[lane];
    const double feature_scale = static_cast<double>(op_.features.scale);
    const double scale = -static_cast<double>(op_.scale) * (u < d_ ? feature_scale : 1);
    for (Index v = u; v < d_ + (op_.shape.bias ? 1 : 0); ++v) {
      const T value = static_cast<T>(scale * (v < d_ ? feature_scale : 1) * totals_[v * kPairs + lane]);
      op_.out(parameter(c, u), parameter(other, v)) = op_.out(parameter(c, v), parameter(other, u)) = value;
      op_.out(parameter(other, v), parameter(c, u)) = op_.out(parameter(other, u), parameter(c, v)) = value;
    }
  }

  const SoftmaxHessian<T>& op_;
  Entries<Place, Stored> rows_;
  Index d_;
  double *sums_, *totals_;  // [d + 1][kPairs]
  Visit* visits_;           // [n]
  Index count_ = 0;
  Pair pairs_[kPairs] = {};
};

// Of a thread: sums and visits.
template <class T>
struct SparseRoom {
  std::size_t sums, visits;
  explicit SparseRoom(const SoftmaxHessian<T>& op)
      : sums(static_cast<std::size_t>(2 * (op.shape.features + 1) * kPairs) * sizeof(double)),
        visits(static_cast<std::size_t>(round_up(op.features.rows, 2)) * sizeof(Visit)) {}
  std::size_t bytes() const { return sums + visits; }
};

}  // namespace

// K(K−1)/2 · Σ mᵢ² flops for examples with mᵢ entries.
template <class T>
void sparse_softmax_hessian(Device& device, const SoftmaxHessian<T>& op) {
  const SparseRoom<T> room(op);
  const auto address = (reinterpret_cast<std::uintptr_t>(op.scratch.data()) + 63) / 64 * 64;
  with_entries(op.sparse.rows, [&](const auto& rows) {
    parallel_tasks(device, op.shape.features + (op.shape.bias ? 1 : 0), [&](Index u, int thread) {
      if (is_interrupted()) return;
      auto* memory = reinterpret_cast<std::byte*>(address) + static_cast<std::size_t>(thread) * room.bytes();
      FeatureRows(op, rows, reinterpret_cast<double*>(memory), reinterpret_cast<Visit*>(memory + room.sums)).run(u);
    });
  });
}

template <class T>
std::size_t sparse_softmax_hessian_scratch(const Device& device, const SoftmaxHessian<T>& op) {
  return SparseRoom<T>(op).bytes() * static_cast<std::size_t>(as_cpu(device).threads()) + 64;
}

template void sparse_softmax_hessian(Device&, const SoftmaxHessian<float>&);
template void sparse_softmax_hessian(Device&, const SoftmaxHessian<double>&);
template std::size_t sparse_softmax_hessian_scratch(const Device&, const SoftmaxHessian<float>&);
template std::size_t sparse_softmax_hessian_scratch(const Device&, const SoftmaxHessian<double>&);

}  // namespace clout::cpu
