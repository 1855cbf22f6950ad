// What the spam experiment is made of: NumPy's draws, words, messages, sparse rows as text, the tables.

#include <clout/host/io/packed_text.hpp>
#include <clout/host/io/svmlight.hpp>
#include <clout/host/numpy_random.hpp>
#include <clout/host/reproduce/label_checks.hpp>
#include <clout/host/reproduce/spam_corpus.hpp>
#include <clout/host/text/bag_of_words.hpp>

#include "io/support.hpp"

namespace clout {
namespace {

using io::testing::TemporaryFolder;
using io::testing::write_bytes;

/// The message of the InvalidInput that `action` throws; empty where it throws none.
template <class Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return {};
}

// The numbers are NumPy's: RandomState(seed).choice(n, k, replace=False), .shuffle(list).
TEST(NumpyRandom, ChoosesAsNumpyDoes) {
  EXPECT_EQ(NumpyRandom(0).choose(10, 10), (std::vector<Index>{2, 8, 4, 9, 1, 6, 7, 3, 0, 5}));
  EXPECT_EQ(NumpyRandom(3).choose(1000, 8), (std::vector<Index>{642, 762, 909, 199, 586, 797, 652, 755}));
  EXPECT_EQ(NumpyRandom(121).choose(4137, 6), (std::vector<Index>{2597, 2973, 230, 3120, 2784, 425}));
}

TEST(NumpyRandom, ShufflesOneListAfterAnother) {
  std::vector<int> first{0, 1, 2, 3, 4}, second{0, 1, 2, 3}, empty, one{7};
  NumpyRandom random(5);
  random.shuffle(empty);
  random.shuffle(one);
  random.shuffle(first);
  random.shuffle(second);
  EXPECT_EQ(first, (std::vector<int>{4, 0, 1, 2, 3}));
  EXPECT_EQ(second, (std::vector<int>{3, 1, 0, 2}));
}

TEST(BagOfWords, WordsAreRunsOfLettersWithoutStopWords) {
  EXPECT_EQ(text::words_of("Subject: The x9yz can't re-send\xe9ing \xc9t\xe9 A b NOW!zz"),
            (std::vector<std::string>{"subject", "yz", "re", "send", "ing", "zz"}));
  EXPECT_TRUE(text::words_of("").empty());
}

TEST(BagOfWords, VocabularyCountsDocumentsNotWords) {
  const std::vector<std::vector<std::string>> documents{{"bb", "aa", "bb"}, {"cc"}, {"aa", "bb"}, {"dd", "dd", "dd"}};
  const std::vector<std::string> vocabulary = text::learn_vocabulary(documents, 2);
  ASSERT_EQ(vocabulary, (std::vector<std::string>{"aa", "bb"}));
  const SparseRows<double> counts = text::count_words(documents, vocabulary);
  EXPECT_EQ(counts.columns, 2);
  EXPECT_EQ(counts.starts, (std::vector<Index>{0, 2, 2, 4, 4}));
  EXPECT_EQ(counts.places, (std::vector<std::uint32_t>{0, 1, 0, 1}));
  EXPECT_EQ(counts.values, (std::vector<double>{1, 2, 1, 1}));
}

TEST(Messages, EscapesStandForBytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "plain", "1\ta.txt\tone\\\\two\\n\\r\\t\\0.\xff\n0\tb.txt\t\n");
  write_bytes(folder / "packed", io::gzip("1\ta.txt\tone\\\\two\\n\\r\\t\\0.\xff\n0\tb.txt\t\n"));
  for (const char* name : {"plain", "packed"}) {
    const std::vector<text::Message> messages = text::read_messages(folder / name);
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[0].label, 1);
    EXPECT_EQ(messages[0].name, "a.txt");
    EXPECT_EQ(messages[0].text, std::string("one\\two\n\r\t\0.\xff", 13));
    EXPECT_EQ(messages[1].text, "");
  }
}

TEST(Messages, OtherLinesAreRefused) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& text) {
    write_bytes(folder / "m", text);
    return refusal([&] { text::read_messages(folder / "m"); });
  };
  for (const char* text : {"0\ta\tx\n2\tb\ty\n", "0\ta\tx\n1\tb\n", "0\ta\tx\n1\tb\ty\tz\n", "0\ta\tx\n1\tb\ty\\\n",
                           "0\ta\tx\n1\tb\t\\x\n", "0\ta\tx\n\n"})
    EXPECT_NE(message(text).find("m: line 2"), std::string::npos) << text << message(text);
}

TEST(SvmLight, WhatIsWrittenIsRead) {
  const TemporaryFolder folder;
  const io::LabelledRows rows{{5, {0, 2, 2, 3}, {0, 4, 2}, {3, 701, 1}}, {1, 0, 1}};
  EXPECT_EQ(io::svmlight_text(rows), "1 1:3 5:701\n0\n1 3:1\n");
  write_bytes(folder / "r", io::gzip(io::svmlight_text(rows)));
  const io::LabelledRows read = io::read_svmlight(folder / "r", 5);
  EXPECT_EQ(read.labels, rows.labels);
  EXPECT_EQ(read.x.starts, rows.x.starts);
  EXPECT_EQ(read.x.places, rows.x.places);
  EXPECT_EQ(read.x.values, rows.x.values);
  EXPECT_EQ(read.x.columns, 5);
}

TEST(SvmLight, OtherLinesAreRefused) {
  const TemporaryFolder folder;
  for (const char* line : {"1 6:1", "1 0:1", "1 2:1 2:1", "1 3:1 2:1", "-1 2:1", "1 2:1.5", "1 2", "1 2:1:1", "1  2:1",
                           "", "1 2:1 # no", "1 a:1"}) {
    write_bytes(folder / "r", std::string("0 1:1\n") + line + "\n0 1:1\n");
    EXPECT_NE(refusal([&] { io::read_svmlight(folder / "r", 5); }).find("r: line 2"), std::string::npos) << line;
  }
}

// The same text gives the same file, and no time stands in it.
TEST(PackedText, GzipHasNoTime) {
  EXPECT_EQ(io::gzip("text").substr(4, 4), std::string(4, '\0'));
  const TemporaryFolder folder;
  const std::string text(3'000'000, 'x');
  write_bytes(folder / "t", io::gzip(text));
  EXPECT_EQ(io::read_packed_text(folder / "t", "text"), text);
  EXPECT_EQ(io::lines_of("a\n\nb").size(), 3u);
  EXPECT_EQ(io::lines_of("a\nb\n").size(), 2u);
  EXPECT_TRUE(io::lines_of("").empty());
}

// data/enron1-spam/README.md says how many.
TEST(SpamCorpus, HoldsWhatItsReadmeSays) {
  std::vector<std::filesystem::path> files;
  const reproduce::SpamCorpus corpus = reproduce::load_spam(std::nullopt, files);
  EXPECT_EQ(files.size(), 2u);
  EXPECT_EQ(corpus.train.rows(), 4137);
  EXPECT_EQ(corpus.test.rows(), 1035);
  EXPECT_EQ(corpus.vocabulary.size(), 6451u);
  EXPECT_EQ(corpus.train.columns, 6451);
  EXPECT_EQ(std::count(corpus.train_labels.begin(), corpus.train_labels.end(), 1), 1209);
  EXPECT_EQ(std::count(corpus.test_labels.begin(), corpus.test_labels.end(), 1), 291);
}

TEST(LabelChecks, JournalHoldsARepeat) {
  reproduce::LabelRepeat repeat;
  repeat.level = 2;
  repeat.number = 7;
  double next = 1;
  for (double* value :
       {&repeat.flipped_accuracy, &repeat.flipped_gradient_norm, &repeat.residual, &repeat.value_difference})
    *value = next++;
  for (auto& method : repeat.checks)
    for (auto& check : method) check = {next, next + 0.25, next++ + 0.5};
  const auto back = reproduce::LabelRepeat::from(2, 7, repeat.numbers());
  EXPECT_EQ(back.numbers(), repeat.numbers());
  EXPECT_EQ(back.number, 7);
  EXPECT_EQ(back.checks[2][5].accuracy, repeat.checks[2][5].accuracy);
  EXPECT_EQ(repeat.worst_gradient_norm(), next - 1 + 0.5);
}

TEST(LabelChecks, MeanAndItsError) {
  const auto [mean, error] = reproduce::mean_error({1, 2, 3, 6});
  EXPECT_DOUBLE_EQ(mean, 3);
  EXPECT_DOUBLE_EQ(error, std::sqrt(14.0 / 4) / 2);
}

}  // namespace
}  // namespace clout
