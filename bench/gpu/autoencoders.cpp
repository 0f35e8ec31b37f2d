// Decoding with AutoencoderKL at full width through the public API: time of the network on the device and of
// the whole call, and device memory. Seeded random weights: no released ones are in a public package.
#include <cstdio>
#include <filesystem>
#include <random>

#include "bench/gpu/bench.h"
#include "bench/gpu/device_probe.h"
#include "bench/gpu/random_weights.h"
#include "kernels/error.h"
#include "upscale.h"
#include "weights/safetensors.h"

namespace ups::bench {
namespace {

void verify(ups_status status) {
  if (status != UPS_OK) throw Error(Code(int(status)), ups_last_error());
}

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
  trim_pool();
  reset_peak();
  const int64_t before = driver_used_bytes();
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
  const auto decode = [&] { verify(ups_vae_decode(vae.handle, &latent, &out, &options)); };

  decode();  // first use: modules, recording
  std::vector<double> pass;
  const double until = now_s() + o.seconds * 2;
  do {
    const double start = now_s();
    decode();
    pass.push_back((now_s() - start) * 1e3);
  } while ((now_s() < until || pass.size() < 3) && pass.size() < 100);
  const int64_t own = device_use().peak, driver = driver_peak_bytes() - before;
  take_graph_times();
  std::vector<double> network;
  const double network_until = now_s() + o.seconds * 2;
  do {
    probe_graphs(3);
    decode();
    probe_graphs(0);
    double sum = 0;
    for (double ms : take_graph_times()) sum += ms;
    network.push_back(sum);
  } while ((now_s() < network_until || network.size() < 5) && network.size() < 50);
  const Timing p = summarise(pass, 1), n = summarise(network, 1);
  const Json facts = Json::parse(ups_vae_info(vae.handle));
  return {{"kind", "autoencoder"},
          {"model", "vae decode"},
          {"runner", "upscale"},
          {"precision", "bf16"},
          {"size", {side, side}},
          {"limit_bytes", limit},
          {"spilled", facts["spilled"]},
          {"network_ms", n.ms},
          {"network_ms_quartiles", {n.low, n.high}},
          {"pass_ms", p.ms},
          {"own_peak_bytes", own},
          {"driver_peak_bytes", driver}};
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
                  c.side, c.limit ? "limited" : "       ", double(line["network_ms"]),
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
