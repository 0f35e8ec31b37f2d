// Decoding with AutoencoderKL at full width through the public API: time of the network on the device and of
// the whole call, and device memory. Seeded random weights: no released ones are in a public package.
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

// side: of the decoded picture. limit: of device memory; 0: none.
Json measure(const std::string& path, int side, int64_t limit, const Options& o,
             const cuda::DeviceInfo& device) {
  WholePass timed;
  const std::string index = std::to_string(device.index);
  ups_vae_options options{};
  options.size = sizeof options, options.device = index.c_str(), options.max_memory_bytes = limit;
  Vae vae(path, options);
  std::vector<float> z(size_t(side / 8) * size_t(side / 8) * 4), rgb(size_t(side) * size_t(side) * 3);
  std::mt19937 engine(5);
  std::normal_distribution<float> normal;
  for (float& v : z) v = normal(engine);
  ups_latent latent{};
  latent.channels = 4, latent.height = latent.width = side / 8, latent.data = z.data();
  ups_image out{rgb.data(), side, side, 3, UPS_F32, ptrdiff_t(side) * 12};
  timed.measure(o.seconds, [&] { verify(ups_vae_decode(vae.handle, &latent, &out, &options)); });
  const Json facts = Json::parse(ups_vae_info(vae.handle));
  Json line = {{"kind", "autoencoder"},      {"model", "vae decode"}, {"runner", runner_name()},
               {"precision", "bf16"},        {"size", {side, side}},  {"limit_bytes", limit},
               {"spilled", facts["spilled"]}};
  timed.add_to(line);
  return line;
}

}  // namespace

void prepare_vae(const std::string& folder) {
  std::filesystem::create_directories(folder);
  StateDict state = random_vae_decoder();
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
  struct Case {
    int side;
    int64_t limit;
  };
  std::vector<Case> cases = {{1024, 0}};
  if (!o.quick) cases = {{1024, 0}, {512, 0}, {2048, 0}, {1024, int64_t(1600) << 20}};
  std::printf(
      "autoencoder (decoding, bf16; network: replays on the device; pass: latent to f32 picture, host)\n");
  for (const Case& c : cases) {
    if (!record.time_left()) break;
    try {
      const Json line = measure(path, c.side, c.limit, o, device);
      record.add(line);
      std::printf("  %4d px %s network %9.3f ms  pass %9.3f ms  memory %6.1f MiB own, %6.1f MiB driver\n",
                  c.side, c.limit ? "limited" : "       ", line.value("network_ms", 0.0),
                  double(line["pass_ms"]), double(line["own_peak_bytes"]) / (1 << 20),
                  double(line["driver_peak_bytes"]) / (1 << 20));
    } catch (const Error& e) {
      std::printf("  %4d px failed: %s\n", c.side, e.what());
      record.add(
          {{"kind", "failure"}, {"model", "vae decode"}, {"size", {c.side, c.side}}, {"why", e.what()}});
    }
    std::fflush(stdout);
  }
  if (!made.empty()) fs::remove_all(made);
}

}  // namespace ups::bench
