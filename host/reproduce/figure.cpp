#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <clout/host/progress.hpp>
#include <clout/host/reproduce/figure.hpp>
#include <clout/kernels/error.hpp>
#include <cstdlib>
#include <string>

extern char** environ;

namespace clout::reproduce {
namespace {

namespace fs = std::filesystem;

/// Runs a program and waits; its exit status, or -1 where it could not be started. `silent` hides what it says.
int run_program(const std::vector<std::string>& words, bool silent) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (silent)
    for (const int descriptor : {1, 2})
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0);
  else posix_spawn_file_actions_adddup2(&actions, 2, 1);  // standard output is the verb's own
  posix_spawnattr_t own_group;  // a terminal's interrupt is the program's, which lets the script end
  posix_spawnattr_init(&own_group);
  posix_spawnattr_setflags(&own_group, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, argv[0], &actions, &own_group, argv.data(), environ);
  posix_spawnattr_destroy(&own_group);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return -1;
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

/// The first Python that can draw, looked for once; empty where none can.
const std::string& drawing_python() {
  static const std::string python = [] {
    std::vector<std::string> candidates;
    if (const char* named = std::getenv("CLOUT_PYTHON"); named != nullptr && *named != '\0') candidates = {named};
    else candidates = {"python3", "/usr/bin/python3"};
    for (const std::string& candidate : candidates)
      if (run_program({candidate, "-c", "import matplotlib, numpy"}, true) == 0) return candidate;
    return std::string();
  }();
  return python;
}

fs::path find_script(const std::string& name) {
  std::vector<fs::path> folders{CLOUT_FIGURES_DIR};
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  if (!program.empty()) folders.push_back(program.parent_path().parent_path() / "share" / "clout" / "figures");
  for (const fs::path& folder : folders)
    if (fs::exists(folder / name, ignored)) return folder / name;
  throw InvalidInput("figure script " + name + ": not found; expected in share/clout/figures beside the program");
}

void run_script(const std::string& name, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{drawing_python(), find_script(name).string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const int status = run_program(words, false);
  ensure(status == 0, "the script " + name + " failed with exit status " + std::to_string(status));
}

}  // namespace

void require_plotting() {
  if (drawing_python().empty())
    throw InvalidInput(
        "figures: no python3 with matplotlib and numpy was found; expected Debian's python3-matplotlib, or "
        "CLOUT_PYTHON naming such a python3");
}

void draw_figure(const std::string& name, const std::vector<std::string>& arguments) {
  run_script(name + ".py", arguments);
}

void write_report(const fs::path& folder) {
  run_script("report.py", {"--results", folder, "--out", folder / "report.html"});
}

std::vector<std::string> figure2_arguments(const fs::path& folder) {
  return {"--loo",     folder / "loo.csv",      "--random", folder / "loo_random.csv",
          "--summary", folder / "summary.json", "--out",    folder};
}

}  // namespace clout::reproduce
