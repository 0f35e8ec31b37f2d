// Latent: the small picture between encoder and decoder, and its files.
#pragma once

#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "weights/state_dict.h"

namespace ups {

// Planar [c, h, w], as diffusion models use it: (z - shift) * scaling.
struct Latent {
  int c = 0, h = 0, w = 0;
  std::vector<float> v;
  Extent picture;  // what it was made from, when a decoder would give more than that; 0: unknown
  double scaling = 0, shift = 0;  // as the file it was read from states them; 0: it does not

  Extent extent() const { return {h, w}; }
  int64_t count() const { return int64_t(c) * h * w; }
};

// A safetensors file with one tensor [1, c, h, w] or [c, h, w] of floats: "latent", "latents", "samples" or
// "latent_tensor", or the only tensor there is. A file of ComfyUI (latent_format_version_0) holds z itself:
// *raw is then true. Throws Error{Code::io} and Error{Code::model}.
Latent read_latent(const std::string& path, bool* raw);
// The same of what a file holds. Throws Error{Code::model}.
Latent latent_of(const StateDict& file, bool* raw);

// "latent" [1, c, h, w] f32 with the size of the picture and `scaling`, `shift` in the metadata.
void write_latent(const std::string& path, const Latent& latent, double scaling, double shift);

}  // namespace ups
