// NumPy writes and clout reads; clout writes and NumPy reads; Python's hashlib hashes what clout hashes.

#include <clout/host/io/npy.hpp>
#include <clout/host/io/npz.hpp>
#include <clout/host/io/sha256.hpp>
#include <random>

#include "support.hpp"

namespace clout::io {
namespace {

using testing::expect_refused;
using testing::TemporaryFolder;
namespace fs = std::filesystem;

const std::vector<std::vector<std::int64_t>> kShapes{{}, {0}, {7}, {3, 4}, {2, 1, 3, 5}};

struct Ran {
  int status = -1;
  std::string output;
};

Ran run_python(const std::string& arguments) {
  const std::string command =
      std::string("'") + CLOUT_TEST_PYTHON + "' '" + CLOUT_INTEROP_SCRIPT + "' " + arguments + " 2>&1";
  Ran ran;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return ran;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) ran.output += static_cast<char>(c);
  ran.status = ::pclose(pipe);
  return ran;
}

bool has_numpy() { return !std::string_view(CLOUT_TEST_PYTHON).empty(); }

// The same elements as element() in numpy_interop.py.
template <class T>
std::vector<T> elements(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t dimension : shape) count *= static_cast<std::size_t>(dimension);
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    double value = static_cast<double>(i * 37 % 251);
    if (!std::is_same_v<T, std::uint8_t>) value -= 100;
    if (std::is_floating_point_v<T>) value += 0.25;
    values[i] = static_cast<T>(value);
  }
  return values;
}

template <class T>
std::string name_of(const std::vector<std::int64_t>& shape) {
  std::string name(dtype_name(dtype_of<T>()));
  for (const std::int64_t dimension : shape) name.append("_").append(std::to_string(dimension));
  return name;
}

template <class T>
void expect_elements(const NpyArray& array, const std::vector<std::int64_t>& shape) {
  ASSERT_TRUE(array.holds<T>()) << dtype_name(array.dtype());
  EXPECT_EQ(array.shape(), shape);
  const auto found = array.values<T>();
  EXPECT_EQ(std::vector<T>(found.begin(), found.end()), elements<T>(shape));
}

template <class T>
void read_theirs(const TemporaryFolder& folder) {
  for (const auto& shape : kShapes) {
    const std::string name = name_of<T>(shape);
    SCOPED_TRACE(name);
    for (const std::string version : {"1", "2", "3"}) {
      expect_elements<T>(read_npy(folder / (name + ".v" + version + ".npy")), shape);
    }
    expect_elements<T>(read_npz(folder / "stored.npz", name), shape);
    expect_elements<T>(read_npz(folder / "deflated.npz", name + ".npy"), shape);
  }
}

template <class T>
void write_ours(const TemporaryFolder& folder) {
  for (const auto& shape : kShapes) {
    write_npy(folder / ("ours_" + name_of<T>(shape) + ".npy"), shape, elements<T>(shape));
  }
}

class Numpy : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_numpy()) GTEST_SKIP() << "no Python with NumPy was found when the build was configured";
  }
  TemporaryFolder folder_;
};

TEST_F(Numpy, IsRead) {
  const Ran ran = run_python("write '" + folder_.path().string() + "'");
  ASSERT_EQ(ran.status, 0) << ran.output;
  read_theirs<double>(folder_);
  read_theirs<float>(folder_);
  read_theirs<std::uint8_t>(folder_);
  read_theirs<std::int32_t>(folder_);
  read_theirs<std::int64_t>(folder_);

  EXPECT_EQ(npz_members(folder_ / "stored.npz").size(), 25u);
  EXPECT_EQ(npz_members(folder_ / "one.npz"), std::vector<std::string>{"x"});
  const auto refuses = [&](const std::string& name, std::string_view what) {
    expect_refused(folder_ / name, what, [&] { read_npy(folder_ / name); });
  };
  refuses("fortran.npy", "np.ascontiguousarray");
  refuses("big_endian.npy", ".astype('<f8')");
  refuses("bool.npy", "dtype '|b1'");
  refuses("half.npy", "dtype '<f2'");
  refuses("complex.npy", "dtype '<c16'");
  refuses("text.npy", "dtype '<U2'");
  refuses("structured.npy", "structured");
  refuses("object.npy", "Python objects");
  refuses("one.npz", "zip archive");

  const fs::path one = folder_ / "one.npz", object = folder_ / "object.npz";
  expect_refused(object, "array 'x': holds Python objects", [&] { read_npz(object, "x"); });
  expect_refused(one, "holds no array 'y'; expected one of: x", [&] { read_npz(one, "y"); });
}

TEST_F(Numpy, ReadsOurs) {
  write_ours<double>(folder_);
  write_ours<float>(folder_);
  write_ours<std::uint8_t>(folder_);
  write_ours<std::int32_t>(folder_);
  write_ours<std::int64_t>(folder_);
  const Ran ran = run_python("check '" + folder_.path().string() + "'");
  EXPECT_EQ(ran.status, 0) << ran.output;
}

TEST_F(Numpy, DamagedArchivesAreRefused) {
  ASSERT_EQ(run_python("write '" + folder_.path().string() + "'").status, 0);
  const fs::path path = folder_ / "damaged.npz";
  const std::string good = testing::read_bytes(folder_ / "one.npz");
  const auto refuses = [&](const std::string& bytes, std::string_view what) {
    testing::write_bytes(path, bytes);
    expect_refused(path, what, [&] { read_npz(path, "x"); });
  };
  refuses(good.substr(0, good.size() - 1), "is not a complete zip archive");
  refuses(good.substr(0, good.size() / 2), "is not a complete zip archive");
  refuses("PK", "is not a complete zip archive");
  std::string flipped = good;
  flipped[good.find("NUMPY") + 200] ^= 1;
  refuses(flipped, "array 'x': checksum is wrong");
  refuses("x" + good, "zip directory is damaged");
  std::string encrypted = good;
  encrypted[good.find("PK\x01\x02") + 8] ^= 1;
  refuses(encrypted, "is encrypted");
  std::string method = good;
  method[good.find("PK\x01\x02") + 10] = 14;
  refuses(method, "compression method 14 is not supported");
}

TEST_F(Numpy, HashlibAgrees) {
  std::mt19937 random(3);
  for (const std::size_t size : {1, 55, 56, 63, 64, 65, 119, 120, 1000, 100003}) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    testing::write_bytes(folder_ / "f", bytes);
    const Ran ran = run_python("sha256 '" + (folder_ / "f").string() + "'");
    ASSERT_EQ(ran.status, 0) << ran.output;
    EXPECT_EQ(ran.output, sha256_file(folder_ / "f") + "\n") << size;
  }
}

}  // namespace
}  // namespace clout::io
