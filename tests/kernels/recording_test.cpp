// Work that a device is shown once: the same effects as calls have, and the promise that such work gives.

#include <clout/kernels/recording.hpp>

#include "backend.hpp"

namespace clout::test {
namespace {

template <class C>
class RecordingTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;
  /// y ← x + y, one start of a kernel.
  std::function<void()> adding(Buffer<Number>& x, Buffer<Number>& y) {
    return [this, &x, &y] {
      this->kernels().combine(this->device(), {1.0, x.view(1, x.size()), 1.0, y.view(1, y.size())});
    };
  }
};
TYPED_TEST_SUITE(RecordingTest, Cases, CaseName);

TYPED_TEST(RecordingTest, ReplaysAreCalls) {
  using T = typename TypeParam::Number;
  Buffer<T> x = this->upload(std::vector<T>{1, 2, 3}), y = this->upload(std::vector<T>{10, 20, 30});
  const auto doubled = [&] {  // x ← 2x, y ← x + y: the order counts
    this->kernels().combine(this->device(), {0.0, {}, 2.0, x.view(1, 3)});
    this->adding(x, y)();
  };
  const auto recording = this->device().record(doubled);
  EXPECT_EQ(y.to_host(), (std::vector<T>{10, 20, 30})) << "nothing runs before replay()";
  for (int i = 0; i < 3; ++i) recording->replay();
  EXPECT_EQ(x.to_host(), (std::vector<T>{8, 16, 24}));
  EXPECT_EQ(y.to_host(), (std::vector<T>{10 + 14, 20 + 28, 30 + 42}));
  x.upload(std::vector<T>{1, 1, 1});  // contents may change between replays
  recording->replay();
  EXPECT_EQ(y.to_host(), (std::vector<T>{26, 50, 74}));
}

TYPED_TEST(RecordingTest, AReplayIsOneStart) {
  using T = typename TypeParam::Number;
  Buffer<T> x = this->upload(std::vector<T>{1}), y = this->upload(std::vector<T>{0});
  const auto add = this->adding(x, y);
  const auto recording = this->device().record([&] { add(), add(), add(); });
  recording->replay();
  const DeviceActivity before = this->device().activity();
  recording->replay();
  recording->replay();
  const DeviceActivity after = this->device().activity();
  EXPECT_EQ(after.starts - before.starts, this->device().info().is_host ? 0u : 2u);
  EXPECT_EQ(after.waits, before.waits);
  EXPECT_EQ(y.to_host(), std::vector<T>{9});
}

TYPED_TEST(RecordingTest, ScratchThatARecordingUsesOutlivesItsOwner) {
  using T = typename TypeParam::Number;
  const Buffer<T> x = this->upload(std::vector<T>{5});
  Buffer<T> y = this->upload(std::vector<T>{0});
  GrowingScratch scratch;
  const auto recording = this->device().record([&] {
    const MatrixView<T> between(reinterpret_cast<T*>(scratch.take(this->device(), sizeof(T)).data()), 1, 1);
    this->kernels().combine(this->device(), {1.0, x.view(1, 1), 0.0, between});
    this->kernels().combine(this->device(), {1.0, between, 1.0, y.view(1, 1)});
  });
  recording->replay();
  recording->replay();
  scratch.take(this->device(), 1000);  // moves
  recording->replay();
  EXPECT_EQ(y.to_host(), std::vector<T>{15});
}

TYPED_TEST(RecordingTest, WhatMayNotBeRecordedIsRefusedAndTheDeviceGoesOn) {
  using T = typename TypeParam::Number;
  Buffer<T> x = this->upload(std::vector<T>{1}), y = this->upload(std::vector<T>{0});
  GrowingScratch scratch;
  Index bytes = 8;
  const std::vector<std::function<void()>> forbidden{
      [&] { Buffer<T>(this->device(), 1); },
      [&] { y.to_host(); },
      [&] { y.upload(std::vector<T>{0}); },
      [&] { this->device().synchronize(); },
      [&] { scratch.take(this->device(), static_cast<std::size_t>(bytes *= 2)); },
      [&] {  // a recording within a recording: its first replay is a plain call, its second is not
        const auto inner = this->device().record(this->adding(x, y));
        inner->replay();
        inner->replay();
      },
  };
  for (std::size_t i = 0; i < forbidden.size(); ++i) {
    const auto add = this->adding(x, y);
    bool allowed = true;  // the first time
    const auto recording = this->device().record([&] {
      add();
      if (!allowed) forbidden[i]();
    });
    recording->replay();
    allowed = false;
    try {
      recording->replay();
      ADD_FAILURE() << "nothing was said about " << i;
    } catch (const InternalError& error) {
      EXPECT_NE(std::string(error.what()).find("by work that is recorded"), std::string::npos) << error.what();
    }
    EXPECT_NO_THROW(this->device().synchronize()) << i;
    EXPECT_NO_THROW(add()) << i;
  }
}

template <class C>
using LoopTest = RecordingTest<C>;
TYPED_TEST_SUITE(LoopTest, Cases, CaseName);

TYPED_TEST(LoopTest, RunsAsOftenAsItMayWhileAWordIsZero) {
  using T = typename TypeParam::Number;
  Buffer<T> x = this->upload(std::vector<T>{1}), y = this->upload(std::vector<T>{0});
  std::vector<std::int32_t> words(70, 3);  // more than a warp
  words[68] = 0;
  Buffer<std::int32_t> on_device = this->upload(words);
  const auto loop = this->device().record_loop(on_device.data(), 70, this->adding(x, y));
  EXPECT_EQ(loop->run(0), 0);
  EXPECT_EQ(y.to_host(), std::vector<T>{0});
  EXPECT_EQ(loop->run(1), 1);
  EXPECT_EQ(loop->run(5), 5);
  EXPECT_EQ(loop->run(2), 2);
  EXPECT_EQ(y.to_host(), std::vector<T>{8});
  words[68] = -1;
  on_device.upload(words);
  EXPECT_EQ(loop->run(5), 0);
  words[0] = 0;
  on_device.upload(words);
  EXPECT_EQ(loop->run(4), 4);
  EXPECT_EQ(y.to_host(), std::vector<T>{12});
  const auto never = this->device().record_loop(on_device.data() + 1, 60, this->adding(x, y));
  EXPECT_EQ(never->run(9), 0);
  EXPECT_EQ(y.to_host(), std::vector<T>{12});
}

// A loop whose body ends it: conjugate gradients on 2I, done in one round.
TYPED_TEST(LoopTest, TheBodyDecidesAboutAnotherRound) {
  using T = typename TypeParam::Number;
  const Index size = 6;
  for (const bool host : {false, true}) {
    Buffer<T> memory = this->upload(std::vector<T>(4 * size, T(0)));
    const auto row = [&](Index i) { return MatrixView<T>(memory.data() + i * size, 1, size); };
    const std::vector<T> right{1, -2, 3, 0, 1, 5};
    this->device().copy_to_device(row(1).data, right.data(), right.size() * sizeof(T));
    Buffer<double> scalars = this->upload(std::vector<double>{0, 1e-3, 0, 0});
    Buffer<std::int32_t> counters = this->upload(std::vector<std::int32_t>{0, 0});
    const ConjugateGradientState<T> state{.x = row(0),
                                          .r = row(1),
                                          .p = row(2),
                                          .q = row(3),
                                          .rho = scalars.data(),
                                          .target = scalars.data() + 1,
                                          .curvature = scalars.data() + 2,
                                          .smallest_rayleigh = scalars.data() + 3,
                                          .status = counters.data(),
                                          .iterations = counters.data() + 1};
    const auto& kernels = this->kernels();
    const auto round = [&] {
      kernels.combine(this->device(), {2.0, state.p, 0.0, state.q});
      kernels.cg_advance(this->device(), state);
      kernels.cg_direct(this->device(), state);
    };
    kernels.cg_start(this->device(), state);
    const auto loop = host ? std::make_unique<HostLoop>(this->device(), state.status, 1, round, 4)
                           : this->device().record_loop(state.status, 1, round);
    EXPECT_EQ(loop->run(50), host ? 4 : 1);  // the host looks at every fourth
    this->device().copy_to_device(row(1).data, right.data(), right.size() * sizeof(T));
    const std::vector<std::int32_t> fresh{0, 0};
    counters.upload(fresh);
    kernels.cg_start(this->device(), state);
    EXPECT_EQ(loop->run(50), host ? 4 : 1);
    EXPECT_EQ(counters.to_host(), (std::vector<std::int32_t>{1, 1}));
    const auto x = memory.to_host();
    for (Index i = 0; i < size; ++i) EXPECT_EQ(x[i], right[i]);  // twice half of it, exactly
  }
}

// Between two looks of the host, as many rounds as there may be: the same few starts and one wait.
TYPED_TEST(LoopTest, RoundsCostTheHostNothing) {
  using T = typename TypeParam::Number;
  if (this->device().info().is_host) GTEST_SKIP() << "the CPU's loops are its host's";
  Buffer<T> x = this->upload(std::vector<T>{1}), y = this->upload(std::vector<T>{0});
  Buffer<std::int32_t> word = this->upload(std::vector<std::int32_t>{0});
  const auto loop = this->device().record_loop(word.data(), 1, this->adding(x, y));
  loop->run(2);
  for (const Index rounds : {1, 7, 40}) {
    const DeviceActivity before = this->device().activity();
    EXPECT_EQ(loop->run(rounds), rounds);
    const DeviceActivity after = this->device().activity();
    EXPECT_EQ(after.starts - before.starts, 2u);
    EXPECT_EQ(after.waits - before.waits, 1u);
    EXPECT_EQ(after.allocations, before.allocations);
  }
}

}  // namespace
}  // namespace clout::test
