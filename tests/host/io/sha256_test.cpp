// SHA-256 against the standard's own examples; numpy_test.cpp compares with Python's hashlib.

#include <clout/host/io/sha256.hpp>
#include <random>

#include "support.hpp"

namespace clout::io {
namespace {

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

TEST(Sha256, AgreesWithTheStandardsExamples) {
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
                    "mnopqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(hash_of(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  std::mt19937 random(1);
  std::string text(1000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (int trial = 0; trial < 50; ++trial) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t piece = std::min<std::size_t>(random() % 150, text.size() - at);
      hash.update(std::as_bytes(std::span(text).subspan(at, piece)));
      at += piece;
    }
    EXPECT_EQ(hash.hex_digest(), hash_of(text));
  }
}

TEST(Sha256, ReadsFiles) {
  const testing::TemporaryFolder folder;
  const std::string text(3000001, 'z');
  testing::write_bytes(folder / "f", text);
  EXPECT_EQ(sha256_file(folder / "f"), hash_of(text));
  testing::expect_refused(folder / "none", "no such file", [&] { sha256_file(folder / "none"); });
}

}  // namespace
}  // namespace clout::io
