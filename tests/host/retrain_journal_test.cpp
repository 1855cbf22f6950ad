// Retraining that is stopped and resumed gives the bits of retraining that never was.

#include <unistd.h>

#include <filesystem>

#include "host/retraining.hpp"

namespace clout::test {
namespace {

namespace fs = std::filesystem;

/// A folder of this test's own, removed with everything in it.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "clout-journal-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path journal() const { return path_ / "retrain.journal"; }

 private:
  fs::path path_;
};

template <class C>
class RetrainJournalTest : public KernelTest<C> {};
TYPED_TEST_SUITE(RetrainJournalTest, Cases, CaseName);

const std::vector<std::vector<Index>> kGroups{{0}, {5}, {9, 2}, {11}, {20}, {3}, {31}, {14}};
const char* const kFingerprint = R"({"request":1})";

/// Throws once `models` of them are done.
Progress stop_after(double models) {
  return [models](const std::string&, double done, double) {
    if (done >= models) throw Interrupted("stopped by the test");
  };
}

TYPED_TEST(RetrainJournalTest, StoppedAndResumedGivesTheSameBits) {
  Retraining<typename TypeParam::Number> job(this->device(), {40, 3, 3, true}, 2);
  const std::vector<RetrainedModel> whole = job.leave_one_out({.block = 3}).run(kGroups, nullptr);
  for (const double stop : {3.0, 6.0, 8.0}) {
    const Folder folder;
    {
      io::Journal journal = io::Journal::open(folder.journal(), kFingerprint, false);
      EXPECT_THROW(job.leave_one_out({.block = 3}).run(kGroups, &journal, stop_after(stop)), Interrupted);
    }
    io::Journal journal = io::Journal::open(folder.journal(), kFingerprint, true);
    EXPECT_EQ(journal.completed().size(), static_cast<std::size_t>((stop + 2) / 3));
    expect_same_bits(job.leave_one_out({.block = 3}).run(kGroups, &journal), whole);
    EXPECT_EQ(journal.completed().size(), 3u);
    // Once more, from the journal alone: nothing is computed, so a job without Newton and without steps will do.
    expect_same_bits(job.leave_one_out({.max_steps = 0, .block = 3}, false).run(kGroups, &journal), whole);
  }
}

TYPED_TEST(RetrainJournalTest, AJournaledRunGivesTheBitsOfAnUnjournaledOne) {
  Retraining<typename TypeParam::Number> job(this->device(), {40, 3, 3, true}, 2);
  const Folder folder;
  io::Journal journal = io::Journal::open(folder.journal(), kFingerprint, false);
  expect_same_bits(job.leave_one_out({.block = 3}).run(kGroups, &journal),
                   job.leave_one_out({.block = 3}).run(kGroups, nullptr));
  journal.finish();
  EXPECT_FALSE(fs::exists(folder.journal()));
}

TYPED_TEST(RetrainJournalTest, ARecordOfAnotherLengthIsRefused) {
  Retraining<typename TypeParam::Number> job(this->device(), {40, 3, 3, true}, 2);
  const Folder folder;
  io::Journal journal = io::Journal::open(folder.journal(), kFingerprint, false);
  journal.append(1, std::vector<double>{1, 2, 3});
  auto loo = job.leave_one_out({.block = 3});
  const std::string message = refusal([&] { loo.run(kGroups, &journal); });
  EXPECT_NE(message.find("block 1 has another length"), std::string::npos) << message;
}

}  // namespace
}  // namespace clout::test
