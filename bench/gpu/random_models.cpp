// Networks in the shapes of the released ones, with seeded random weights, for machines without the weights:
// the same time and memory, but no picture.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "bench/gpu/bench.h"
#include "kernels/error.h"
#include "weights/open.h"
#include "weights/safetensors.h"

namespace ups::bench {
namespace {

namespace fs = std::filesystem;

class Maker {
 public:
  // Gains below 1 keep values in the range of pictures through dozens of layers.
  void conv(const std::string& key, int cout, int cin, float gain, float bias = 0) {
    std::vector<float> w(size_t(cout) * cin * 9), b(size_t(cout), bias);
    const float scale = gain / std::sqrt(float(cin) * 9);
    for (float& v : w) v = normal_(engine_) * scale;
    for (float& v : b) v += normal_(engine_) * 0.02f;
    state.add_owned(key + ".weight", {cout, cin, 3, 3}, std::move(w));
    state.add_owned(key + ".bias", {cout}, std::move(b));
  }
  void slopes(const std::string& key, int c) {
    std::vector<float> s(size_t(c), 0.1f);
    for (float& v : s) v += normal_(engine_) * 0.1f;
    state.add_owned(key + ".weight", {c}, std::move(s));
  }
  StateDict state;

 private:
  std::mt19937 engine_{11};
  std::normal_distribution<float> normal_;
};

StateDict rrdb(int blocks) {
  Maker m;
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
  Maker m;
  m.conv("body.0", 64, 3, 1.3f);
  m.slopes("body.1", 64);
  for (int i = 1; i <= convs; i++) {
    m.conv("body." + std::to_string(2 * i), 64, 64, 1.3f);
    m.slopes("body." + std::to_string(2 * i + 1), 64);
  }
  m.conv("body." + std::to_string(2 * convs + 2), 48, 64, 0.1f);
  return std::move(m.state);
}

}  // namespace

// As the model store calls them: RealESRGAN_x4plus, its anime_6B, realesr-animevideov3, realesr-general-x4v3.
std::vector<std::string> model_names() { return {"x4", "anime", "video", "general"}; }

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
    StateDict state = name == "x4"      ? rrdb(23)
                      : name == "anime" ? rrdb(6)
                      : name == "video" ? srvgg(16)
                                        : srvgg(32);
    state.metadata["name"] = "seeded random weights";
    write_safetensors((fs::path(folder) / (name + ".safetensors")).string(), state);
  }
}

}  // namespace ups::bench
