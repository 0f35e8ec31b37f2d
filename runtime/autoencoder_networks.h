// What a file of an image autoencoder holds: an encoder, a decoder or both, and how their numbers are meant.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/model.h"

namespace ups {

struct AutoencoderNetworks {
  std::string family;   // "AutoencoderKL", "TAESD"
  std::string dialect;  // "LDM keys", "diffusers keys", ...
  int latent_c = 4;
  int factor = 8;            // picture side / latent side
  bool moments = false;      // the encoder gives mean and log-variance, 2 * latent_c channels
  bool signed_range = true;  // pictures are -1..1 to the networks; otherwise 0..1
  bool clamped = false;      // the decoder takes 3 * tanh(z / 3) for z
  bool fits_fp16 = false;    // activations are known to stay within its range; else GPUs store bf16
  // A stored latent is (z - shift) * scaling. The weights do not say; origin tells where the numbers are
  // from.
  double scaling = 1, shift = 0;
  std::string origin;  // "metadata", "checkpoint", "assumed", "" (nothing to choose: 1 and 0)
  std::optional<Network> encoder, decoder;
};

// The prefix of an autoencoder within a full checkpoint of these names, "" where it is the whole file: a
// PartOf for open_weights. Defined in arch/vae.cpp.
std::string autoencoder_part(const std::set<std::string, std::less<>>& names);

// Recognises AutoencoderKL in LDM keys (also within a full checkpoint: only its own tensors are touched) and
// diffusers keys, and TAESD in both of its forms. TAESD's original release has encoder and decoder in one
// file each: `second` (may be null) is the other one, in either order. Defined in arch/autoencoders.cpp.
// Throws Error{Code::model} when there is none, listing the first keys.
AutoencoderNetworks open_autoencoder(std::shared_ptr<const StateDict> file,
                                     std::shared_ptr<const StateDict> second = nullptr);

}  // namespace ups
