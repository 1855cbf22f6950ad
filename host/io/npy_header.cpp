#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <clout/host/io/file.hpp>
#include <clout/host/io/npy_header.hpp>
#include <clout/kernels/error.hpp>
#include <optional>

namespace clout::io {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are read and written as they lie in memory");

// What newer NumPy allows; also keeps a hostile header from making a long list.
constexpr std::size_t kMostDimensions = 64;
constexpr std::string_view kSupported = "float64, float32, uint8, int32 or int64";

/// The little of Python's syntax that NumPy writes: strings without escapes, True and False, tuples of whole numbers.
class DictParser {
 public:
  DictParser(std::string_view text, std::string_view label) : text_(text), label_(label) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      parse_entry();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (at_ != text_.size()) unreadable("nothing behind '}'");
    if (!descr_ || !fortran_order_ || !shape_) unreadable("the keys 'descr', 'fortran_order' and 'shape'");
    return interpret();
  }

 private:
  void parse_entry() {
    const std::string_view key = parse_string();
    expect(':');
    if (key == "descr" && !descr_) {
      skip_spaces();
      if (peek() == '[' || peek() == '(') {
        fail(label_, fmt::format("dtype {} is structured; expected {}", printable(text_.substr(at_), 40), kSupported));
      }
      descr_ = parse_string();
    } else if (key == "fortran_order" && !fortran_order_) {
      fortran_order_ = parse_bool();
    } else if (key == "shape" && !shape_) {
      shape_ = parse_shape();
    } else {
      unreadable("each of the keys 'descr', 'fortran_order' and 'shape' once");
    }
  }

  std::string_view parse_string() {
    skip_spaces();
    const char quote = peek();
    if (quote != '\'' && quote != '"') unreadable("a quoted string");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) unreadable("a closing quote");
    const std::string_view content = text_.substr(at_ + 1, end - at_ - 1);
    if (content.find('\\') != std::string_view::npos) unreadable("a string without backslashes");
    at_ = end + 1;
    return content;
  }

  bool parse_bool() {
    skip_spaces();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    unreadable("True or False");
  }

  std::vector<std::int64_t> parse_shape() {
    std::vector<std::int64_t> shape;
    expect('(');
    while (!accept(')')) {
      shape.push_back(parse_dimension());
      if (shape.size() > kMostDimensions)
        fail(label_, fmt::format("more than {0} dimensions; expected at most {0}", kMostDimensions));
      if (accept(',')) continue;
      if (shape.size() == 1) unreadable("',' behind the only dimension");  // (3) is a number in Python, not a tuple
      expect(')');
      break;
    }
    return shape;
  }

  std::int64_t parse_dimension() {
    skip_spaces();
    const std::size_t begin = at_;
    const bool negative = peek() == '-';
    if (negative) ++at_;
    if (!is_digit(peek())) unreadable("a whole number");
    std::int64_t value = 0;
    bool fits = true;
    for (; is_digit(peek()); ++at_) {
      fits = fits && !__builtin_mul_overflow(value, 10, &value) && !__builtin_add_overflow(value, peek() - '0', &value);
    }
    const std::string digits = printable(text_.substr(begin, at_ - begin), 30);
    if (negative) fail(label_, fmt::format("dimension {} in the header is negative; expected 0 or more", digits));
    if (!fits)
      fail(label_, fmt::format("dimension {} in the header overflows; expected a shape that fits in the file", digits));
    if (peek() == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }

  NpyHeader interpret() const {
    const DType dtype = interpret_descr();
    if (*fortran_order_) {
      fail(label_, "array is in Fortran order; expected C order: convert it with np.ascontiguousarray before saving");
    }
    return {dtype, *shape_};
  }

  DType interpret_descr() const {
    const bool has_order = !descr_->empty() && std::string_view("<>=|").find((*descr_)[0]) != std::string_view::npos;
    const char order = has_order ? (*descr_)[0] : '=';
    const std::string_view type = descr_->substr(has_order ? 1 : 0);
    const std::string name = printable(*descr_, 40);
    if (type.starts_with('O')) {
      fail(label_, fmt::format("holds Python objects (a pickle, dtype '{}'), which may run code when read; expected {}",
                               name, kSupported));
    }
    for (const auto& [code, dtype] : kTypes) {
      if (type != code) continue;
      if (order == '>' && item_size(dtype) > 1) {
        fail(label_, fmt::format("is big-endian (dtype '{}'); expected little-endian: convert it with .astype('<{}')",
                                 name, code));
      }
      return dtype;
    }
    // uint8 examples are pixels, divided by 255: no remedy for those that are true or false.
    const std::string_view remedy =
        type == "b1" || type == "?" ? ": convert it with .astype(np.float64), labels with .astype(np.uint8)"
        : type.starts_with('f')     ? ": convert it with .astype(np.float64)"
                                    : "";
    fail(label_, fmt::format("dtype '{}' is not supported; expected {}{}", name, kSupported, remedy));
  }

  static constexpr std::pair<std::string_view, DType> kTypes[] = {
      {"f8", DType::float64}, {"f4", DType::float32}, {"u1", DType::uint8}, {"i4", DType::int32}, {"i8", DType::int64}};

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r') ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) unreadable(fmt::format("'{}'", c));
  }
  [[noreturn]] void unreadable(std::string_view expected) const {
    fail(label_,
         fmt::format("header cannot be read: \"{}\"; expected {} at character {}", printable(text_), expected, at_));
  }

  std::string_view text_, label_;
  std::size_t at_ = 0;
  std::optional<std::string_view> descr_;
  std::optional<bool> fortran_order_;
  std::optional<std::vector<std::int64_t>> shape_;
};

std::string_view descr_of(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return "<f8";
    case DType::float32:
      return "<f4";
    case DType::uint8:
      return "|u1";
    case DType::int32:
      return "<i4";
    case DType::int64:
      return "<i8";
  }
  throw InternalError("unknown element type");
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text, std::string_view label) { return DictParser(text, label).parse(); }

std::string npy_header_bytes(const NpyHeader& header) {
  constexpr std::size_t kPreamble = 10, kAlignment = 64;
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr_of(header.dtype),
                                 fmt::join(header.shape, ", "), header.shape.size() == 1 ? "," : "");
  const std::size_t unpadded = kPreamble + dict.size() + 1;
  dict.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  dict += '\n';
  ensure(dict.size() <= 0xffff, "header of an array too long for format 1.0");
  std::string bytes(kNpyMagic);
  for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, dict.size() & 0xff, dict.size() >> 8}) {
    bytes += static_cast<char>(byte);
  }
  return bytes + dict;
}

}  // namespace clout::io
