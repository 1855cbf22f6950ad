#include <algorithm>
#include <clout/host/text/bag_of_words.hpp>
#include <map>
#include <set>
#include <unordered_set>

namespace clout::text {
namespace {

const std::unordered_set<std::string_view>& stop_words() {
  // clang-format off
  static const std::unordered_set<std::string_view> words{
      "i", "me", "my", "myself", "we", "our", "ours", "ourselves", "you", "your", "yours", "yourself", "yourselves",
      "he", "him", "his", "himself", "she", "her", "hers", "herself", "it", "its", "itself", "they", "them", "their",
      "theirs", "themselves", "what", "which", "who", "whom", "this", "that", "these", "those", "am", "is", "are",
      "was", "were", "be", "been", "being", "have", "has", "had", "having", "do", "does", "did", "doing", "a", "an",
      "the", "and", "but", "if", "or", "because", "as", "until", "while", "of", "at", "by", "for", "with", "about",
      "against", "between", "into", "through", "during", "before", "after", "above", "below", "to", "from", "up",
      "down", "in", "out", "on", "off", "over", "under", "again", "further", "then", "once", "here", "there", "when",
      "where", "why", "how", "all", "any", "both", "each", "few", "more", "most", "other", "some", "such", "no", "nor",
      "not", "only", "own", "same", "so", "than", "too", "very", "s", "t", "can", "will", "just", "don", "should",
      "now"};
  // clang-format on
  return words;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (word.size() >= 2 && !stop_words().contains(word)) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    // Letters above 127 are no part of a word in either case, so ASCII's cases are all that count.
    if (c >= 'a' && c <= 'z') word += c;
    else if (c >= 'A' && c <= 'Z') word += static_cast<char>(c - 'A' + 'a');
    else end_word();
  }
  end_word();
  return words;
}

std::vector<std::string> learn_vocabulary(std::span<const std::vector<std::string>> documents, Index least) {
  std::map<std::string, Index> frequency;
  for (const std::vector<std::string>& words : documents)
    for (const std::string& word : std::set<std::string>(words.begin(), words.end())) ++frequency[word];
  std::vector<std::string> vocabulary;
  for (const auto& [word, count] : frequency)
    if (count >= least) vocabulary.push_back(word);
  return vocabulary;
}

SparseRows<double> count_words(std::span<const std::vector<std::string>> documents,
                               std::span<const std::string> vocabulary) {
  SparseRows<double> rows{.columns = static_cast<Index>(vocabulary.size())};
  for (const std::vector<std::string>& words : documents) {
    std::map<std::uint32_t, double> counts;
    for (const std::string& word : words) {
      const auto at = std::lower_bound(vocabulary.begin(), vocabulary.end(), word);
      if (at != vocabulary.end() && *at == word) ++counts[static_cast<std::uint32_t>(at - vocabulary.begin())];
    }
    for (const auto& [column, count] : counts) {
      rows.places.push_back(column);
      rows.values.push_back(count);
    }
    rows.starts.push_back(static_cast<Index>(rows.values.size()));
  }
  return rows;
}

}  // namespace clout::text
