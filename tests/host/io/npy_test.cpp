// .npy files: round trips, every refusal with its message, and the first place of a NaN.

#include <clout/host/io/npy.hpp>
#include <clout/host/io/npy_header.hpp>
#include <cstring>
#include <limits>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;
namespace fs = std::filesystem;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A .npy file with this header text, unpadded.
std::string npy_bytes(std::string_view dict, std::string_view data, int major = 1) {
  std::string bytes(kNpyMagic);
  bytes += static_cast<char>(major);
  bytes += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) bytes += static_cast<char>(dict.size() >> (8 * i) & 0xff);
  return bytes.append(dict).append(data);
}

class Npy : public ::testing::Test {
 protected:
  fs::path put(std::string_view bytes) {
    write_bytes(path_, bytes);
    return path_;
  }
  void expect_bad(std::string_view bytes, std::string_view what) {
    put(bytes);
    expect_refused(path_, what, [&] { read_npy(path_); });
  }
  void expect_bad_dict(std::string_view dict, std::string_view what) { expect_bad(npy_bytes(dict, ""), what); }

  template <class T>
  void round_trip(std::vector<std::int64_t> shape, const std::vector<T>& values) {
    write_npy(path_, shape, std::span<const T>(values));
    const NpyArray array = read_npy(path_);
    EXPECT_EQ(array.dtype(), dtype_of<T>());
    EXPECT_EQ(array.shape(), shape);
    ASSERT_EQ(array.size(), values.size());
    if (!values.empty()) {
      EXPECT_EQ(std::memcmp(array.bytes().data(), values.data(), values.size() * sizeof(T)), 0);
    }
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.bytes().data()) % 64, 0u);
    EXPECT_EQ((fs::file_size(path_) - values.size() * sizeof(T)) % 64, 0u);
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "x.npy";
};

TEST_F(Npy, WritesAndReadsEveryType) {
  round_trip<double>({2, 3}, {1, -2.5, kNan, kInfinity, 0, -0.0});
  round_trip<float>({3}, {1.5F, -2, 3});
  round_trip<std::uint8_t>({1, 2, 2, 1}, {0, 1, 254, 255});
  round_trip<std::int32_t>({2}, {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()});
  round_trip<std::int64_t>({1}, {std::numeric_limits<std::int64_t>::min()});
}

TEST_F(Npy, WritesAndReadsScalarsAndEmptyArrays) {
  round_trip<double>({}, {42});
  round_trip<double>({0}, {});
  round_trip<std::uint8_t>({5, 0, 3}, {});
  round_trip<float>(std::vector<std::int64_t>(64, 1), {1});
}

TEST_F(Npy, ReadsVersions2And3AndOtherSpellings) {
  const std::string data(8, '\0');
  for (const int major : {1, 2, 3}) {
    put(npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", data, major));
    EXPECT_EQ(read_npy(path_).shape(), std::vector<std::int64_t>{1});
  }
  for (const std::string_view dict : {"{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"f8\"}",
                                      "{'descr':'=f8','fortran_order':False,'shape':( 1L , )}  \n",
                                      "{'descr':'|f8','fortran_order':False,'shape':(1,1,1)}"}) {
    put(npy_bytes(dict, data));
    EXPECT_EQ(read_npy(path_).dtype(), DType::float64);
  }
  put(npy_bytes("{'descr': '>u1', 'fortran_order': False, 'shape': (8,)}", data));
  EXPECT_EQ(read_npy(path_).dtype(), DType::uint8);
}

TEST_F(Npy, RefusesWhatIsNoFile) {
  expect_refused(path_, "no such file", [&] { read_npy(path_); });
  expect_refused(folder_.path(), "is a directory", [&] { read_npy(folder_.path()); });
  expect_bad("", "is empty");
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_refused(fifo, "not a regular file", [&] { read_npy(fifo); });
  const fs::path device = "/dev/zero";
  expect_refused(device, "not a regular file", [&] { read_npy(device); });
}

TEST_F(Npy, RefusesAnUnreadableFile) {
  put("x");
  fs::permissions(folder_.path(), fs::perms::all);
  fs::permissions(path_, fs::perms::none);
  EXPECT_TRUE(testing::succeeds_in_child([&] {
    testing::drop_privileges();
    return testing::message_of([&] { read_npy(path_); }).find("Permission denied") != std::string::npos;
  }));
}

TEST_F(Npy, KeepsTheMessageOnOneLineWhateverThePathIs) {
  const std::string message = testing::message_of([&] { read_npy(folder_ / "a\nb\x1b.npy"); });
  EXPECT_NE(message.find("a\\x0ab\\x1b.npy"), std::string::npos) << message;
}

TEST_F(Npy, RefusesOtherFormats) {
  expect_bad("hello, world", "does not begin with NumPy's magic bytes");
  expect_bad("PK\x03\x04whatever", "zip archive");
  expect_bad("\x1f\x8bwhatever", "gzip");
  expect_bad("\x80\x04\x95whatever", "pickle");
  expect_bad(kNpyMagic.substr(0, 4), "ends within its first 8 bytes");
  expect_bad(std::string(kNpyMagic) + std::string("\x04\x00", 2) + std::string(100, ' '), "format version 4.0");
  expect_bad(std::string(kNpyMagic) + std::string("\x00\x00", 2) + std::string(100, ' '), "format version 0.0");
  expect_bad(std::string(kNpyMagic) + std::string("\x01\x01", 2) + std::string(100, ' '), "format version 1.1");
}

TEST_F(Npy, RefusesAHeaderLargerThanTheFile) {
  const std::string good = npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }", "");
  expect_bad(good.substr(0, good.size() - 1), "header length 57 is larger than the 56 bytes that follow");
  expect_bad(std::string(kNpyMagic) + std::string("\x02\x00\xff\xff\xff\xff{", 7),
             "header length 4294967295 is larger");
  expect_bad(good.substr(0, 9), "ends within its header");
  expect_bad(npy_bytes(std::string(2 << 20, ' '), "", 2), "header length 2097152 is too large");
}

TEST_F(Npy, RefusesAHeaderThatIsNoSuchDict) {
  for (const std::string_view dict :
       {"", "{", "{}", "[]", "{'descr'}", "{'descr': '<f8'}", "{'descr': '<f8', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,,)}",
        "{'descr': '<f8', 'fortran_order': Maybe, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)",
        "{'descr': '<f8, 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4}",
        "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3.5,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<\\x66\\x38', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': None, 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'more': 1}"}) {
    expect_bad_dict(dict, "header cannot be read");
  }
}

TEST_F(Npy, RefusesOrdersAndTypesAndSaysTheRemedy) {
  const auto dict = [](std::string_view descr, std::string_view fortran = "False") {
    return std::string("{'descr': ").append(descr) + ", 'fortran_order': " + std::string(fortran) +
           ", 'shape': (1, 1)}";
  };
  expect_bad_dict(dict("'<f8'", "True"), "Fortran order; expected C order: convert it with np.ascontiguousarray");
  expect_bad_dict(dict("'>f8'"), "big-endian (dtype '>f8'); expected little-endian: convert it with .astype('<f8')");
  expect_bad_dict(dict("'>i4'"), ".astype('<i4')");
  expect_bad_dict(dict("'|O'"), "Python objects (a pickle");
  expect_bad_dict(dict("'O8'"), "Python objects (a pickle");
  expect_bad_dict(dict("'|b1'"),
                  "dtype '|b1' is not supported; expected float64, float32, uint8, int32 or int64: convert it with "
                  ".astype(np.float64), labels with .astype(np.uint8)");
  expect_bad_dict(dict("'<f2'"), "dtype '<f2' is not supported");
  for (const std::string_view other :
       {"'<c16'", "'<U3'", "'|S3'", "'<M8[ns]'", "'|V4'", "'<u8'", "'|i1'", "''", "'<'", "'>f16'"}) {
    expect_bad_dict(dict(other), "is not supported");
  }
  expect_bad_dict(dict("[('a', '<f8'), ('b', '<i4')]"), "is structured");
}

TEST_F(Npy, RefusesImpossibleShapes) {
  const auto dict = [](std::string_view shape) {
    return std::string("{'descr': '<f8', 'fortran_order': False, 'shape': ").append(shape) + "}";
  };
  expect_bad_dict(dict("(-1,)"), "dimension -1 in the header is negative");
  expect_bad_dict(dict("(2, -9223372036854775809)"), "is negative");
  expect_bad_dict(dict("(9223372036854775808,)"), "overflows");
  expect_bad_dict(dict("(99999999999999999999999999999999999,)"), "overflows");
  expect_bad_dict(dict("(9223372036854775807,)"), "overflows");
  expect_bad_dict(dict("(4294967296, 4294967296)"), "overflows");
  expect_bad_dict(dict("(0, 4294967296, 4294967296)"), "overflows");
  expect_bad_dict(dict("(1152921504606846975,)"),
                  "data is shorter than its header says: found 0 bytes; expected 9223372036854775800");
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "1,";
  expect_bad_dict(dict(many + ")"), "more than 64 dimensions");
}

TEST_F(Npy, RefusesDataOfAnotherLength) {
  const std::string dict = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }";
  expect_bad(npy_bytes(dict, std::string(47, 'x')),
             "shorter than its header says: found 47 bytes; expected 48 for [3][2] of float64");
  expect_bad(npy_bytes(dict, std::string(50, 'x')),
             "longer than its header says: found 50 bytes; expected 48 for [3][2] of float64");
}

TEST_F(Npy, ReplacesAnOldFileAndLeavesNothingBeside) {
  round_trip<double>({4}, {1, 2, 3, 4});
  round_trip<double>({1}, {5});
  EXPECT_EQ(folder_.entries(), 1u);
}

TEST_F(Npy, RefusesToGiveAnotherTypeThanItsOwn) {
  EXPECT_THROW(NpyArray(DType::float32, {2}).values<double>(), InternalError);
  EXPECT_THROW(write_npy(path_, {3}, std::vector<double>{1, 2}), InternalError);
  EXPECT_THROW(NpyArray(DType::float64, {-1}), InvalidInput);
}

TEST(RequireFinite, SaysTheFirstPlace) {
  std::vector<double> values(20 * 5, 1.0);
  const std::vector<std::int64_t> shape{20, 5};
  require_finite(values, shape, "x.npy");
  values[17 * 5 + 3] = kNan;
  values[18 * 5] = kInfinity;
  const auto message = [&](const std::vector<std::int64_t>& as) {
    return testing::message_of([&] { require_finite(values, as, "x.npy"); });
  };
  EXPECT_EQ(message(shape), "x.npy: NaN at [17][3]; expected finite numbers");
  EXPECT_EQ(message({100}), "x.npy: NaN at [88]; expected finite numbers");
  EXPECT_EQ(message({5, 1, 4, 5}), "x.npy: NaN at [4][0][1][3]; expected finite numbers");
  values[0] = -kInfinity;
  EXPECT_EQ(message(shape), "x.npy: -infinity at [0][0]; expected finite numbers");
}

TEST(RequireFinite, LooksAtArraysOfFloatsOnly) {
  NpyArray floats(DType::float32, {2, 2});
  std::fill(floats.values<float>().begin(), floats.values<float>().end(), 0.0F);
  require_finite(floats, "params.npy");
  floats.values<float>()[3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(testing::message_of([&] { require_finite(floats, "params.npy"); }),
            "params.npy: infinity at [1][1]; expected finite numbers");
  NpyArray scalar(DType::float64, {});
  scalar.values<double>()[0] = kNan;
  EXPECT_EQ(testing::message_of([&] { require_finite(scalar, "t"); }), "t: NaN; expected finite numbers");
  NpyArray whole(DType::int64, {1});
  whole.values<std::int64_t>()[0] = -1;
  require_finite(whole, "y.npy");
}

}  // namespace
}  // namespace clout::io
