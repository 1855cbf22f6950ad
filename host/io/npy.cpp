#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <clout/host/io/atomic_file.hpp>
#include <clout/host/io/byte_stream.hpp>
#include <clout/host/io/file.hpp>
#include <clout/host/io/npy.hpp>
#include <clout/host/io/npy_header.hpp>
#include <cmath>

namespace clout::io {
namespace {

constexpr std::string_view kExpected = "a NumPy .npy file (format 1.0 to 3.0)";
// NumPy's own headers have about a hundred bytes; a structured type, refused anyway, may have thousands.
constexpr std::size_t kLongestHeader = std::size_t{1} << 20;

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view what_else_it_is(std::string_view begin) {
  if (begin.starts_with("PK")) return "is a zip archive (.npz?)";
  if (begin.starts_with("\x1f\x8b")) return "is compressed with gzip";
  if (begin.starts_with("\x80")) return "looks like a Python pickle";
  return "does not begin with NumPy's magic bytes";
}

std::size_t read_header_length(ByteStream& stream, const std::string& label) {
  std::array<std::byte, 8> begin{};
  const std::size_t got = stream.read(begin);
  const std::string_view magic = as_text(begin).substr(0, std::min(got, kNpyMagic.size()));
  if (magic != kNpyMagic.substr(0, magic.size())) {
    fail(label, fmt::format("{}; expected {}", what_else_it_is(magic), kExpected));
  }
  if (got < begin.size())
    fail(label, fmt::format("ends within its first {} bytes; expected {}", begin.size(), kExpected));
  const auto major = std::to_integer<unsigned>(begin[6]), minor = std::to_integer<unsigned>(begin[7]);
  if (major < 1 || major > 3 || minor != 0) {
    fail(label, fmt::format("has format version {}.{}; expected 1.0, 2.0 or 3.0", major, minor));
  }
  std::array<std::byte, 4> length{};
  const auto field = std::span(length).first(major == 1 ? 2 : 4);
  if (stream.read(field) < field.size()) fail(label, fmt::format("ends within its header; expected {}", kExpected));
  return static_cast<std::size_t>(little_endian(field));
}

NpyHeader read_header(ByteStream& stream, const std::string& label) {
  const std::size_t length = read_header_length(stream, label);
  if (length > stream.at_most()) {
    fail(label, fmt::format("header length {} is larger than the {} bytes that follow; expected {}", length,
                            stream.at_most(), kExpected));
  }
  if (length > kLongestHeader) {
    fail(label, fmt::format("header length {} is too large; expected at most {}", length, kLongestHeader));
  }
  std::string text(length, '\0');
  if (stream.read(std::as_writable_bytes(std::span(text))) < length) {
    fail(label, fmt::format("ends within its header of {} bytes; expected {}", length, kExpected));
  }
  return parse_npy_header(text, label);
}

template <class T>
void write_array(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const T> values) {
  const std::int64_t count = element_count(shape, sizeof(T), "array");
  ensure(static_cast<std::size_t>(count) == values.size(), "shape of an array to be written disagrees with its size");
  file.write(npy_header_bytes({dtype_of<T>(), shape}));
  file.write(std::as_bytes(values));
}

template <class T>
void write_array(const std::filesystem::path& path, const std::vector<std::int64_t>& shape, std::span<const T> values) {
  AtomicFile file(path);
  write_array(file, shape, values);
  file.commit();
}

template <class T>
void check_finite(std::span<const T> values, std::span<const std::int64_t> shape, std::string_view name) {
  const auto bad = std::find_if(values.begin(), values.end(), [](T value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  auto rest = bad - values.begin();
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = rest % shape[axis];
    rest /= shape[axis];
  }
  const std::string_view what = std::isnan(*bad) ? "NaN" : *bad > 0 ? "infinity" : "-infinity";
  const std::string where = shape.empty() ? "" : fmt::format(" at {}", shape_text(index));
  fail(name, fmt::format("{}{}; expected finite numbers", what, where));
}

}  // namespace

std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return "float64";
    case DType::float32:
      return "float32";
    case DType::uint8:
      return "uint8";
    case DType::int32:
      return "int32";
    case DType::int64:
      return "int64";
  }
  throw InternalError("unknown element type");
}

std::size_t item_size(DType dtype) {
  switch (dtype) {
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::uint8:
      return 1;
  }
  throw InternalError("unknown element type");
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text;
  for (const std::int64_t dimension : shape) text += fmt::format("[{}]", dimension);
  return text.empty() ? "[]" : text;
}

std::int64_t element_count(std::span<const std::int64_t> shape, std::size_t item_bytes, std::string_view label) {
  auto bytes = static_cast<std::int64_t>(item_bytes);
  bool is_empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) fail(label, fmt::format("shape {} is negative; expected 0 or more", shape_text(shape)));
    is_empty = is_empty || dimension == 0;
    // Zeros are left out: [0][2⁶²][8] is refused too, since whoever multiplies two of its dimensions would overflow.
    if (dimension > 0 && __builtin_mul_overflow(bytes, dimension, &bytes)) {
      fail(label, fmt::format("shape {} overflows; expected an array that fits in memory", shape_text(shape)));
    }
  }
  return is_empty ? 0 : bytes / static_cast<std::int64_t>(item_bytes);
}

NpyArray::NpyArray(DType dtype, std::vector<std::int64_t> shape)
    : dtype_(dtype),
      shape_(std::move(shape)),
      size_(static_cast<std::size_t>(element_count(shape_, item_size(dtype_), "array"))) {
  const std::size_t needed = size_ * item_size(dtype_);
  try {
    storage_.reset(static_cast<std::byte*>(::operator new(needed, kAlignment)));
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(fmt::format("an array {} of {} needs {} bytes of memory, which is more than there is",
                                  shape_text(shape_), dtype_name(dtype_), needed));
  }
}

NpyArray read_npy(ByteStream& stream, const std::string& label) {
  NpyHeader header = read_header(stream, label);
  const auto item = item_size(header.dtype);
  const auto needed = static_cast<std::uint64_t>(element_count(header.shape, item, label)) * item;
  const auto complain = [&](std::string_view relation, std::uint64_t found) {
    fail(label, fmt::format("data is {} than its header says: found {} bytes; expected {} for {} of {}", relation,
                            found, needed, shape_text(header.shape), dtype_name(header.dtype)));
  };
  if (needed > stream.at_most()) complain("shorter", stream.at_most());
  NpyArray array(header.dtype, header.shape);
  const std::size_t got = stream.read(array.bytes());
  if (got < needed) complain("shorter", got);
  std::byte behind{};
  if (stream.read({&behind, 1}) > 0) complain("longer", needed + 1 + stream.at_most());
  return array;
}

NpyArray read_npy(const std::filesystem::path& path) {
  const File file(path, kExpected);
  FileStream stream(file, 0, file.size());
  return read_npy(stream, file.label());
}

void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const double> values) {
  write_array(path, shape, values);
}
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const float> values) {
  write_array(path, shape, values);
}
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const std::uint8_t> values) {
  write_array(path, shape, values);
}
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const std::int32_t> values) {
  write_array(path, shape, values);
}
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const std::int64_t> values) {
  write_array(path, shape, values);
}

void write_npy(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const double> values) {
  write_array(file, shape, values);
}
void write_npy(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const float> values) {
  write_array(file, shape, values);
}
void write_npy(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const std::uint8_t> values) {
  write_array(file, shape, values);
}

void require_finite(std::span<const double> values, std::span<const std::int64_t> shape, std::string_view name) {
  check_finite(values, shape, name);
}
void require_finite(std::span<const float> values, std::span<const std::int64_t> shape, std::string_view name) {
  check_finite(values, shape, name);
}
void require_finite(const NpyArray& array, std::string_view name) {
  if (array.holds<double>()) check_finite(array.values<double>(), array.shape(), name);
  if (array.holds<float>()) check_finite(array.values<float>(), array.shape(), name);
}

}  // namespace clout::io
