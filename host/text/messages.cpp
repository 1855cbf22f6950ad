#include <fmt/format.h>

#include <clout/host/io/file.hpp>
#include <clout/host/io/packed_text.hpp>
#include <clout/host/text/messages.hpp>

namespace clout::text {
namespace {

constexpr std::string_view kExpected = "label, name and text of a message a line, tabs between (plain or gzip)";

std::string unescaped(std::string_view text, const std::string& label) {
  constexpr std::string_view kEscapes = "\\nrt0";
  constexpr char kMeanings[] = {'\\', '\n', '\r', '\t', '\0'};
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const std::size_t at = ++i < text.size() ? kEscapes.find(text[i]) : std::string_view::npos;
    if (at == std::string_view::npos)
      io::fail(label, "a backslash stands before nothing known; expected one of \\\\ \\n \\r \\t \\0");
    out += kMeanings[at];
  }
  return out;
}

}  // namespace

std::vector<Message> read_messages(const std::filesystem::path& path) {
  const std::string file = io::read_packed_text(path, kExpected);
  std::vector<Message> messages;
  for (const std::string_view line : io::lines_of(file)) {
    const std::string label = fmt::format("{}: line {}", io::display(path), messages.size() + 1);
    const std::vector<std::string_view> fields = io::fields_of(line, '\t');
    if (fields.size() != 3) io::fail(label, fmt::format("has {} fields; expected {}", fields.size(), kExpected));
    messages.push_back({static_cast<std::int32_t>(io::parse_whole(fields[0], 1, label, "the label")),
                        std::string(fields[1]), unescaped(fields[2], label)});
  }
  return messages;
}

}  // namespace clout::text
