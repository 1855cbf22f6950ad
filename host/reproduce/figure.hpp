#pragma once
// Figures are drawn by the Python scripts of host/figures, from the files that a run wrote.

#include <filesystem>
#include <initializer_list>
#include <string>

namespace clout::reproduce {

/// What the panels of figure 2 write into their folder, one these, another those.
inline constexpr std::initializer_list<const char*> kFigure2Results = {
    "loo.csv",           "loo_random.csv",    "random_tests.csv",    "changes.npy",
    "summary.json",      "manifest.json",     "figure2_linear.png",  "figure2_linear.svg",
    "figure2_lissa.png", "figure2_lissa.svg", "figure2_convnet.png", "figure2_convnet.svg"};

/// Throws InvalidInput, before anything long is begun, where no python3 with matplotlib is found: the CLOUT_PYTHON of
/// the environment, the python3 on PATH, or the system's.
void require_plotting();

/// `name`.png and .svg by the script of that name, from loo.csv, loo_random.csv and summary.json of `folder`.
void draw_figure2(const std::string& name, const std::filesystem::path& folder);

}  // namespace clout::reproduce
