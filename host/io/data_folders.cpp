#include <fmt/format.h>
#include <fmt/ranges.h>

#include <clout/host/io/data_folders.hpp>
#include <clout/host/io/file.hpp>
#include <cstdlib>
#include <string>
#include <system_error>

namespace clout::io {

namespace fs = std::filesystem;

std::vector<fs::path> data_folders(const std::optional<fs::path>& named) {
  if (named) return {*named};
  if (const char* folder = std::getenv("CLOUT_DATA"); folder != nullptr && *folder != '\0') return {fs::path(folder)};
  std::vector<fs::path> folders;
#ifdef CLOUT_DATA_DIR
  folders.emplace_back(CLOUT_DATA_DIR);
#endif
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  if (!program.empty()) folders.push_back(program.parent_path().parent_path() / "share" / "clout" / "data");
  return folders;
}

fs::path find_model(const std::string& name, const std::optional<fs::path>& named) {
  std::vector<std::string> looked;
  for (const fs::path& folder : data_folders(named)) {
    const fs::path place = folder / "models" / name;
    std::error_code ignored;
    if (fs::is_directory(place, ignored)) return place;
    looked.push_back(display(place));
  }
  fail("model " + name, fmt::format("not found; looked in {}; expected it in one of these: name the folder above "
                                    "models/ in the environment variable CLOUT_DATA",
                                    fmt::join(looked, ", ")));
}

}  // namespace clout::io
