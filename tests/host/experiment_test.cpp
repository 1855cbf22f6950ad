// What the experiments choose, read and tabulate.

#include <clout/host/reproduce/checkpoint.hpp>
#include <clout/host/reproduce/experiment.hpp>
#include <clout/host/reproduce/network_tables.hpp>

#include <algorithm>
#include <clout/host/io/npy.hpp>
#include <set>

#include "io/support.hpp"

namespace clout::reproduce {
namespace {

namespace fs = std::filesystem;

TEST(Experiment, TestRowsAreTheFiguresThenOthersOnce) {
  const std::vector<Index> rows = test_rows(8, 40, 39, 3);
  EXPECT_EQ(rows[0], 8);
  EXPECT_EQ(std::set<Index>(rows.begin(), rows.end()).size(), 40u);  // all of them, so none twice
  EXPECT_EQ(test_rows(8, 40, 5, 3), test_rows(8, 40, 5, 3));
  EXPECT_NE(test_rows(8, 40, 5, 3), test_rows(8, 40, 5, 4));
}

TEST(Experiment, RemovedRowsAreTheLargestEitherWayThenRandom) {
  const std::vector<double> scores{0.5, -3, 2, 3, -0.1, 0};
  const std::vector<Index> rows = removed_rows(scores, 4, 3, 1);
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_EQ(std::vector<Index>(rows.begin(), rows.begin() + 4), (std::vector<Index>{1, 3, 2, 0}));  // ties by number
  EXPECT_EQ(std::set<Index>(rows.begin() + 4, rows.end()).size(), 3u);
}

// data/mnist/README.md gives the classes' counts.
TEST(SmallSubset, HoldsWhatItsReadmeSays) {
  const fs::path folder = io::find_mnist();
  const std::vector<std::int64_t> rows = io::read_small_subset(folder);
  ASSERT_EQ(rows.size(), 5500u);
  EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 5500u);
  const io::Mnist mnist = io::load_mnist();
  const auto split = io::paper_split(mnist);
  std::vector<int> counts(10);
  for (const std::int64_t row : rows) ++counts[split.train.labels[static_cast<std::size_t>(row)]];
  EXPECT_EQ(counts, (std::vector<int>{536, 612, 588, 523, 533, 474, 576, 569, 570, 519}));
}

TEST(SmallSubset, DamagedFilesAreRefused) {
  const io::testing::TemporaryFolder folder;
  const fs::path file = io::small_subset_file(folder.path());
  const auto refusal = [&](const std::string& text) {
    io::testing::write_bytes(file, text);
    const std::string message = io::testing::message_of([&] { io::read_small_subset(folder.path()); });
    EXPECT_NE(message.find(file.filename().string()), std::string::npos) << message;
    return message;
  };
  EXPECT_NE(refusal("1\n2\n").find("2 whole numbers"), std::string::npos);
  EXPECT_NE(refusal("1\n55000\n").find("line 2 says 55000"), std::string::npos);
  EXPECT_NE(refusal("1\nx\n").find("1 whole numbers"), std::string::npos);
  fs::remove(file);
  EXPECT_NE(io::testing::message_of([&] { io::read_small_subset(folder.path()); }).find("cannot be read"),
            std::string::npos);
}

class CheckpointFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    write("params.npy", {2}, {0.5f, -1.5f});
    write("moments.npy", {2, 2}, {1, 2, 3, 4});
    io::testing::write_bytes(folder / "train.json", R"({"steps": 7, "batch": 3, "seed": 5, "first_learning_rate": 0.25,
                                                        "drops": [2, 4]})");
  }
  void write(const std::string& name, const std::vector<Index>& shape, const std::vector<float>& values) {
    io::write_npy(folder / name, shape, std::span<const float>(values));
  }
  Checkpoint read() { return read_checkpoint(folder.path(), 2, manifest); }
  std::string refusal() {
    return io::testing::message_of([&] { read(); });
  }

  io::testing::TemporaryFolder folder;
  io::Manifest manifest{{}};
};

TEST_F(CheckpointFiles, HoldEverythingThatTheNextStepNeeds) {
  const Checkpoint checkpoint = read();
  EXPECT_EQ(checkpoint.state.step, 7);
  EXPECT_EQ(checkpoint.state.parameters, (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(checkpoint.state.first_moments, (std::vector<double>{1, 2}));
  EXPECT_EQ(checkpoint.state.second_moments, (std::vector<double>{3, 4}));
  EXPECT_EQ(checkpoint.options.seed, 5u);
  EXPECT_EQ(checkpoint.options.batch, 3);
  EXPECT_EQ(checkpoint.options.drops, (std::vector<Index>{2, 4}));
  EXPECT_DOUBLE_EQ(checkpoint.options.rate(5), 0.0025);
  EXPECT_EQ(manifest.to_json()["inputs"].size(), 3u);
}

TEST_F(CheckpointFiles, ThatDoNotFitAreRefused) {
  write("moments.npy", {1, 2}, {1, 2});
  EXPECT_NE(refusal().find("expected [2][2]"), std::string::npos);
  SetUp();
  io::testing::write_bytes(folder / "train.json", R"({"steps": 7})");
  EXPECT_NE(refusal().find("first_learning_rate"), std::string::npos);
  io::testing::write_bytes(folder / "train.json", "[");
  EXPECT_NE(refusal().find("train.json"), std::string::npos);
  fs::remove(folder / "params.npy");
  EXPECT_NE(refusal().find("params.npy"), std::string::npos);
}

NetworkResult made_up() {
  NetworkResult r;
  r.tests = {6558, 1, 2};
  r.removed = {10, 20, 30, 40, 50};
  r.labels = {0, 1, 2, 3, 4};
  r.influential = 2;
  for (int j = 0; j < 5; ++j)
    for (int t = 0; t < 3; ++t) {
      const double x = (j + 1) * (t + 1);
      r.adam.predicted.push_back(x);
      r.adam.actual.push_back(2 * x + 1);
      r.proximal.predicted.push_back(x);
      r.proximal.actual.push_back(3 * x);
      r.pbrf.predicted.push_back(-x);
      r.pbrf.actual.push_back(-4 * x);
    }
  r.proximal.gradient_norms = {1, 2, 3, 4, 5};
  r.pbrf.gradient_norms = {6, 7, 8, 9, 10};
  r.controls = {1, 0, 0, 3, 0, 0, 5, 0, 0};
  return r;
}

TEST(NetworkTables, RowsOfTheInfluentialAndTheRandom) {
  const std::string header =
      "rank,train_index,label,test_index,predicted,actual,proximal,proximal_gradient_norm,predicted_gauss_newton,pbrf,"
      "pbrf_gradient_norm\n";
  EXPECT_EQ(influential_csv(made_up()), header + "1,10,0,6558,1,3,3,1,-1,-4,6\n2,20,1,6558,2,5,6,2,-2,-8,7\n");
  const std::string random = random_csv(made_up());
  EXPECT_EQ(std::count(random.begin(), random.end(), '\n'), 1 + 3 * 2);
  EXPECT_NE(random.find("\n1,30,2,1,6,13,18,3,-6,-24,8\n"), std::string::npos) << random;
}

TEST(NetworkTables, RowsThatAdamDidNotTrainWithoutAreEmptyAndDoNotCount) {
  NetworkResult r = made_up();
  r.influential = 4;
  r.adam.actual = {1, 9, 9, 5, 9, 9, 8, 9, 9};  // of three of the five removed rows
  const std::string text = influential_csv(r);
  EXPECT_NE(text.find("\n3,30,2,6558,3,8,9,3,-3,-12,8\n4,40,3,6558,4,,12,4,-4,-16,9\n"), std::string::npos) << text;
  EXPECT_NE(random_csv(r).find("\n1,50,4,1,10,,30,5,-10,-40,10\n"), std::string::npos);
  RandomSequence random(1, RandomStream::bootstrap);
  const nlohmann::ordered_json facts = agreement_facts(r, random);
  EXPECT_DOUBLE_EQ(facts["slope"].get<double>(), 3.5);  // through (1, 1), (2, 5), (3, 8)
  EXPECT_DOUBLE_EQ(facts["proximal"]["slope"].get<double>(), 3);
}

TEST(NetworkTables, FactsAreSignedSlopes) {
  RandomSequence random(1, RandomStream::bootstrap);
  const nlohmann::ordered_json facts = agreement_facts(made_up(), random);
  EXPECT_DOUBLE_EQ(facts["slope"].get<double>(), 2);
  EXPECT_DOUBLE_EQ(facts["intercept"].get<double>(), 1);
  EXPECT_DOUBLE_EQ(facts["proximal"]["slope"].get<double>(), 3);
  EXPECT_DOUBLE_EQ(facts["pbrf"]["slope"].get<double>(), 4);
  EXPECT_EQ(facts["max_gradient_norm"].get<double>(), 10);
  EXPECT_DOUBLE_EQ(facts["noise_floor"].get<double>(), 2);  // of 1, 3, 5
  std::vector<TestAgreement> per_test;
  const auto over = random_facts(made_up(), made_up().pbrf, random, per_test);
  ASSERT_EQ(per_test.size(), 2u);
  EXPECT_EQ(per_test[1].test_index, 2);
  EXPECT_DOUBLE_EQ(over["slope_pooled"].get<double>(), 4);
  EXPECT_EQ(over["n_removed"].get<int>(), 3);
}

}  // namespace
}  // namespace clout::reproduce
