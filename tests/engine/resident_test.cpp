// Solves whose loop is the device's: the bits of the loop that the host drives, what the host still does, and memory.

#include <algorithm>

#include "engine/solve.hpp"
#include "kernels/backend.hpp"
#include "support/evaluate.hpp"
#include "support/forwarding.hpp"
#include "support/network_case.hpp"

namespace clout::test {
namespace {

const CaseSizes kSizes = kSmall ? CaseSizes{9, 3, 3, false, false, true} : CaseSizes{41, 7, 3, false, false, true};

template <class C>
class ResidentTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  /// CG, separate or in blocks, on `fast`, certified by `exact`, and the same with every iteration started by the host.
  void expect_same_bits(Objective<Number>& fast, Objective<double>& exact, const oracle::Matrix& v, double damping,
                        Index limit) {
    for (const bool in_blocks : {false, true}) {
      const auto make = [&](Objective<Number>& of) {
        return in_blocks ? make_block_conjugate_gradient<Number>(of, exact, damping, 1e-9, limit)
                         : make_conjugate_gradient<Number>(of, exact, damping, 1e-9, limit);
      };
      Forwarding<Number> unrecorded(fast);
      expect_same_bits(*make(fast), *make(unrecorded), v);
    }
  }
  void expect_same_bits(Solver& resident, Solver& driven, const oracle::Matrix& v) {
    for (const std::size_t columns : {v.size(), v.size() - 1, v.size()}) {  // another width is another recording
      const oracle::Matrix some(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(columns));
      const Solved a = solve(resident, some), b = solve(driven, some);
      EXPECT_EQ(a.solutions, b.solutions);
      for (std::size_t j = 0; j < columns; ++j) {
        EXPECT_EQ(a.report.columns[j].status, b.report.columns[j].status) << j;
        EXPECT_EQ(a.report.columns[j].iterations, b.report.columns[j].iterations) << j;
        EXPECT_EQ(a.report.columns[j].smallest_rayleigh, b.report.columns[j].smallest_rayleigh) << j;
      }
      EXPECT_LE(a.report.products, b.report.products);  // the host sees the end a little late
      EXPECT_GT(a.report.products, 0);
    }
  }
};
TYPED_TEST_SUITE(ResidentTest, Cases, CaseName);

TYPED_TEST(ResidentTest, TheBitsAreThoseOfTheHostsLoop) {
  using T = typename TypeParam::Number;
  LogisticCase c(kSizes);
  const auto fast = c.template model<T>(this->device());
  const auto exact = c.template model<double>(this->device());
  oracle::Matrix v = c.vectors(4);
  v[1].assign(v[1].size(), 0);  // settled before the loop begins
  for (const Index limit : {3, 300}) this->expect_same_bits(*fast, *exact, v, 0.1, limit);
}

TYPED_TEST(ResidentTest, OnANetworkToo) {
  using T = typename TypeParam::Number;
  NetworkCase c(kSmall ? 4 : 23);
  const auto fast = c.template model<T>(this->device());
  const auto exact = c.template model<double>(this->device());
  const oracle::Matrix v{c.vector(), c.vector(), c.vector()};
  for (const double damping : {0.0, 2.0})  // without, curvature is negative somewhere
    this->expect_same_bits(*fast, *exact, v, damping, kSmall ? 12 : 200);
}

// Whatever the number of iterations: no memory, the same few starts, and the same waits, but for one look after 16
// iterations and one after 32 more.
TYPED_TEST(ResidentTest, IterationsCostTheHostNothing) {
  using T = typename TypeParam::Number;
  LogisticCase c(kSizes);
  const auto model = c.template model<T>(this->device());
  ConjugateGradient<T> cg(HessianOperator<T>(*model, 0.01), 200);
  const oracle::Matrix v = c.vectors(2);
  const Index p = model->parameters();
  const Buffer<T> right = upload_rows<T>(this->device(), v);
  Buffer<T> out(this->device(), 2 * p);
  const auto run = [&](double target) {
    std::vector<ColumnReport> columns(2);
    const DeviceActivity before = this->device().activity();
    cg.correct(right.view(2, p), {target, target}, out.view(2, p), columns);
    const DeviceActivity after = this->device().activity();
    return std::tuple(columns[0].iterations, after.allocations - before.allocations, after.starts - before.starts,
                      after.waits - before.waits);
  };
  run(0.5);  // takes the memory and shows the loop
  const auto [few, no_memory, starts, waits] = run(0.5);
  const auto [many, still_none, more_starts, more_waits] = run(1e-5);
  ASSERT_GE(few, 1);
  ASSERT_GT(many, few + 3);
  EXPECT_EQ(no_memory, 0u);
  EXPECT_EQ(still_none, 0u);
  if (this->device().info().is_host) return;  // whose loops are the CPU's
  const std::uint64_t looks = many > 48 ? 2 : many > 16 ? 1 : 0;
  EXPECT_EQ(more_starts, starts + 2 * looks);
  EXPECT_EQ(more_waits, waits + looks);
  EXPECT_LE(starts, 6u);
  EXPECT_LE(waits, 9u);  // statuses, targets and the counts of kept directions go up, what became of them comes back
}

// On a Gauss-Newton matrix with many eigenvalues, which takes more iterations than go by without a look.
TYPED_TEST(ResidentTest, ASolveIsWatchedAndCanBeStopped) {
  using T = typename TypeParam::Number;
  NetworkCase c(kSmall ? 12 : 40);
  const auto model = c.template model<T>(this->device(), Curvature::gauss_newton);
  const oracle::Matrix v{c.vector(), c.vector()};
  const Index p = model->parameters();
  const Buffer<T> right = upload_rows<T>(this->device(), v);
  Buffer<T> out(this->device(), 2 * p);
  const auto run = [&](ConjugateGradient<T>& cg) {
    std::vector<ColumnReport> columns(2);
    out.upload(std::vector<T>(static_cast<std::size_t>(2 * p)));
    cg.correct(right.view(2, p), {1e-6, 1e-6}, out.view(2, p), columns);
    return out.to_host();
  };
  ConjugateGradient<T> cg(HessianOperator<T>(*model, 1e-3), 70), fresh(HessianOperator<T>(*model, 1e-3), 70);
  std::vector<double> shares;
  cg.watch([&](double share) {
    shares.push_back(share);
    throw Interrupted("enough");
  });
  EXPECT_THROW(run(cg), Interrupted);
  ASSERT_EQ(shares.size(), 1u);
  cg.watch([&](double share) { shares.push_back(share); });
  EXPECT_EQ(run(cg), run(fresh));
  for (const double share : shares) EXPECT_TRUE(share >= 0 && share <= 1) << share;
  EXPECT_GT(shares.back(), 0);
}

TYPED_TEST(ResidentTest, AProductThatCannotBeRecordedAfterAllIsFound) {
  using T = typename TypeParam::Number;
  class Liar : public Forwarding<T> {
   public:
    using Forwarding<T>::Forwarding;
    bool can_record() const override { return true; }
    void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override {
      Forwarding<T>::hessian_product(vectors, damping, out);
      to_host(this->device(), out.rows_from(0, 1));
    }
  };
  LogisticCase c(kSizes);
  const auto model = c.template model<T>(this->device());
  const auto exact = c.template model<double>(this->device());
  Liar liar(*model);
  const auto solver = make_conjugate_gradient<T>(liar, *exact, 0.1, 1e-9);
  EXPECT_THROW(solve(*solver, c.vectors(2)), InternalError);
  const auto honest = make_conjugate_gradient<T>(*model, *exact, 0.1, 1e-9);
  EXPECT_TRUE(solve(*honest, c.vectors(2)).report.certified());
}

// From too little for one right-hand side, by way of some at a time, to all: planned, and never more than is allowed.
TYPED_TEST(ResidentTest, MemoryIsPlannedBeforeTheStart) {
  using T = typename TypeParam::Number;
  class Widest : public Forwarding<T> {
   public:
    using Forwarding<T>::Forwarding;
    void hessian_product(MatrixView<const T> vectors, double damping, MatrixView<T> out) override {
      widest = std::max(widest, vectors.rows);
      Forwarding<T>::hessian_product(vectors, damping, out);
    }
    Index widest = 0;
  };
  LogisticCase c(kSizes);
  const auto fast = c.template model<T>(this->device());
  const auto exact = c.template model<double>(this->device());
  const oracle::Matrix v = c.vectors(6);
  const Index k = 6, p = fast->parameters();
  const Buffer<double> right = upload_rows<double>(this->device(), v);
  Buffer<double> s(this->device(), k * p);
  const std::size_t taken = this->device().peak_memory();
  std::vector<Index> widths;
  for (std::size_t room = 1 << 12; widths.empty() || widths.back() < k; room *= 2) {
    ASSERT_LT(room, std::size_t{1} << 30);
    this->device().set_memory_limit(taken + room);
    Widest counting(*fast);
    const auto solver = make_conjugate_gradient<T>(counting, *exact, 0.1, 1e-8);
    try {
      const SolveReport report = solver->solve(right.view(k, p), s.view(k, p));
      EXPECT_TRUE(report.certified()) << report.first_failure();
      widths.push_back(counting.widest);
    } catch (const OutOfMemory& error) {
      EXPECT_EQ(widths, std::vector<Index>()) << "less was enough: " << error.what();
      const std::string line = error.what();
      EXPECT_NE(line.find("one right-hand side at a time needs"), std::string::npos) << line;
      EXPECT_NE(line.find("are left"), std::string::npos) << line;
      EXPECT_EQ(counting.widest, 0) << "refused after the start";
    }
    EXPECT_LE(this->device().peak_memory(), taken + room);
  }
  EXPECT_LT(widths.front(), k);
  EXPECT_TRUE(std::is_sorted(widths.begin(), widths.end()));
}

}  // namespace
}  // namespace clout::test
