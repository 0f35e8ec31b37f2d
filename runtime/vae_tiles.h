// Tiled encoding and decoding as ComfyUI does it, for comparison: every tile has statistics of its own, so
// the result differs from that of the whole picture. Autoencoder's own strips do not.
#pragma once

#include "runtime/autoencoder.h"

namespace ups {

enum class VaeTiling : uint8_t {
  exact,         // no tiles: strips, equal to the whole picture
  feather,       // tiles whose overlap fades linearly
  mean_of_three  // the mean of three such results: tiles of half height and twice the width, the reverse,
                 // square
};

struct VaeTileOptions {
  VaeTiling tiling = VaeTiling::exact;
  int tile_px = 512;   // of the picture; a multiple of 16 factors
  int overlap_px = 0;  // of the picture; 0: ComfyUI's, 64 to encode and 128 to decode
};

// As Autoencoder::encode and decode for any tiling. Error{Code::usage} for tiles that do not exceed their
// overlap.
Latent encode_tiled(Autoencoder& autoencoder, const Image& picture, Fit fit, std::optional<uint64_t> seed,
                    const VaeTileOptions& options, Pool& pool, const Progress& progress);
void decode_tiled(Autoencoder& autoencoder, const Latent& latent, float* rgb, const VaeTileOptions& options,
                  const Progress& progress);

}  // namespace ups
