#include <fmt/format.h>

#include <algorithm>
#include <clout/host/io/json_text.hpp>
#include <clout/kernels/error.hpp>

namespace clout::io {

nlohmann::json parse_json(std::string_view text, std::string_view expected) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    // The byte, counted from 1, behind which reading could not go on; one behind the text where that ends too early.
    const std::string_view read = text.substr(0, std::max<std::size_t>(error.byte, 1) - 1);
    const std::string where =
        read.size() == text.size()
            ? "is no JSON: it ends too early"
            : fmt::format("is no JSON at line {}, character {}", 1 + std::count(read.begin(), read.end(), '\n'),
                          read.size() - (read.rfind('\n') + 1) + 1);
    throw InvalidInput(fmt::format("{}; expected {}", where, expected));
  }
}

}  // namespace clout::io
