// Architecture detection.
#include "runtime/model.h"

#include "kernels/error.h"

namespace ups {

Network open_network(std::shared_ptr<const StateDict> weights) {
  for (const Family* family : families())
    if (family->detect(*weights)) {
      Network network = family->open(weights);
      if (!network.weights) network.weights = weights;
      if (network.info.default_scale <= 0) network.info.default_scale = network.info.scale;
      return network;
    }
  for (const auto& [key, entry] : weights->entries())
    for (const char* half : {"decoder.", "encoder.", "first_stage_model."})
      check(key.rfind(half, 0) != 0, Code::model, weights->source, ": got the key ", key,
            " of an autoencoder, expected an upscaling network (autoencoders are for ups_vae_open, and for "
            "upscale encode, decode and latent with --vae or --taesd)");
  std::string supported;
  for (const Family* family : families())
    supported += (supported.empty() ? "" : "; ") + std::string(family->id) + " (" + family->summary + ")";
  fail(Code::model, weights->source, ": unknown network, first of ", weights->entries().size(),
       " keys: ", weights->first_keys(), "; supported are ", supported);
}

}  // namespace ups
