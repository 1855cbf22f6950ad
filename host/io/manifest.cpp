#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/manifest.hpp>
#include <clout/host/io/sha256.hpp>

namespace clout::io {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::system_clock;

std::string utc_text(Clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(Clock::to_time_t(time)));
}

std::filesystem::path manifest_beside(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  return path += ".manifest.json";
}

Manifest::Manifest(Run run) : run_(std::move(run)), started_(Clock::now()) {}

void Manifest::add_input(const std::filesystem::path& path) {
  const std::string text = path.string();
  if (std::any_of(inputs_.begin(), inputs_.end(), [&](const Json& input) { return input["path"] == text; })) return;
  const std::string hash = sha256_file(path);
  inputs_.push_back(Json{{"path", text}, {"bytes", std::filesystem::file_size(path)}, {"sha256", hash}});
}

void Manifest::set(std::string_view key, Json value) { facts_[std::string(key)] = std::move(value); }

void Manifest::finish() {
  if (!finished_) finished_ = Clock::now();
}

Json Manifest::to_json() const {
  Json libraries = Json::object();
  for (const auto& [name, version] : run_.libraries) libraries[name] = version;
  Json json{{"program", "clout"},
            {"version", run_.version},
            {"command_line", run_.command_line},
            {"seed", run_.seed ? Json(*run_.seed) : Json()},
            {"device", run_.device},
            {"precision", run_.precision},
            {"cpu", run_.cpu},
            {"libraries", libraries},
            {"inputs", inputs_}};
  json.update(facts_);
  json["started"] = utc_text(started_);
  json["finished"] = finished_ ? Json(utc_text(*finished_)) : Json();
  return json;
}

std::string Manifest::finished_text() {
  finish();
  // A command line may hold any bytes; JSON may not.
  return to_json().dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

void Manifest::write(const std::filesystem::path& path) { write_file(path, finished_text()); }

void Manifest::write(ResultFiles& files, const std::filesystem::path& path) {
  Json results = Json::array();
  for (const std::filesystem::path& result : files.paths()) results.push_back(result.filename().string());
  set("results", results);
  files.add(path, finished_text());
}

}  // namespace clout::io
