#pragma once
// Text files, compressed or not.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace clout::io {

/// All of a file of text, unpacked where it is gzip. `expected` ends the error messages; throws InvalidInput as File
/// and InflateStream do.
std::string read_packed_text(const std::filesystem::path& path, std::string_view expected);

/// `text` as a gzip file without time or name in it: the same text gives the same bytes (of one version of zlib).
std::string gzip(std::string_view text);

/// The lines of `text`, views into it, without their ends; what stands behind the last end is a line where it is not
/// empty.
std::vector<std::string_view> lines_of(std::string_view text);

/// The fields of a line, separated by single `separator`s.
std::vector<std::string_view> fields_of(std::string_view line, char separator);

/// A decimal integer that is all of `text`, from 0 to `most`. Throws InvalidInput with the message "label: what …".
std::int64_t parse_whole(std::string_view text, std::int64_t most, std::string_view label, std::string_view what);

}  // namespace clout::io
