#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <clout/host/io/data_folders.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/packed_text.hpp>
#include <clout/host/io/svmlight.hpp>
#include <clout/host/numpy_random.hpp>
#include <clout/host/reproduce/spam_corpus.hpp>
#include <clout/host/text/bag_of_words.hpp>
#include <tuple>

namespace clout::reproduce {
namespace {

namespace fs = std::filesystem;

constexpr Index kLeastDocuments = 5;
constexpr const char* kMails = "enron1.tsv.gz";

std::size_t training_part(std::size_t messages) {
  return static_cast<std::size_t>(0.8 * static_cast<double>(messages));
}

void append(SparseRows<double>& to, const SparseRows<double>& from, std::size_t first, std::size_t last) {
  const Index begin = from.starts[first];
  to.columns = from.columns;
  to.places.insert(to.places.end(), from.places.begin() + begin, from.places.begin() + from.starts[last]);
  to.values.insert(to.values.end(), from.values.begin() + begin, from.values.begin() + from.starts[last]);
  const Index offset = to.starts.back() - begin;
  for (std::size_t row = first; row < last; ++row) to.starts.push_back(from.starts[row + 1] + offset);
}

SpamCorpus read_counts(const fs::path& folder) {
  SpamCorpus corpus;
  const fs::path words = folder / kSpamVocabulary, counts = folder / kSpamCounts;
  const std::string text = io::read_packed_text(words, "the words that columns stand for, one a line");
  for (const std::string_view word : io::lines_of(text)) corpus.vocabulary.emplace_back(word);
  const io::LabelledRows all = io::read_svmlight(counts, static_cast<Index>(corpus.vocabulary.size()));
  const std::size_t n = all.labels.size(), training = training_part(n);
  if (training == 0 || training == n) io::fail(io::display(counts), "holds too few messages; expected at least two");
  append(corpus.train, all.x, 0, training);
  append(corpus.test, all.x, training, n);
  corpus.train_labels.assign(all.labels.begin(), all.labels.begin() + static_cast<std::ptrdiff_t>(training));
  corpus.test_labels.assign(all.labels.begin() + static_cast<std::ptrdiff_t>(training), all.labels.end());
  for (const std::int32_t label : all.labels)
    if (label > 1) io::fail(io::display(counts), fmt::format("label {}; expected 1 for spam, 0 for ham", label));
  return corpus;
}

}  // namespace

SpamCorpus count_messages(std::vector<text::Message> messages) {
  std::sort(messages.begin(), messages.end(), [](const text::Message& a, const text::Message& b) {
    return std::tie(b.label, a.name) < std::tie(a.label, b.name);
  });
  NumpyRandom(0).shuffle(messages);
  std::vector<std::vector<std::string>> words;
  SpamCorpus corpus;
  const std::size_t training = training_part(messages.size());
  for (const text::Message& message : messages) {
    (words.size() < training ? corpus.train_labels : corpus.test_labels).push_back(message.label);
    words.push_back(text::words_of(message.text));
  }
  const std::span<const std::vector<std::string>> all(words);
  corpus.vocabulary = text::learn_vocabulary(all.first(training), kLeastDocuments);
  corpus.train = text::count_words(all.first(training), corpus.vocabulary);
  corpus.test = text::count_words(all.subspan(training), corpus.vocabulary);
  return corpus;
}

std::string counts_file(const SpamCorpus& corpus) {
  io::LabelledRows all{corpus.train, corpus.train_labels};
  append(all.x, corpus.test, 0, corpus.test_labels.size());
  all.labels.insert(all.labels.end(), corpus.test_labels.begin(), corpus.test_labels.end());
  return io::gzip(io::svmlight_text(all));
}

std::string vocabulary_file(const SpamCorpus& corpus) {
  std::string text;
  for (const std::string& word : corpus.vocabulary) text += word + "\n";
  return text;
}

SpamCorpus load_spam(const std::optional<fs::path>& named, std::vector<fs::path>& files) {
  std::vector<std::string> looked;
  for (const fs::path& folder : io::data_folders(named)) {
    for (const fs::path& place : {folder / "enron1-spam", folder}) {
      std::error_code ignored;
      if (fs::exists(place / kSpamCounts, ignored)) {
        files = {place / kSpamCounts, place / kSpamVocabulary};
        return read_counts(place);
      }
      if (fs::exists(place / kMails, ignored)) {
        files = {place / kMails};
        return count_messages(text::read_messages(place / kMails));
      }
      looked.push_back(io::display(place));
    }
  }
  io::fail("Enron1",
           fmt::format("neither {} nor {} found; looked in {}; expected one in one of these: name the folder in "
                       "--data, or in the environment variable CLOUT_DATA",
                       kSpamCounts, kMails, fmt::join(looked, ", ")));
}

}  // namespace clout::reproduce
