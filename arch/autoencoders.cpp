// Recognises autoencoders by their keys; their halves as networks.
#include "arch/vae.h"
#include "kernels/error.h"

namespace ups {
namespace {

Network half_network(const AutoencoderNetworks& a, std::shared_ptr<const StateDict> file, const char* half,
                     BuildGraph build) {
  Network n;
  n.info.family = a.family, n.info.variant = half + (", " + a.dialect);
  n.build = std::move(build), n.weights = std::move(file);
  return n;
}

}  // namespace

Network encoder_network(const AutoencoderNetworks& a, std::shared_ptr<const StateDict> file, int c,
                        BuildGraph build) {
  Network n = half_network(a, std::move(file), "encoder", std::move(build));
  n.info.out_c = c, n.info.down = a.factor, n.info.default_scale = 1;
  return n;
}

Network decoder_network(const AutoencoderNetworks& a, std::shared_ptr<const StateDict> file, int c,
                        BuildGraph build) {
  Network n = half_network(a, std::move(file), "decoder", std::move(build));
  n.info.in_c = c, n.info.scale = a.factor, n.info.default_scale = a.factor;
  return n;
}

AutoencoderNetworks open_autoencoder(std::shared_ptr<const StateDict> file,
                                     std::shared_ptr<const StateDict> second) {
  if (detect_taesd(*file)) return open_taesd(std::move(file), std::move(second));
  check(!second, Code::usage, file->source, ": a second file belongs to TAESD only, this is something else");
  if (detect_vae(*file)) return open_vae(std::move(file));
  fail(Code::model, file->source, ": got no autoencoder, first of ", file->entries().size(),
       " keys: ", file->first_keys(),
       "; expected AutoencoderKL in LDM or diffusers keys (decoder.mid..., decoder.mid_block...) or TAESD");
}

}  // namespace ups
