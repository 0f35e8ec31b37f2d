// What is done about alpha and masks before the network sees a picture.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "runtime/image.h"

namespace ups {

// The value of the last channel if all pixels have the same.
std::optional<float> constant_alpha(const Image& image);

bool has_transparent_pixels(const Image& image);  // alpha 0 somewhere

// The lowest and the highest value if a one-channel picture has no third one.
std::optional<std::pair<float, float>> two_values(const Image& image);

// A copy in which pixels of alpha 0, whose colours nobody sees, continue those around them: ring by ring,
// each takes the mean of its eight neighbours that have a colour by then. So a filter that looks across the
// edge finds no foreign colour: no dark fringe. Alpha stays. A picture without any visible pixel stays as it
// is. Time is linear in the number of pixels, and the result does not depend on anything else.
std::vector<std::byte> bled(const Image& image, Wrap wrap);
// Working bytes of the above, the copy included.
int64_t bled_bytes(const Image& image);

}  // namespace ups
