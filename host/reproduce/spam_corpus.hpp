#pragma once
// The spam filter's data (figure 6): Enron1 as counts of words, from the mails or from what was derived of them.

#include <clout/host/text/messages.hpp>
#include <clout/kernels/sparse_features.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace clout::reproduce {

/// Rows are messages in the order of the experiment; the first int(0.8 n) are for training.
struct SpamCorpus {
  SparseRows<double> train, test;                       // counts, one column a word
  std::vector<std::int32_t> train_labels, test_labels;  // 1: spam
  std::vector<std::string> vocabulary;                  // of the training part
};

/// Koh & Liang's preparation (data/enron1-spam/README.md): spam, then ham, each by name; shuffled by NumPy's generator
/// with seed 0; words in at least five training messages.
SpamCorpus count_messages(std::vector<text::Message> messages);

inline constexpr const char* kSpamCounts = "counts.svm.gz";
inline constexpr const char* kSpamVocabulary = "vocabulary.txt";
/// The two files' contents.
std::string counts_file(const SpamCorpus& corpus);
std::string vocabulary_file(const SpamCorpus& corpus);

/// The counts in one of io::data_folders(named) or its enron1-spam/, or those of the mails there (enron1.tsv.gz).
/// `files` gets what was read. Throws InvalidInput with the folders that were looked at, and for damaged files.
SpamCorpus load_spam(const std::optional<std::filesystem::path>& named, std::vector<std::filesystem::path>& files);

}  // namespace clout::reproduce
