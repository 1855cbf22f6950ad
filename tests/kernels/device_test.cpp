// What a device says about itself, its memory and its copies.

#include "backend.hpp"

namespace clout::test {
namespace {

template <class C>
using DeviceTest = KernelTest<C>;
TYPED_TEST_SUITE(DeviceTest, Cases, CaseName);

TYPED_TEST(DeviceTest, SaysWhatItIs) {
  const auto info = this->device().info();
  EXPECT_TRUE(info.name.starts_with(TypeParam::Backend::kName)) << info.name;
  EXPECT_FALSE(info.model.empty());
  EXPECT_FALSE(info.libraries.empty());
  EXPECT_GT(info.threads, 0);
  EXPECT_GT(info.memory_total, std::size_t{1} << 20);
  EXPECT_LE(info.memory_available, info.memory_total);
}

TYPED_TEST(DeviceTest, CopiesEveryWay) {
  using T = typename TypeParam::Number;
  std::vector<T> host(1001);
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<T>(i);
  const auto memory = this->upload(host);
  EXPECT_EQ(memory.to_host(), host);
  Guarded<T> other(this->device(), 1001);
  this->device().copy_on_device(other.data(), memory.data(), host.size() * sizeof(T));
  EXPECT_EQ(other.to_host(), host);
  this->device().copy_on_device(other.data(), memory.data(), 0);
  EXPECT_EQ(other.to_host(), host);
}

TYPED_TEST(DeviceTest, MemoryIsAligned) {
  for (const Index bytes : {Index{1}, Index{63}, Index{1000}, Index{9} << 20}) {
    Buffer<std::byte> memory(this->device(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 64, 0u) << bytes;
  }
}

TYPED_TEST(DeviceTest, TooMuchMemoryIsAnErrorWithNumbers) {
  const auto bytes = std::size_t{1} << 50;
  try {
    this->device().allocate(bytes);
    FAIL() << "allocated 1 PB";
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(error.fault(), Fault::device);
    EXPECT_NE(std::string(error.what()).find_first_of("123456789"), std::string::npos) << error.what();
  }
  Buffer<std::byte> still_works(this->device(), 100);
}

TYPED_TEST(DeviceTest, TablesAreComplete) {
  using T = typename TypeParam::Number;
  const KernelTable<T>& table = this->kernels();
  const auto* entries = reinterpret_cast<const void* const*>(&table);
  for (std::size_t i = 0; i < sizeof table / sizeof(void*); ++i) EXPECT_NE(entries[i], nullptr) << "entry " << i;
}

}  // namespace
}  // namespace clout::test
