#pragma once
// JSON as people write it by hand, with errors that say where.

#include <nlohmann/json.hpp>
#include <string_view>

namespace clout::io {

/// Throws InvalidInput where `text` is no JSON: "is no JSON at line 3, character 7; expected …".
nlohmann::json parse_json(std::string_view text, std::string_view expected);

}  // namespace clout::io
