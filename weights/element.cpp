// Element sizes, spellings and conversions. bfloat16 is the upper half of a float; half is widened by moving
// its exponent, with a subtraction that normalises subnormals exactly even when the CPU flushes denormals.
#include "weights/element.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

namespace ups {
namespace {

struct Description {
  Element element;
  int bytes;
  const char* name;
};
constexpr Description kElements[] = {
    {Element::f64, 8, "F64"},      {Element::f32, 4, "F32"}, {Element::f16, 2, "F16"},
    {Element::bf16, 2, "BF16"},    {Element::i64, 8, "I64"}, {Element::i32, 4, "I32"},
    {Element::i16, 2, "I16"},      {Element::i8, 1, "I8"},   {Element::u8, 1, "U8"},
    {Element::boolean, 1, "BOOL"},
};

float half_to_float(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16;
  uint32_t bits = uint32_t(half & 0x7fff) << 13;
  const uint32_t exponent = bits & 0x0f800000;
  bits += (127 - 15) << 23;
  if (exponent == 0x0f800000) {  // infinity or NaN
    bits += (128 - 16) << 23;
  } else if (exponent == 0) {  // zero or subnormal: 2^-14 + fraction, minus 2^-14
    bits = std::bit_cast<uint32_t>(std::bit_cast<float>(bits + (1u << 23)) - 0x1p-14f);
  }
  return std::bit_cast<float>(bits | sign);
}

template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

int element_bytes(Element e) { return kElements[int(e)].bytes; }
const char* element_name(Element e) { return kElements[int(e)].name; }
bool is_floating(Element e) { return e <= Element::bf16; }

std::optional<Element> element_from_name(std::string_view name) {
  for (const Description& d : kElements)
    if (name == d.name) return d.element;
  return std::nullopt;
}

void to_floats(Element e, std::span<const std::byte> bytes, float* out) {
  const std::byte* p = bytes.data();
  const size_t n = bytes.size() / element_bytes(e);
  switch (e) {
    case Element::f32:
      if (n) std::memcpy(out, p, n * 4);
      break;
    case Element::f16:
      for (size_t i = 0; i < n; ++i) out[i] = half_to_float(load<uint16_t>(p + 2 * i));
      break;
    case Element::bf16:
      for (size_t i = 0; i < n; ++i) out[i] = std::bit_cast<float>(uint32_t(load<uint16_t>(p + 2 * i)) << 16);
      break;
    case Element::f64:
      for (size_t i = 0; i < n; ++i) {
        const double value = load<double>(p + 8 * i);
        // Beyond the float range the C++ conversion is undefined; IEEE 754 rounds to infinity.
        constexpr double kFloatOverflow = 0x1.ffffffp127;
        out[i] = value >= kFloatOverflow    ? std::numeric_limits<float>::infinity()
                 : value <= -kFloatOverflow ? -std::numeric_limits<float>::infinity()
                                            : float(value);
      }
      break;
    default:
      break;
  }
}

std::optional<int64_t> checked_bytes(std::span<const int64_t> shape, int bits) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || (size > 0 && count > kMax / size)) return std::nullopt;
    count *= size;
  }
  if (count > kMax / bits || count * bits % 8 != 0) return std::nullopt;
  return count * bits / 8;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string number_text(double value) {
  char text[32];  // the longest takes 24
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::optional<double> text_number(std::string_view text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{} || end != last) return {};
  return value;
}

}  // namespace ups
