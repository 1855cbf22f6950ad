// The bundled data set: counts, histograms and hashes as data/mnist/README.md gives them, and where it is looked for.

#include <array>
#include <clout/host/io/mnist.hpp>
#include <numeric>

#include "support.hpp"

namespace clout::io {
namespace {

namespace fs = std::filesystem;
using Histogram = std::array<int, 10>;

Histogram histogram(std::span<const std::uint8_t> labels) {
  Histogram counts{};
  for (const std::uint8_t label : labels) ++counts.at(label);
  return counts;
}

TEST(Mnist, HoldsWhatItsReadmeSays) {
  const Mnist mnist = load_mnist();
  EXPECT_EQ(histogram(mnist.train.labels), (Histogram{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
  EXPECT_EQ(histogram(mnist.test.labels), (Histogram{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}));
  const auto& pixels = mnist.train.images.pixels;
  ASSERT_EQ(pixels.size(), 60000u * 784u);
  const double mean = static_cast<double>(std::accumulate(pixels.begin(), pixels.end(), std::uint64_t{0})) / 255 /
                      static_cast<double>(pixels.size());
  EXPECT_NEAR(mean, 0.130660, 5e-7);

  const MnistSplit split = paper_split(mnist);
  EXPECT_EQ(split.train.count, 55000);
  EXPECT_EQ(split.test.count, 10000);
  EXPECT_EQ(split.train.pixels.size(), 55000u * 784u);
  EXPECT_EQ(split.train.pixels.data(), pixels.data() + 5000 * 784);
  EXPECT_EQ(histogram(split.train.labels), (Histogram{5444, 6179, 5470, 5638, 5307, 4987, 5417, 5715, 5389, 5454}));
  EXPECT_EQ(split.test.labels[8], 5);
  EXPECT_EQ(split.test.labels[111], 7);
  EXPECT_EQ(split.test.labels[6558], 6);
}

TEST(Mnist, HasTheHashesThatItCameWith) { EXPECT_NO_THROW(verify_mnist()); }

TEST(Mnist, IsFoundWhereItIsNamed) {
  const fs::path bundled = find_mnist();
  EXPECT_EQ(find_mnist(bundled), bundled);
  EXPECT_EQ(find_mnist(bundled.parent_path()), bundled);

  const testing::TemporaryFolder empty;
  ASSERT_EQ(::setenv("CLOUT_DATA", empty.path().c_str(), 1), 0);
  const std::string by_environment = testing::message_of([] { find_mnist(); });
  EXPECT_NE(by_environment.find((empty / "mnist").string()), std::string::npos) << by_environment;
  EXPECT_EQ(find_mnist(bundled), bundled);
  ASSERT_EQ(::unsetenv("CLOUT_DATA"), 0);
  const std::string by_path = testing::message_of([&] { find_mnist(empty.path()); });
  EXPECT_NE(by_path.find("looked in " + (empty / "mnist").string() + ", " + empty.path().string() + ";"),
            std::string::npos)
      << by_path;
}

TEST(Mnist, RefusesOtherCountsAndDamage) {
  const testing::TemporaryFolder folder;
  for (const auto& entry : fs::directory_iterator(find_mnist()))
    fs::copy(entry, folder / entry.path().filename().string());
  EXPECT_NO_THROW(find_mnist(folder.path()));

  const fs::path images = folder / "train-images-idx3-ubyte.gz", labels = folder / "train-labels-idx1-ubyte.gz";
  fs::copy_file(folder / "t10k-labels-idx1-ubyte.gz", labels, fs::copy_options::overwrite_existing);
  testing::expect_refused(labels, "holds 10000 labels, but", [&] { load_mnist(folder.path()); });
  testing::expect_refused(labels, "has SHA-256 f7ae60f9", [&] { verify_mnist(folder.path()); });
  fs::copy_file(folder / "t10k-images-idx3-ubyte.gz", images, fs::copy_options::overwrite_existing);
  testing::expect_refused(images, "holds 10000 images of 28 x 28; expected MNIST's 60000",
                          [&] { load_mnist(folder.path()); });
}

}  // namespace
}  // namespace clout::io
