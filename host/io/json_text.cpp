#include <fmt/format.h>

#include <algorithm>
#include <clout/host/io/json_text.hpp>
#include <clout/kernels/error.hpp>
#include <set>
#include <string>
#include <vector>

namespace clout::io {
namespace {

constexpr int kDeepest = 100;  // far below what the stack holds

/// Refuses an object that has a key twice (of the two, JSON's readers keep the last), and what is nested too deep.
class Refusals {
 public:
  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kDeepest) throw InvalidInput(fmt::format("is nested more than {} deep", kDeepest));
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(parsed.get<std::string>()).second)
      throw InvalidInput(fmt::format("{} stands twice in one object; expected it once", parsed.dump()));
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view expected) {
  try {
    return nlohmann::json::parse(text, [refusals = Refusals()](int depth, auto event, nlohmann::json& parsed) mutable {
      return refusals(depth, event, parsed);
    });
  } catch (const nlohmann::json::parse_error& error) {
    // The byte, counted from 1, behind which reading could not go on; one behind the text where that ends too early.
    const std::string_view read = text.substr(0, std::max<std::size_t>(error.byte, 1) - 1);
    const std::string where =
        read.size() == text.size()
            ? "is no JSON: it ends too early"
            : fmt::format("is no JSON at line {}, character {}", 1 + std::count(read.begin(), read.end(), '\n'),
                          read.size() - (read.rfind('\n') + 1) + 1);
    throw InvalidInput(fmt::format("{}; expected {}", where, expected));
  } catch (const nlohmann::json::out_of_range&) {
    throw InvalidInput(fmt::format("has a number beyond float64; expected {}", expected));
  }
}

}  // namespace clout::io
