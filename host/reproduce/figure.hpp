#pragma once
// Figures and the report are made by the Python scripts of host/figures, from the files that runs wrote.

#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

namespace clout::reproduce {

/// What the panels of figure 2 write into their folder, one these, another those.
inline constexpr std::initializer_list<const char*> kFigure2Results = {
    "loo.csv",           "loo_random.csv",    "random_tests.csv",    "changes.npy",
    "summary.json",      "manifest.json",     "figure2_linear.png",  "figure2_linear.svg",
    "figure2_lissa.png", "figure2_lissa.svg", "figure2_convnet.png", "figure2_convnet.svg"};

/// Throws InvalidInput, before anything long is begun, where no python3 with matplotlib is found: the CLOUT_PYTHON of
/// the environment, the python3 on PATH, or the system's.
void require_plotting();

/// NAME.png and .svg by the script NAME.py of host/figures, which is given `arguments`. Throws Interrupted where it
/// was, and InternalError where it fails.
void draw_figure(const std::string& name, const std::vector<std::string>& arguments);

/// report.html of the experiments' folders in `folder`, by report.py; throws as draw_figure does.
void write_report(const std::filesystem::path& folder);

/// What the scripts of figure 2 are given: the files that its panels wrote into `folder`.
std::vector<std::string> figure2_arguments(const std::filesystem::path& folder);

}  // namespace clout::reproduce
