#pragma once
// Figures are drawn by the Python scripts of host/figures, from the files that a run wrote.

#include <filesystem>
#include <string>

namespace clout::reproduce {

/// Throws InvalidInput, before anything long is begun, where no python3 with matplotlib is found: the CLOUT_PYTHON of
/// the environment, the python3 on PATH, or the system's.
void require_plotting();

/// `name`.png and .svg by the script of that name, from loo.csv, loo_random.csv and summary.json of `folder`.
void draw_figure2(const std::string& name, const std::filesystem::path& folder);

}  // namespace clout::reproduce
