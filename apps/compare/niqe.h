// NIQE (Mittal, Soundararajan, Bovik 2013): how far a picture's statistics are from those of undistorted
// photographs. It needs no reference picture; lower is better.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/codecs/image_io.h"

namespace ups::apps {

inline constexpr int kNiqeFeatures = 36, kNiqeBlock = 96, kNiqeWindow = 7;

// The Gaussian of the features of undistorted photographs, and the window of the local mean and deviation.
struct NiqeParameters {
  std::vector<double> mean, covariance, window;  // 36, 36x36, 7x7
};

// From the bytes of BasicSR's niqe_pris_params.npz; `file` goes into messages. Throws Failure(kIo).
NiqeParameters read_niqe_parameters(std::string_view npz, const std::string& file);

// BasicSR's calculate_niqe(picture, border) of the luma Y in 16..235, rounded; gray counts as R = G = B,
// alpha is left out. Absent where it is not defined: fewer than two blocks of 96x96 that are not flat.
std::optional<double> niqe(const Image& picture, int border, const NiqeParameters& parameters);

}  // namespace ups::apps
