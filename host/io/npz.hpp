#pragma once
// NumPy's .npz files: zip archives of .npy members, stored (np.savez) or deflated (np.savez_compressed), zip64
// included.

#include <clout/host/io/npy.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace clout::io {

/// The names of the arrays in `path`, in the archive's order, without their ".npy". Throws InvalidInput where `path` is
/// not a readable zip archive.
std::vector<std::string> npz_members(const std::filesystem::path& path);

/// Reads the array `name` (with or without ".npy"). Throws what read_npy throws, and InvalidInput for a damaged archive
/// (each member's checksum is verified), an encrypted member, a compression other than deflate, or a name that is not
/// there (the message lists those that are).
NpyArray read_npz(const std::filesystem::path& path, std::string_view name);

}  // namespace clout::io
