// The manifest's keys, their order, and that it can be written whatever the command line holds.

#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/manifest.hpp>
#include <ctime>

#include "support.hpp"

namespace clout::io {
namespace {

using Json = nlohmann::ordered_json;
using testing::write_bytes;

Manifest::Run some_run() {
  return {.version = "0.1.0",
          .command_line = {"clout", "loss", "--x", "x.npy"},
          .seed = 7,
          .device = "cpu",
          .precision = "double",
          .cpu = "Some Processor",
          .libraries = {{"OpenBLAS", "0.3.21"}, {"zlib", "1.2.13"}}};
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

TEST(Manifest, RecordsTheRun) {
  const testing::TemporaryFolder folder;
  write_bytes(folder / "x.npy", "abc");
  Manifest manifest(some_run());
  manifest.add_input(folder / "x.npy");
  manifest.add_input(folder / "x.npy");
  manifest.set("threads", 2);
  EXPECT_TRUE(manifest.to_json()["finished"].is_null());
  manifest.write(manifest_beside(folder / "loss.npy"));

  const Json json = Json::parse(testing::read_bytes(folder / "loss.npy.manifest.json"));
  EXPECT_EQ(keys_of(json),
            (std::vector<std::string>{"program", "version", "command_line", "seed", "device", "precision", "cpu",
                                      "libraries", "inputs", "threads", "started", "finished"}));
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_EQ(json["command_line"], Json({"clout", "loss", "--x", "x.npy"}));
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["libraries"], Json({{"OpenBLAS", "0.3.21"}, {"zlib", "1.2.13"}}));
  ASSERT_EQ(json["inputs"].size(), 1u);
  EXPECT_EQ(json["inputs"][0]["path"], (folder / "x.npy").string());
  EXPECT_EQ(json["inputs"][0]["bytes"], 3);
  EXPECT_EQ(json["inputs"][0]["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string started = json["started"];
  std::tm time{};
  const char* end = ::strptime(started.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
  EXPECT_TRUE(end != nullptr && *end == '\0' && started.size() == 20) << started;
  EXPECT_GE(json["finished"].get<std::string>(), json["started"].get<std::string>());
}

TEST(Manifest, WritesUtc) {
  EXPECT_EQ(utc_text(std::chrono::system_clock::from_time_t(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(std::chrono::system_clock::from_time_t(951827696)), "2000-02-29T12:34:56Z");
}

TEST(Manifest, TakesAnyCommandLineAndNoSeed) {
  const testing::TemporaryFolder folder;
  Manifest::Run run = some_run();
  run.command_line.push_back("\xff\xfe");
  run.seed.reset();
  Manifest manifest(run);
  manifest.write(folder / "manifest.json");
  const Json json = Json::parse(testing::read_bytes(folder / "manifest.json"));
  EXPECT_TRUE(json["seed"].is_null());
  EXPECT_EQ(json["command_line"].size(), 5u);
}

TEST(Manifest, NamesTheResultsThatItBelongsTo) {
  const testing::TemporaryFolder folder;
  Manifest manifest(some_run());
  ResultFiles results;
  results.add(folder / "a.npy", "a");
  results.add(folder / "b.csv", "b");
  manifest.write(results, folder / "manifest.json");
  results.commit();
  const Json json = Json::parse(testing::read_bytes(folder / "manifest.json"));
  EXPECT_EQ(json["results"], Json({"a.npy", "b.csv"}));
}

TEST(Manifest, RefusesAnInputThatCannotBeRead) {
  const testing::TemporaryFolder folder;
  Manifest manifest(some_run());
  testing::expect_refused(folder / "none", "no such file", [&] { manifest.add_input(folder / "none"); });
}

}  // namespace
}  // namespace clout::io
