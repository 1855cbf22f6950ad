#pragma once
// Where the data sets and trained models that come with the program are.

#include <filesystem>
#include <optional>
#include <vector>

namespace clout::io {

/// Folders to look in, in order: `named` alone where it is given, else the environment's CLOUT_DATA alone, else the
/// source tree's data/ and share/clout/data beside the installed program's bin/.
std::vector<std::filesystem::path> data_folders(const std::optional<std::filesystem::path>& named = std::nullopt);

/// The folder models/NAME in one of them. Throws InvalidInput with the folders that were looked at.
std::filesystem::path find_model(const std::string& name,
                                 const std::optional<std::filesystem::path>& named = std::nullopt);

}  // namespace clout::io
