// Networks in the shapes of the released ones, with seeded random weights, for machines without the weights:
// the same time and memory, but no picture.
#include <cstdlib>
#include <filesystem>

#include "bench/gpu/bench.h"
#include "bench/gpu/random_weights.h"
#include "kernels/error.h"
#include "weights/open.h"
#include "weights/safetensors.h"

namespace ups::bench {
namespace {

namespace fs = std::filesystem;

StateDict rrdb(int blocks) {
  RandomWeights m;
  m.conv("conv_first", 64, 3, 1.4f);
  for (int i = 0; i < blocks; i++)
    for (int r = 1; r <= 3; r++)
      for (int j = 1; j <= 5; j++) {
        std::string key = "body." + std::to_string(i);
        key += ".rdb" + std::to_string(r) + ".conv" + std::to_string(j);
        m.conv(key, j == 5 ? 64 : 32, 64 + 32 * (j - 1), 0.7f);
      }
  m.conv("conv_body", 64, 64, 1);
  for (const char* key : {"conv_up1", "conv_up2", "conv_hr"}) m.conv(key, 64, 64, 1);
  m.conv("conv_last", 3, 64, 0.2f, 0.5f);
  return std::move(m.state);
}

StateDict srvgg(int convs) {
  RandomWeights m;
  m.conv("body.0", 64, 3, 1.3f);
  m.tensor("body.1.weight", {64}, 0.1f, 0.1f);
  for (int i = 1; i <= convs; i++) {
    m.conv("body." + std::to_string(2 * i), 64, 64, 1.3f);
    m.tensor("body." + std::to_string(2 * i + 1) + ".weight", {64}, 0.1f, 0.1f);
  }
  m.conv("body." + std::to_string(2 * convs + 2), 48, 64, 0.1f);
  return std::move(m.state);
}

}  // namespace

// As the model store calls them: RealESRGAN_x4plus, its anime_6B, realesr-animevideov3, realesr-general-x4v3;
// and SwinIR-M and HAT x4.
std::vector<std::string> model_names() { return {"x4", "anime", "video", "general", "swinir", "hat"}; }
bool is_transformer(const std::string& model) { return model == "swinir" || model == "hat"; }

void prepare_models(const std::string& folder) {
  fs::create_directories(folder);
  const char* store = std::getenv("UPSCALE_MODELS");
  for (const std::string& name : model_names()) {
    fs::path released;
    for (const char* ending : {".safetensors", ".pth"})
      if (store && released.empty() && fs::exists(fs::path(store) / (name + ending)))
        released = fs::path(store) / (name + ending);
    if (!released.empty()) {
      write_safetensors((fs::path(folder) / (name + ".safetensors")).string(),
                        *open_weights(released.string()));
      continue;
    }
    StateDict state = name == "x4"       ? rrdb(23)
                      : name == "anime"  ? rrdb(6)
                      : name == "video"  ? srvgg(16)
                      : name == "swinir" ? random_swinir()
                      : name == "hat"    ? random_hat()
                                         : srvgg(32);
    state.metadata["name"] = "seeded random weights";
    write_safetensors((fs::path(folder) / (name + ".safetensors")).string(), state);
  }
}

}  // namespace ups::bench
