// Exact retraining without examples, against the oracle's Newton from the same start.

#include "host/retraining.hpp"

namespace clout::test {
namespace {

using Groups = std::vector<std::vector<Index>>;

template <class C>
class LeaveOneOutTest : public KernelTest<C> {};
TYPED_TEST_SUITE(LeaveOneOutTest, Cases, CaseName);

std::vector<CaseSizes> retraining_cases() {
  return {{60, 4, 3, false, false, true}, {45, 3, 2, true}, {70, 5, 4, true, true, true}};
}

TYPED_TEST(LeaveOneOutTest, SinglesAreTheOracles) {
  for (const CaseSizes& sizes : retraining_cases()) {
    Retraining<typename TypeParam::Number> job(this->device(), sizes, 3);
    const Groups groups{{0}, {7}, {12}, {3}, {41}};  // the fourth has weight 0 where there are weights
    auto loo = job.leave_one_out({.block = 8});
    const std::vector<RetrainedModel> models = loo.retrain_block(groups);
    ASSERT_EQ(models.size(), groups.size());
    for (std::size_t j = 0; j < groups.size(); ++j) {
      SCOPED_TRACE(testing::Message() << sizes << ", without " << groups[j][0]);
      job.expect_exact(models[j], groups[j], 1e-10);
      EXPECT_GT(models[j].iterations, 0);
    }
    // Differences in float are good to eps ‖Hδ‖, δ of the order of 1/n: at such n that is above the tolerance.
    if (sizeof(typename TypeParam::Number) == 8) {
      EXPECT_EQ(job.newton_calls, 0) << "one point of " << sizes.n << " is what the chord iteration is for";
      for (const RetrainedModel& model : models) EXPECT_LE(model.iterations, 8) << "without Anderson's correction: up to 17";
    }
  }
}

TYPED_TEST(LeaveOneOutTest, GroupsAreTheOracles) {
  for (const CaseSizes& sizes : retraining_cases()) {
    Retraining<typename TypeParam::Number> job(this->device(), sizes, 2);
    const Groups groups{{0, 1}, {9, 4, 30}, {20}, {5, 6, 8, 10, 11, 13, 14, 16}};
    auto loo = job.leave_one_out({.tolerance = 1e-10, .block = 4});
    const std::vector<RetrainedModel> models = loo.retrain_block(groups);
    for (std::size_t j = 0; j < groups.size(); ++j) {
      SCOPED_TRACE(testing::Message() << sizes << ", set " << j);
      job.expect_exact(models[j], groups[j], 1e-10);
    }
  }
}

// Models leave a block one after the other, as they are done, and what they leave behind is still theirs: hard ones
// before, between and after easy ones, and one that removes nothing of weight.
TYPED_TEST(LeaveOneOutTest, ModelsLeaveWhenTheyAreDone) {
  for (const CaseSizes& sizes : retraining_cases()) {
    Retraining<typename TypeParam::Number> job(this->device(), sizes, 2);
    const Groups groups{{5, 6, 8, 10, 11, 13, 14, 16}, {0}, {9, 4, 30}, {3}, {1, 2, 17, 21, 22, 25}, {12}};
    const std::vector<RetrainedModel> models = job.leave_one_out({.block = 6}).retrain_block(groups);
    Index least = models[0].iterations, most = least;
    for (std::size_t j = 0; j < groups.size(); ++j) {
      SCOPED_TRACE(testing::Message() << sizes << ", set " << j);
      job.expect_exact(models[j], groups[j], 1e-10);
      // What is left of a model's past goes with it: it takes the steps that it takes alone.
      if (sizeof(typename TypeParam::Number) == 8) {
        EXPECT_EQ(models[j].iterations, job.leave_one_out({.block = 1}).retrain_block({groups[j]})[0].iterations);
      }
      least = std::min(least, models[j].iterations);
      most = std::max(most, models[j].iterations);
    }
    EXPECT_LT(least, most) << "all left together";
  }
}

TYPED_TEST(LeaveOneOutTest, TighterTolerancesAreReachedToo) {
  Retraining<typename TypeParam::Number> job(this->device(), retraining_cases()[0], 2);
  auto loo = job.leave_one_out({.tolerance = 1e-13, .block = 4});
  const std::vector<RetrainedModel> models = loo.retrain_block({{2}, {11}});
  job.expect_exact(models[0], {2}, 1e-13);
  job.expect_exact(models[1], {11}, 1e-13);
}

// Most of the data gone: the Hessian at the old optimum is no guide any more.
TYPED_TEST(LeaveOneOutTest, WhereTheChordIterationFailsNewtonTakesOver) {
  Retraining<typename TypeParam::Number> job(this->device(), {50, 3, 2, false, false, false, 0.01}, 2);
  std::vector<Index> most;
  for (Index i = 0; i < 50; ++i)
    if (i % 12 != 0) most.push_back(i);
  const Groups groups{{4}, most, {30}};
  auto loo = job.leave_one_out({.tolerance = 1e-10, .max_steps = 12, .block = 3});
  const std::vector<RetrainedModel> models = loo.retrain_block(groups);
  EXPECT_GT(job.newton_calls, 0);
  for (std::size_t j = 0; j < groups.size(); ++j) {
    SCOPED_TRACE(testing::Message() << "set " << j);
    job.expect_exact(models[j], groups[j], 1e-10);
  }

  auto alone = job.leave_one_out({.tolerance = 1e-10, .max_steps = 12, .block = 3}, false);
  const std::vector<RetrainedModel> honest = alone.retrain_block({most});
  EXPECT_FALSE(honest[0].gradient_norm <= 1e-10) << "without Newton's method the failure must show";
}

TYPED_TEST(LeaveOneOutTest, BitsDoNotDependOnOtherBlocks) {
  Retraining<typename TypeParam::Number> job(this->device(), retraining_cases()[1], 2);
  auto loo = job.leave_one_out({.block = 3});
  const Groups block{{8}, {21}, {3}};
  Groups more{{1}, {30, 2}, {17}};
  more.insert(more.end(), block.begin(), block.end());
  more.push_back({5});
  const std::vector<RetrainedModel> all = loo.run(more, nullptr), one = loo.run(block, nullptr);
  for (const RetrainedModel& model : all) EXPECT_EQ(model.parameters.capacity(), 0u);  // n·p numbers otherwise
  ASSERT_EQ(all.size(), 7u);
  expect_same_bits({all.begin() + 3, all.begin() + 6}, one);
  expect_same_bits(loo.run(more, nullptr), all);
  EXPECT_TRUE(one[0].parameters.empty());  // a run keeps what is asked for alone
}

TYPED_TEST(LeaveOneOutTest, WhatCannotBeRemovedIsRefused) {
  Retraining<typename TypeParam::Number> job(this->device(), {6, 2, 2}, 1);
  auto loo = job.leave_one_out({.block = 2});
  const auto message = [&](const Groups& groups) { return refusal([&] { loo.run(groups, nullptr); }); };
  EXPECT_NE(message({{0, 1, 2, 3, 4, 5}}).find("something must stay"), std::string::npos);
  EXPECT_NE(message({{0}, {6}}).find("index 6 is out of range; expected 0 to 5"), std::string::npos);
  EXPECT_NE(message({{-1}}).find("index -1"), std::string::npos);
  EXPECT_NE(message({{1, 1}}).find("stands twice"), std::string::npos);
  EXPECT_NE(refusal([&] { loo.retrain_block({{0}, {1}, {2}}); }).find("expected 1 to 2"), std::string::npos);
  EXPECT_NE(refusal([&] { job.leave_one_out({.tolerance = 0}); }).find("tolerance"), std::string::npos);
  EXPECT_NE(refusal([&] { job.leave_one_out({.block = 0}); }).find("block"), std::string::npos);
}

}  // namespace
}  // namespace clout::test
