// A golden autoencoder on the CPU, and a picture to feed it.
#pragma once

#include "kernels/cpu/pool.h"
#include "runtime/autoencoder.h"
#include "tests/arch/vae_net.h"

namespace ups::testing {

// A machine with the autoencoder of a golden file.
struct Fixture {
  Pool pool{2};
  bool tiny;
  std::shared_ptr<const StateDict> io;
  std::unique_ptr<Autoencoder> autoencoder;

  explicit Fixture(const char* name) : tiny(name[0] == 't') {
    io = open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
    autoencoder = std::make_unique<Autoencoder>([this] { return open(); },
                                                [this] { return make_cpu_backend(pool); }, pool);
  }
  AutoencoderNetworks open() const {
    return open_autoencoder(tiny ? taesd_weights(*io, -1) : vae_weights(*io, VaeDialect::diffusers));
  }
};

// A smooth picture with some detail.
struct Picture3 {
  std::vector<float> v;
  Image image;
  Picture3(int h, int w) : v(size_t(h) * w * 3) {
    for (int y = 0; y < h; y++)
      for (int x = 0; x < w; x++)
        for (int k = 0; k < 3; k++)
          v[(size_t(y) * w + x) * 3 + k] =
              0.5f + 0.3f * std::sin(0.07f * float(x) + float(k)) + 0.15f * std::cos(0.9f * float(y + k));
    image = {v.data(), h, w, 3, Depth::f32, int64_t(w) * 12};
  }
};

}  // namespace ups::testing
