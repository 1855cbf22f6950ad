#pragma once
// NumPy's .npy files: format 1.0 to 3.0, C order, little-endian.

#include <clout/kernels/error.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace clout::io {

class AtomicFile;
class ByteStream;

/// The element types that clout reads and writes.
enum class DType { float64, float32, uint8, int32, int64 };

/// NumPy's name of the type: "float64".
std::string_view dtype_name(DType dtype);
/// Bytes of one element.
std::size_t item_size(DType dtype);

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, double>) {
    return DType::float64;
  } else if constexpr (std::is_same_v<T, float>) {
    return DType::float32;
  } else if constexpr (std::is_same_v<T, std::uint8_t>) {
    return DType::uint8;
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return DType::int32;
  } else {
    static_assert(std::is_same_v<T, std::int64_t>, "no such element type in .npy files of clout");
    return DType::int64;
  }
}

/// "[3][4]"; "[]" for a scalar.
std::string shape_text(std::span<const std::int64_t> shape);

/// Number of elements of `shape` (1 for a scalar). Throws InvalidInput, beginning with `label`, where a dimension is
/// negative or where the array's bytes would not fit in 63 bits.
std::int64_t element_count(std::span<const std::int64_t> shape, std::size_t item_bytes, std::string_view label);

/// An array in host memory, row-major, its first element at a multiple of 64 bytes. Move-only: these may be large.
class NpyArray {
 public:
  NpyArray() : NpyArray(DType::float64, {0}) {}
  /// Uninitialised elements. Throws InvalidInput for an impossible shape, OutOfMemory.
  NpyArray(DType dtype, std::vector<std::int64_t> shape);

  DType dtype() const noexcept { return dtype_; }
  const std::vector<std::int64_t>& shape() const noexcept { return shape_; }
  std::size_t rank() const noexcept { return shape_.size(); }
  /// Number of elements.
  std::size_t size() const noexcept { return size_; }

  template <class T>
  bool holds() const noexcept {
    return dtype_of<T>() == dtype_;
  }

  /// The elements, row by row; T must be the array's own type (ask holds<T>()).
  template <class T>
  std::span<const T> values() const {
    ensure(holds<T>(), "array asked for another type than its own");
    return {reinterpret_cast<const T*>(storage_.get()), size_};
  }
  template <class T>
  std::span<T> values() {
    ensure(holds<T>(), "array asked for another type than its own");
    return {reinterpret_cast<T*>(storage_.get()), size_};
  }

  std::span<const std::byte> bytes() const noexcept { return {storage_.get(), size_ * item_size(dtype_)}; }
  std::span<std::byte> bytes() noexcept { return {storage_.get(), size_ * item_size(dtype_)}; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, kAlignment); }
  };

  DType dtype_;
  std::vector<std::int64_t> shape_;
  std::size_t size_ = 0;
  std::unique_ptr<std::byte, Free> storage_;
};

/// Reads the array in `path`. Throws InvalidInput (missing or empty file, not .npy, unknown version, damaged header,
/// Fortran order, big-endian, object or other unsupported type, data shorter or longer than the header says) and
/// OutOfMemory. Nothing larger than the file is allocated, whatever its header claims.
NpyArray read_npy(const std::filesystem::path& path);

/// The same from a stream of bytes that must end with the array; errors begin with `label`.
NpyArray read_npy(ByteStream& stream, const std::string& label);

/// Writes format 1.0, whole or not at all (see AtomicFile). values: [shape[0]][shape[1]]…; throws InvalidInput where
/// the file cannot be written.
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const double> values);
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const float> values);
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const std::uint8_t> values);
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const std::int32_t> values);
void write_npy(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
               std::span<const std::int64_t> values);

/// The same into a file whose end is the caller's.
void write_npy(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const double> values);
void write_npy(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const float> values);
void write_npy(AtomicFile& file, const std::vector<std::int64_t>& shape, std::span<const std::uint8_t> values);

/// Throws InvalidInput at the first NaN or infinity: "x.npy: NaN at [17][3]; expected finite numbers". `name` is the
/// path (or whatever tells the user which array). Integer arrays pass.
void require_finite(const NpyArray& array, std::string_view name);
void require_finite(std::span<const double> values, std::span<const std::int64_t> shape, std::string_view name);
void require_finite(std::span<const float> values, std::span<const std::int64_t> shape, std::string_view name);

}  // namespace clout::io
