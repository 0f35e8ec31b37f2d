// Decoding and encoding with AutoencoderKL at full width through the public API: time of the network on the
// device and of the whole call, and device memory. Seeded random weights: no released ones are in a public
// package.
#include <cstdio>
#include <filesystem>
#include <random>

#include "bench/gpu/bench.h"
#include "bench/gpu/random_weights.h"
#include "bench/gpu/whole_pass.h"
#include "kernels/error.h"
#include "weights/safetensors.h"

namespace ups::bench {
namespace {

struct Vae {
  Vae(const std::string& path, const ups_vae_options& o) { verify(ups_vae_open(path.c_str(), &o, &handle)); }
  ~Vae() { ups_vae_close(handle); }
  Vae(const Vae&) = delete;
  Vae& operator=(const Vae&) = delete;
  ups_vae* handle = nullptr;
};

struct Case {
  bool encode;
  int side;       // of the picture
  int64_t limit;  // of device memory; 0: none
  const char* name() const { return encode ? "vae encode" : "vae decode"; }
};

Json measure(const std::string& path, const Case& c, const Options& o, const cuda::DeviceInfo& device) {
  const int side = c.side;
  WholePass timed;
  const std::string index = std::to_string(device.index);
  ups_vae_options options{};
  options.size = sizeof options, options.device = index.c_str(), options.max_memory_bytes = c.limit;
  Vae vae(path, options);
  std::vector<float> z(size_t(side / 8) * size_t(side / 8) * 4), rgb(size_t(side) * size_t(side) * 3);
  std::mt19937 engine(5);
  std::normal_distribution<float> normal;
  for (float& v : z) v = normal(engine);
  ups_latent latent{};
  latent.channels = 4, latent.height = latent.width = side / 8, latent.data = z.data();
  ups_image picture{rgb.data(), side, side, 3, UPS_F32, ptrdiff_t(side) * 12};
  if (c.encode) {
    std::uniform_real_distribution<float> uniform;
    for (float& v : rgb) v = uniform(engine);
  }
  timed.measure(o.seconds, [&] {
    if (!c.encode) return verify(ups_vae_decode(vae.handle, &latent, &picture, &options));
    ups_latent* made = nullptr;
    verify(ups_vae_encode(vae.handle, &picture, &options, &made));
    ups_latent_free(made);
  });
  const Json facts = Json::parse(ups_vae_info(vae.handle));
  Json line = {{"kind", "autoencoder"},      {"model", c.name()},    {"runner", runner_name()},
               {"precision", "bf16"},        {"size", {side, side}}, {"limit_bytes", c.limit},
               {"spilled", facts["spilled"]}};
  timed.add_to(line);
  return line;
}

}  // namespace

void prepare_vae(const std::string& folder) {
  std::filesystem::create_directories(folder);
  StateDict state = random_vae();
  state.metadata["name"] = "seeded random weights";
  write_safetensors((std::filesystem::path(folder) / "vae.safetensors").string(), state);
}

void bench_autoencoders(const Options& o, const cuda::DeviceInfo& device, Record& record) {
  namespace fs = std::filesystem;
  fs::path folder = o.models_folder, made;
  if (folder.empty()) {
    made = fs::temp_directory_path() / ("bench_gpu-vae-" + std::to_string(uint64_t(now_s() * 1e6)));
    folder = made;
  }
  const std::string path = (folder / "vae.safetensors").string();
  if (!fs::exists(path)) prepare_vae(folder.string());
  std::vector<Case> cases = {{false, 1024, 0}, {true, 1024, 0}};
  if (!o.quick)
    for (const Case& c : {Case{false, 512, 0}, Case{false, 2048, 0}, Case{false, 1024, int64_t(1600) << 20},
                          Case{true, 512, 0}, Case{true, 2048, 0}})
      cases.push_back(c);
  std::printf(
      "autoencoder (bf16; network: replays on the device; pass: from latent to f32 picture on the host, or "
      "back)\n");
  for (const Case& c : cases) {
    if (!record.time_left()) break;
    try {
      const Json line = measure(path, c, o, device);
      record.add(line);
      std::printf("  %s %4d px %s network %9.3f ms  pass %9.3f ms  memory %6.1f MiB own, %6.1f MiB driver\n",
                  c.name(), c.side, c.limit ? "limited" : "       ", line.value("network_ms", 0.0),
                  double(line["pass_ms"]), double(line["own_peak_bytes"]) / (1 << 20),
                  double(line["driver_peak_bytes"]) / (1 << 20));
    } catch (const Error& e) {
      std::printf("  %s %4d px failed: %s\n", c.name(), c.side, e.what());
      record.add({{"kind", "failure"}, {"model", c.name()}, {"size", {c.side, c.side}}, {"why", e.what()}});
    }
    std::fflush(stdout);
  }
  if (!made.empty()) fs::remove_all(made);
}

}  // namespace ups::bench
