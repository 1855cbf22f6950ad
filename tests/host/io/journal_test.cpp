// Journals: cut at every byte, damaged at every byte, of another request, written twice, on a full disk.

#include <sys/wait.h>

#include <clout/host/io/journal.hpp>
#include <cmath>
#include <limits>
#include <optional>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::message_of;
using testing::read_bytes;
using testing::write_bytes;
namespace fs = std::filesystem;

const std::string kRequest = R"({"seed":1,"l2":0.01})";

std::vector<double> payload(std::uint64_t block) {
  std::vector<double> values(block % 4);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::ldexp(static_cast<double>(block + i), -70);
  return values;
}

class JournalTest : public ::testing::Test {
 protected:
  /// A journal of blocks 7, 6, … (payloads of 3, 2, 1, 0, 3 … numbers); ends_[i]: file size after i of them.
  void write_blocks(std::size_t count) {
    Journal journal = Journal::open(path_, kRequest, false);
    ends_.push_back(fs::file_size(path_));
    for (std::size_t i = 0; i < count; ++i) {
      journal.append(7 - i, payload(7 - i));
      ends_.push_back(fs::file_size(path_));
    }
  }
  /// The first `count` blocks, nothing else.
  static Journal::Blocks first_blocks(std::size_t count) {
    Journal::Blocks blocks;
    for (std::size_t i = 0; i < count; ++i) blocks[7 - i] = payload(7 - i);
    return blocks;
  }
  std::size_t whole_records(std::size_t bytes) const {
    std::size_t count = 0;
    while (count + 1 < ends_.size() && ends_[count + 1] <= bytes) ++count;
    return count;
  }

  testing::TemporaryFolder folder_;
  fs::path path_ = folder_ / "loo.journal";
  std::vector<std::uintmax_t> ends_;
};

TEST_F(JournalTest, KeepsWhatWasAppended) {
  write_blocks(6);
  Journal journal = Journal::open(path_, kRequest, true);
  EXPECT_EQ(journal.completed(), first_blocks(6));
  const std::vector<double> odd{std::numeric_limits<double>::quiet_NaN(), -0.0,
                                std::numeric_limits<double>::infinity()};
  journal.append(std::numeric_limits<std::uint64_t>::max(), odd);
  EXPECT_THROW(journal.append(7, odd), InternalError);
  { const Journal released = std::move(journal); }
  const Journal again = Journal::open(path_, kRequest, true);
  const std::vector<double>& back = again.completed().at(std::numeric_limits<std::uint64_t>::max());
  EXPECT_TRUE(std::isnan(back[0]));
  EXPECT_TRUE(std::signbit(back[1]));
  EXPECT_EQ(again.completed().size(), 7u);
}

TEST_F(JournalTest, BeginsAnewWithResumeWhereThereIsNone) {
  EXPECT_TRUE(Journal::open(path_, kRequest, true).completed().empty());
  EXPECT_TRUE(Journal::open(path_, kRequest, true).completed().empty());
}

TEST_F(JournalTest, RefusesUnfinishedWorkWithoutResume) {
  write_blocks(1);
  expect_refused(path_, "holds unfinished work; expected none: pass --resume to go on, or choose another --out",
                 [&] { Journal::open(path_, kRequest, false); });
  EXPECT_EQ(Journal::open(path_, kRequest, true).completed(), first_blocks(1));
}

TEST_F(JournalTest, RefusesAnotherRequestAndSaysWhatDiffers) {
  write_blocks(2);
  const std::string before = read_bytes(path_);
  const auto expect_differs = [&](std::string_view request, std::string_view what) {
    expect_refused(path_, what, [&] { Journal::open(path_, request, true); });
  };
  expect_differs(R"({"seed":2,"l2":0.01})", "of another request (seed is 1 there, 2 now); expected");
  expect_differs(R"({"seed":1})", "(l2 is 0.01 there, null now)");
  expect_differs(R"({"seed":1,"l2":0.01,"bias":true})", "(bias is null there, true now)");
  expect_differs(
      "plain words",
      "of another request; expected the same request as now: delete it to start again, or choose another --out");
  EXPECT_EQ(read_bytes(path_), before);
}

TEST_F(JournalTest, TakesInputsByTheirContents) {
  const std::string request = R"({"inputs":[{"path":"x.npy","sha256":"aa"},{"path":"y.npy","sha256":"bb"}]})";
  const std::string moved = R"({"inputs":[{"path":"./x.npy","sha256":"aa"},{"path":"/w/y.npy","sha256":"bb"}]})";
  Journal::open(path_, request, false).append(1, std::vector<double>{1});
  EXPECT_EQ(Journal::open(path_, moved, true).completed().size(), 1u);
}

TEST_F(JournalTest, NamesTheInputThatDiffers) {
  const auto inputs = [](const std::string& list) { return R"({"seed":1,"inputs":[)" + list + "]}"; };
  const std::string x = R"({"path":"x.npy","sha256":"aa"})";
  Journal::open(path_, inputs(x), false);
  const auto expect_differs = [&](const std::string& list, std::string_view what) {
    expect_refused(path_, what, [&] { Journal::open(path_, inputs(list), true); });
  };
  expect_differs(R"({"path":"x.npy","sha256":"cc"})", "of another request (x.npy has other contents than then)");
  expect_differs(R"({"path":"z.npy","sha256":"cc"})", "(z.npy has other contents than x.npy had then)");
  expect_differs(x + "," + x, "(1 input files there, 2 now)");

  // Files before it that came or went do not make x.npy another.
  const std::string w = R"({"path":"w.npy","sha256":"dd"})", y = R"({"path":"y.npy","sha256":"ee"})";
  expect_differs(w + "," + x, "(w.npy was no input then)");
  std::filesystem::remove(path_);
  Journal::open(path_, inputs(w + "," + x), false);
  expect_differs(x, "(w.npy is no input now)");
  expect_differs(R"({"path":"x.npy","sha256":"cc"})", "(x.npy has other contents than then)");
  expect_differs(x + "," + y, "(y.npy has other contents than w.npy had then)");
  expect_differs(R"({"path":"w.npy","sha256":"aa"},{"path":"x.npy","sha256":"dd"})",
                 "(w.npy has the contents of another input then)");
}

TEST_F(JournalTest, RefusesWhatIsNoJournal) {
  for (const std::string_view bytes :
       {"some notes", "some notes\nof mine\n", "{}\n", "{\"clout_journal\":1}\n", "\xff\xfe\n"}) {
    write_bytes(path_, bytes);
    expect_refused(path_, "is no journal of clout", [&] { Journal::open(path_, kRequest, true); });
    EXPECT_EQ(read_bytes(path_), bytes);
  }
  write_bytes(path_, "{\"clout_journal\":2,\"fingerprint\":\"x\"}\n");
  expect_refused(path_, "journal of format 2; expected 1", [&] { Journal::open(path_, kRequest, true); });
  expect_refused(folder_.path(), "Is a directory", [&] { Journal::open(folder_.path(), kRequest, true); });
  expect_refused(folder_ / "no/journal", "No such file",
                 [&] { Journal::open(folder_ / "no/journal", kRequest, true); });
}

// A kill may cut the file anywhere: what is whole is there, and the file goes on from its end.
TEST_F(JournalTest, SurvivesACutAtEveryByte) {
  write_blocks(5);
  const std::string whole = read_bytes(path_);
  ASSERT_EQ(whole.size(), ends_.back());
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    write_bytes(path_, whole.substr(0, length));
    const std::size_t count = whole_records(length);
    {
      Journal journal = Journal::open(path_, kRequest, true);
      ASSERT_EQ(journal.completed(), first_blocks(count)) << length;
      ASSERT_EQ(fs::file_size(path_), ends_[count]) << length;
      if (count < 5) journal.append(7 - count, payload(7 - count));
    }
    const std::size_t now = std::min<std::size_t>(count + 1, 5);
    ASSERT_EQ(read_bytes(path_), whole.substr(0, ends_[now])) << length;
    ASSERT_EQ(Journal::open(path_, kRequest, true).completed(), first_blocks(now)) << length;
  }
}

// After a power cut, the end of the file may be there as zeros: of the last record only, each was synced before the
// next.
TEST_F(JournalTest, SurvivesAnEndOfZeros) {
  write_blocks(5);
  const std::string whole = read_bytes(path_);
  for (std::size_t length = ends_[4]; length <= whole.size(); ++length) {
    write_bytes(path_, whole.substr(0, length) + std::string(whole.size() - length, '\0'));
    const bool is_whole = read_bytes(path_) == whole;
    ASSERT_EQ(Journal::open(path_, kRequest, true).completed(), first_blocks(is_whole ? 5 : 4)) << length;
    ASSERT_EQ(fs::file_size(path_), ends_[is_whole ? 5 : 4]) << length;
  }
  write_bytes(path_, std::string(100, '\0'));
  ASSERT_TRUE(Journal::open(path_, kRequest, true).completed().empty());
}

// A flipped bit is an error where records follow; in the last record it may pass for a torn one, which is computed
// anew.
TEST_F(JournalTest, NoticesDamageAtEveryBit) {
  write_blocks(4);
  const std::string whole = read_bytes(path_);
  for (std::size_t byte = 0; byte < whole.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[byte] = static_cast<char>(damaged[byte] ^ 1 << bit);
      write_bytes(path_, damaged);
      std::optional<Journal::Blocks> found;
      try {
        found = Journal::open(path_, kRequest, true).completed();
      } catch (const InvalidInput& error) {
        const std::string message = error.what();
        ASSERT_TRUE(message.find("is damaged at byte") != message.npos || byte < ends_[0]) << message;
        ASSERT_EQ(read_bytes(path_), damaged) << "a damaged journal was changed";
      }
      if (byte < ends_[3]) {
        ASSERT_FALSE(found.has_value()) << byte << " " << bit;
      } else if (found) {
        ASSERT_EQ(*found, first_blocks(3)) << byte << " " << bit;
      }
    }
  }
}

TEST_F(JournalTest, NoticesARecordThatIsThereTwice) {
  write_blocks(2);
  const std::string whole = read_bytes(path_);
  write_bytes(path_, whole + whole.substr(ends_[1]));
  expect_refused(path_, "block 6 is there twice", [&] { Journal::open(path_, kRequest, true); });
}

TEST_F(JournalTest, KeepsASecondRunOut) {
  const Journal journal = Journal::open(path_, kRequest, false);
  expect_refused(path_, "is being written by another run", [&] { Journal::open(path_, kRequest, true); });
}

TEST_F(JournalTest, SurvivesAKilledProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    Journal journal = Journal::open(path_, kRequest, false);
    for (std::uint64_t block = 0;; ++block) journal.append(block, payload(block));
  }
  while (!fs::exists(path_) || fs::file_size(path_) < 2000) ::usleep(1000);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const Journal journal = Journal::open(path_, kRequest, true);
  EXPECT_GT(journal.completed().size(), 20u);
  for (std::uint64_t block = 0; block < journal.completed().size(); ++block) {
    EXPECT_EQ(journal.completed().at(block), payload(block));
  }
}

TEST_F(JournalTest, EndsWithTheRecordBeforeWhereTheDiskIsFull) {
  write_blocks(1);
  const std::string before = read_bytes(path_);
  for (const std::uint64_t room : {0, 1, 30, 50}) {
    EXPECT_TRUE(testing::succeeds_in_child([&] {
      testing::limit_file_size(before.size() + room);
      Journal journal = Journal::open(path_, kRequest, true);
      const std::string message = message_of([&] { journal.append(1, std::vector<double>(10)); });
      return message.find("cannot be appended to (File too large); expected room for 108 more bytes") != message.npos &&
             journal.completed() == first_blocks(1);
    }));
    EXPECT_EQ(read_bytes(path_), before);
  }
  fs::remove(path_);
  EXPECT_TRUE(testing::succeeds_in_child([&] {
    testing::limit_file_size(10);
    return !message_of([&] { Journal::open(path_, kRequest, false); }).empty();
  }));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(JournalTest, GoesAwayWhenTheJobIsDone) {
  Journal journal = Journal::open(path_, kRequest, false);
  journal.append(1, payload(1));
  journal.finish();
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_TRUE(Journal::open(path_, kRequest, false).completed().empty());
}

}  // namespace
}  // namespace clout::io
