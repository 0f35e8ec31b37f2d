// The autoencoder families. Each opens a file that detect() accepts.
#pragma once

#include "runtime/autoencoder_networks.h"

namespace ups {

// AutoencoderKL (Rombach et al. 2022), the VAE of Stable Diffusion, SDXL, SD3 and FLUX.1.
bool detect_vae(const StateDict& file);
AutoencoderNetworks open_vae(std::shared_ptr<const StateDict> file);

// TAESD, a distilled small autoencoder with the latents of the large ones.
bool detect_taesd(const StateDict& file);
AutoencoderNetworks open_taesd(std::shared_ptr<const StateDict> file,
                               std::shared_ptr<const StateDict> second);

// The halves of an autoencoder as networks on the tensors of `file`: from pictures to c channels at 1 /
// a.factor of the size, and back.
using BuildGraph = std::function<Value(Graph&, Value)>;
Network encoder_network(const AutoencoderNetworks& a, std::shared_ptr<const StateDict> file, int c,
                        BuildGraph build);
Network decoder_network(const AutoencoderNetworks& a, std::shared_ptr<const StateDict> file, int c,
                        BuildGraph build);

}  // namespace ups
