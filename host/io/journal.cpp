#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <clout/host/io/byte_stream.hpp>
#include <clout/host/io/journal.hpp>
#include <clout/kernels/error.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

namespace clout::io {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "records are written as they lie in memory");

constexpr std::uint32_t kMagic = 0x524a4c43;  // "CLJR"
constexpr int kVersion = 1;
constexpr std::uint64_t kLongestHeader = std::uint64_t{1} << 20;
constexpr std::string_view kWhatToDo = "delete it to start again, or choose another --out";

struct RecordHead {
  std::uint32_t magic = kMagic;
  std::uint32_t crc = 0;  // of block and count: without it a damaged count would pass for a torn record
  std::uint64_t block = 0, count = 0;

  std::uint32_t checksum() const {
    const std::array<std::uint64_t, 2> fields{block, count};
    return crc32_of(std::as_bytes(std::span(fields)));
  }
};
static_assert(sizeof(RecordHead) == 24);

using RecordCrc = std::uint32_t;

std::span<std::byte> bytes_of(auto& object) { return std::as_writable_bytes(std::span(&object, 1)); }

std::string header_line(std::string_view fingerprint) {
  const Json header{{"clout_journal", kVersion}, {"fingerprint", fingerprint}};
  return header.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string short_dump(const Json& value) {
  return printable(value.dump(-1, ' ', true, Json::error_handler_t::replace), 60);
}

/// The fingerprint in a journal's first line; null where that is none of this format, or no JSON stands in it.
Json fingerprint_in(std::string_view line) {
  const Json header = Json::parse(line, nullptr, false);
  if (!header.is_object() || header.value("clout_journal", Json()) != kVersion) return nullptr;
  const Json text = header.value("fingerprint", Json());
  const Json fingerprint = text.is_string() ? Json::parse(text.get<std::string>(), nullptr, false) : Json();
  return fingerprint.is_object() ? fingerprint : Json();
}

bool is_input_list(const Json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& input) {
           return input.is_object() && input.contains("path") && input.contains("sha256");
         });
}

/// The same request: input files count with their bytes, however their paths are spelled.
bool same_request(Json theirs, Json ours) {
  if (theirs.is_null() || ours.is_null()) return false;
  for (Json* fingerprint : {&theirs, &ours}) {
    if (!fingerprint->contains("inputs") || !is_input_list((*fingerprint)["inputs"])) continue;
    for (Json& input : (*fingerprint)["inputs"]) input.erase("path");
  }
  return theirs == ours;
}

std::string path_text(const Json& input) {
  return input["path"].is_string() ? display(input["path"].get<std::string>()) : short_dump(input["path"]);
}

bool has_input(const Json& inputs, const char* key, const Json& value) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const Json& input) { return input[key] == value; });
}

/// The first of `inputs` whose contents are none of `others`'.
const Json* input_without_match(const Json& inputs, const Json& others) {
  const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const Json& input) {
    return !has_input(others, "sha256", input["sha256"]);
  });
  return found == inputs.end() ? nullptr : &*found;
}

/// " (x.npy has other contents than then)": the first input file that is another. Where files came or went, the rest have
/// moved in the list: it is their contents that tell them.
std::string which_input_differs(const Json& there, const Json& here) {
  for (const Json& input : here)
    if (has_input(there, "path", input["path"]) && !has_input(there, "sha256", input["sha256"]))
      return fmt::format(" ({} has other contents than then)", path_text(input));
  const Json *now = input_without_match(here, there), *then = input_without_match(there, here);
  if (now && then && there.size() == here.size())
    return fmt::format(" ({} has other contents than {} had then)", path_text(*now), path_text(*then));
  if (now) return fmt::format(" ({} was no input then)", path_text(*now));
  if (then) return fmt::format(" ({} is no input now)", path_text(*then));
  if (there.size() != here.size()) return fmt::format(" ({} input files there, {} now)", there.size(), here.size());
  const auto first = std::mismatch(here.begin(), here.end(), there.begin(), [](const Json& a, const Json& b) {
                       return a["sha256"] == b["sha256"];
                     }).first;
  return fmt::format(" ({} has the contents of another input then)", path_text(*first));
}

/// " (seed is 1 there, 2 now)" where both fingerprints are JSON objects; else nothing.
std::string what_differs(const Json& before, const Json& now) {
  if (before.is_null() || now.is_null()) return "";
  for (const Json* keys : {&now, &before}) {
    for (const auto& [key, unused] : keys->items()) {
      const Json there = before.value(key, Json()), here = now.value(key, Json());
      if (there == here) continue;
      if (!is_input_list(there) || !is_input_list(here))
        return fmt::format(" ({} is {} there, {} now)", printable(key), short_dump(there), short_dump(here));
      if (!same_request({{"inputs", there}}, {{"inputs", here}})) return which_input_differs(there, here);
    }
  }
  return "";
}

[[noreturn]] void refuse_header(const std::string& label, std::string_view theirs, std::string_view ours) {
  const Json there = Json::parse(theirs, nullptr, false);
  const bool is_journal = there.is_object() && there.contains("clout_journal") && there.contains("fingerprint") &&
                          there["fingerprint"].is_string();
  if (!is_journal)
    fail(label, fmt::format("is no journal of clout, or its first line is damaged; expected one: {}", kWhatToDo));
  if (there["clout_journal"] != kVersion) {
    fail(label, fmt::format("is a journal of format {}; expected {}: {}", short_dump(there["clout_journal"]), kVersion,
                            kWhatToDo));
  }
  fail(label, fmt::format("holds unfinished work of another request{}; expected the same request as now: {}",
                          what_differs(fingerprint_in(theirs), fingerprint_in(ours)), kWhatToDo));
}

}  // namespace

Journal::Journal(const std::filesystem::path& path, Descriptor descriptor)
    : path_(path), label_(display(path)), descriptor_(std::move(descriptor)) {}

Journal Journal::open(const std::filesystem::path& path, std::string_view fingerprint, bool resume) {
  const std::string label = display(path);
  // Without `resume`, creation itself tells whether the file was there: no second run can slip in between.
  bool is_new = true;
  Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!descriptor.is_open() && errno == EEXIST) {
    if (!resume) {
      fail(label, "holds unfinished work; expected none: pass --resume to go on, or choose another --out");
    }
    is_new = false;
    descriptor = Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  }
  struct stat status {};
  if (!descriptor.is_open() || ::fstat(descriptor.get(), &status) != 0) {
    fail(label, fmt::format("cannot be opened ({}); expected a journal that can be written", reason(errno)));
  }
  if (!S_ISREG(status.st_mode)) fail(label, fmt::format("is not a regular file; expected a journal: {}", kWhatToDo));
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    fail(label, "is being written by another run; expected to be the only one: wait for it, or choose another --out");
  }

  Journal journal(path, std::move(descriptor));
  const std::string header = header_line(fingerprint);
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  journal.end_ = journal.read_header(header, file_bytes);
  if (journal.end_ > 0) {
    journal.read_records(journal.end_, file_bytes);
    return journal;
  }
  journal.cut(0);
  try {
    journal.write_at_end(std::as_bytes(std::span(header)));
  } catch (const Error&) {
    if (is_new) journal.finish();
    throw;
  }
  sync_folder(path.parent_path());
  return journal;
}

/// Bytes of the header line, 0 where the file ends before it does.
std::uint64_t Journal::read_header(const std::string& header, std::uint64_t file_bytes) {
  std::string begin(std::min(file_bytes, std::max<std::uint64_t>(kLongestHeader, header.size())), '\0');
  begin.resize(read_at(0, std::as_writable_bytes(std::span(begin))));
  if (begin.starts_with(header)) return header.size();
  const bool is_torn = begin.size() == file_bytes && (header.starts_with(begin) || is_zero_from(0, file_bytes));
  if (is_torn) return 0;
  const std::size_t line_bytes = begin.find('\n');
  const std::string_view line = std::string_view(begin).substr(0, line_bytes);
  const bool is_whole = line_bytes != std::string::npos;
  if (is_whole && same_request(fingerprint_in(line), fingerprint_in(header))) return line_bytes + 1;
  refuse_header(label_, line, header);
}

void Journal::read_records(std::uint64_t at, std::uint64_t file_bytes) {
  for (std::uint64_t next = at; next <= file_bytes; at = next) {
    next = read_record(at, file_bytes);
    if (next == at) break;
  }
  end_ = at;
  if (end_ < file_bytes) cut(end_);
}

/// The end of the record that begins at `at`, or `at` where the file ends before the record does.
std::uint64_t Journal::read_record(std::uint64_t at, std::uint64_t file_bytes) {
  RecordHead head;
  const std::uint64_t left = file_bytes - at;
  if (left < sizeof(RecordHead) + sizeof(RecordCrc)) return at;
  if (read_at(at, bytes_of(head)) < sizeof(head)) return at;
  if (head.magic != kMagic || head.crc != head.checksum()) {
    // After a power cut the length of a file may be on the disk before its bytes are: a torn record, too.
    if (is_zero_from(at + sizeof(RecordHead), file_bytes)) return at;
    damaged(at, "no record begins there");
  }
  if (head.count > (left - sizeof(RecordHead) - sizeof(RecordCrc)) / sizeof(double)) return at;

  std::vector<double> values(head.count);
  const std::uint64_t payload = at + sizeof(RecordHead), behind = payload + head.count * sizeof(double);
  RecordCrc crc = 0;
  read_at(payload, std::as_writable_bytes(std::span(values)));
  read_at(behind, bytes_of(crc));
  const std::uint64_t next = behind + sizeof(RecordCrc);
  if (crc != crc32_of(std::as_bytes(std::span(values)))) {
    if (next == file_bytes) return at;  // the last record: torn in the same way
    damaged(at, fmt::format("checksum of block {} is wrong", head.block));
  }
  if (!completed_.emplace(head.block, std::move(values)).second) {
    damaged(at, fmt::format("block {} is there twice", head.block));
  }
  return next;
}

std::size_t Journal::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(descriptor_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(label_, fmt::format("reading failed ({}); expected a readable journal", reason(errno)));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

bool Journal::is_zero_from(std::uint64_t at, std::uint64_t file_bytes) const {
  std::array<std::byte, 4096> piece{};
  while (at < file_bytes) {
    const std::size_t got = read_at(at, piece);
    if (got == 0) break;
    if (std::any_of(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got),
                    [](std::byte byte) { return byte != std::byte{0}; })) {
      return false;
    }
    at += got;
  }
  return true;
}

void Journal::write_at_end(std::span<const std::byte> bytes) {
  int error = ::lseek(descriptor_.get(), static_cast<off_t>(end_), SEEK_SET) < 0 ? errno : 0;
  if (error == 0) error = write_all(descriptor_, bytes);
  if (error == 0 && ::fdatasync(descriptor_.get()) != 0) error = errno;
  if (error != 0) {
    // Best effort: what cannot be cut off now is cut off as a torn record on resume.
    if (::ftruncate(descriptor_.get(), static_cast<off_t>(end_)) != 0) errno = 0;
    const char* kept = completed_.empty() ? "" : ", what was finished is kept: --resume goes on";
    fail(label_, fmt::format("cannot be appended to ({}); expected room for {} more bytes{}", reason(error),
                             bytes.size(), kept));
  }
  end_ += bytes.size();
}

void Journal::cut(std::uint64_t bytes) {
  if (::ftruncate(descriptor_.get(), static_cast<off_t>(bytes)) != 0 || ::fsync(descriptor_.get()) != 0) {
    fail(label_, fmt::format("cannot be written ({}); expected a journal that can be written", reason(errno)));
  }
}

void Journal::damaged(std::uint64_t at, std::string_view what) const {
  fail(label_, fmt::format("is damaged at byte {} ({}); expected whole records: {}", at, what, kWhatToDo));
}

void Journal::append(std::uint64_t block, std::span<const double> values) {
  ensure(!completed_.contains(block), "block appended to the journal twice");
  RecordHead head{.block = block, .count = values.size()};
  head.crc = head.checksum();
  RecordCrc crc = crc32_of(std::as_bytes(values));
  std::vector<std::byte> record;
  record.reserve(sizeof(head) + values.size_bytes() + sizeof(crc));
  for (const std::span<const std::byte> part :
       {std::span<const std::byte>(bytes_of(head)), std::as_bytes(values), std::span<const std::byte>(bytes_of(crc))}) {
    record.insert(record.end(), part.begin(), part.end());
  }
  write_at_end(record);
  completed_.emplace(block, std::vector<double>(values.begin(), values.end()));
}

void Journal::finish() {
  ::unlink(path_.c_str());
  descriptor_.close();
}

}  // namespace clout::io
