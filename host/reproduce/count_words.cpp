// The verb `count-words`: what is kept of the mails of Enron1.

#include <clout/host/cli/output.hpp>
#include <clout/host/cli/problem.hpp>
#include <clout/host/cli/verbs.hpp>
#include <clout/host/reproduce/spam_corpus.hpp>

namespace clout::cli {
namespace {

void run_count_words(const Invocation& call) {
  const Options& o = call.options;
  const OutputFolder folder(o, {reproduce::kSpamCounts, reproduce::kSpamVocabulary, "manifest.json"});
  const auto device = open_device(o);
  io::Manifest manifest = make_manifest(o, call.command_line, *device);
  const std::filesystem::path mails = o.data;
  manifest.add_input(mails);
  const reproduce::SpamCorpus corpus = reproduce::count_messages(text::read_messages(mails));
  io::ResultFiles results;
  results.add(folder / reproduce::kSpamCounts, reproduce::counts_file(corpus));
  results.add(folder / reproduce::kSpamVocabulary, reproduce::vocabulary_file(corpus));
  folder.supersede_earlier(results);
  manifest.write(results, folder / "manifest.json");
  results.commit();
  print_facts(o, {{"n_train", corpus.train.rows()},
                  {"n_test", corpus.test.rows()},
                  {"words", corpus.vocabulary.size()},
                  {"entries", corpus.train.values.size() + corpus.test.values.size()},
                  {"file", (folder / reproduce::kSpamCounts).string()}});
}

}  // namespace

void add_count_words(CLI::App& app, Options& o, Run& chosen) {
  CLI::App& sub = add_verb(app, "count-words", "messages as counts of words, split as figure 6 has it",
                           "clout count-words --mails enron1.tsv.gz --out data/enron1-spam", run_count_words, chosen);
  add_common(sub, o);
  sub.add_option("--mails", o.data, "label, name and escaped text of a message a line, tabs between (plain or gzip)")
      ->required();
  add_out(sub, o, "the folder to write counts.svm.gz and vocabulary.txt into");
}

}  // namespace clout::cli
