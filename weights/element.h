// Conversion of stored elements to float, and shape arithmetic that cannot overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/state_dict.h"

namespace ups {

// Element whose safetensors spelling is `name`; nothing when this library has no use for the type.
std::optional<Element> element_from_name(std::string_view name);

bool is_floating(Element e);

// Values of `bytes` (little-endian, unaligned) converted to float: element_bytes(e) * n bytes to n floats.
// f64 is rounded to nearest. `e` must be a floating type.
void to_floats(Element e, std::span<const std::byte> bytes, float* out);

// product(shape) * bits / 8 when every size is non-negative, nothing overflows and bits add to whole bytes.
// As in the reference reader, the sizes before a zero must not overflow either.
std::optional<int64_t> checked_bytes(std::span<const int64_t> shape, int bits);

// "[64, 3, 3, 3]"
std::string shape_text(std::span<const int64_t> shape);

// The shortest text that reads back as this number, with a point whatever the locale of the program.
std::string number_text(double value);
// The way back: nothing where the text is no number or goes on behind it.
std::optional<double> text_number(std::string_view text);

}  // namespace ups
