#pragma once
// What is finished of a long job, so that a killed run can go on. A file of one line and records:
//
//   {"clout_journal":1,"fingerprint":"…"}\n
//   record: magic u32 | CRC-32 of the next two u32 | block u64 | count u64 | double[count] | CRC-32 of the doubles u32
//
// A record is appended in one write and synced before append() returns. A kill can only tear the last one.

#include <clout/host/io/file.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace clout::io {

class Journal {
 public:
  using Blocks = std::map<std::uint64_t, std::vector<double>>;

  /// Opens or creates. `fingerprint` stands for everything in the request that changes results; where it is the text of
  /// a JSON object, the error about another request can name what differs, and its "inputs", where they are a
  /// manifest's, are compared by their contents alone. A torn last record is cut off the file.
  /// Throws InvalidInput: the file is there but `resume` is not set; it belongs to another request; it is no journal,
  /// or damaged before its last record; another process is writing it; it cannot be written.
  static Journal open(const std::filesystem::path& path, std::string_view fingerprint, bool resume);

  /// Finished blocks, by number, appended ones included.
  const Blocks& completed() const noexcept { return completed_; }

  /// Records a finished block (not one that is completed already); on return it is on the disk. Throws InvalidInput
  /// where the disk does not take it; the journal then ends with the record before.
  void append(std::uint64_t block, std::span<const double> values);

  /// Deletes the file: the job is done and its results are written.
  void finish();

 private:
  Journal(const std::filesystem::path& path, Descriptor descriptor);
  std::uint64_t read_header(const std::string& header, std::uint64_t file_bytes);
  void read_records(std::uint64_t at, std::uint64_t file_bytes);
  std::uint64_t read_record(std::uint64_t at, std::uint64_t file_bytes);
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const;
  bool is_zero_from(std::uint64_t at, std::uint64_t file_bytes) const;
  void write_at_end(std::span<const std::byte> bytes);
  void cut(std::uint64_t bytes);
  [[noreturn]] void damaged(std::uint64_t at, std::string_view what) const;

  std::filesystem::path path_;
  std::string label_;
  Descriptor descriptor_;  // holds the lock that keeps a second run out
  std::uint64_t end_ = 0;  // of the last whole record
  Blocks completed_;
};

}  // namespace clout::io
