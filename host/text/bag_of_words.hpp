#pragma once
// Texts as counts of words.

#include <clout/kernels/sparse_features.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace clout::text {

/// The words of a Latin-1 text in order: it is lower-cased, and runs of two or more letters a to z are words, but for
/// the 127 English stop words that PostgreSQL and NLTK have from the Snowball project.
std::vector<std::string> words_of(std::string_view text);

/// All words that are in at least `least` of the documents, sorted.
std::vector<std::string> learn_vocabulary(std::span<const std::vector<std::string>> documents, Index least);

/// How often each word of the sorted `vocabulary` is in each document: [documents][vocabulary].
SparseRows<double> count_words(std::span<const std::vector<std::string>> documents,
                               std::span<const std::string> vocabulary);

}  // namespace clout::text
