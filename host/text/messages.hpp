#pragma once
// Labelled messages in one file, as data/enron1-spam/README.md describes it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace clout::text {

struct Message {
  std::int32_t label;  // 0 or 1
  std::string name;
  std::string text;  // bytes, Latin-1
};

/// Reads "label TAB name TAB text LF" lines (plain or gzip), in which the escapes \\ \n \r \t \0 stand for backslash,
/// line feed, carriage return, tab and NUL. Throws InvalidInput, naming the line, for anything else.
std::vector<Message> read_messages(const std::filesystem::path& path);

}  // namespace clout::text
