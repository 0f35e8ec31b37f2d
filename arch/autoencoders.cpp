// Recognises autoencoders by their keys.
#include "arch/vae.h"
#include "kernels/error.h"

namespace ups {

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
