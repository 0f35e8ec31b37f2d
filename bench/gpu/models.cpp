// Whole networks through the public API: time of the network alone on the device, of the whole pass with its
// copies, device memory, and how far half precision is from fp32.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "bench/gpu/bench.h"
#include "bench/gpu/device_probe.h"
#include "bench/gpu/whole_pass.h"
#include "kernels/error.h"
#include "tests/device/picture.h"
#include "weights/open.h"

namespace ups::bench {
namespace {

struct Model {
  explicit Model(const std::string& path, const cuda::DeviceInfo& device, ups_precision precision) {
    const std::string index = std::to_string(device.index);
    ups_options o{};
    o.size = sizeof o, o.device = index.c_str(), o.precision = precision;
    verify(ups_model_open(path.c_str(), &o, &handle));
  }
  ~Model() { ups_model_close(handle); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ups_model* handle = nullptr;
};

const char* precision_name(ups_precision p) {
  return p == UPS_PRECISION_FP32 ? "fp32" : p == UPS_PRECISION_BF16 ? "bf16" : "fp16";
}

// Untiled, so that the network runs once per pass.
void upscale_whole(Model& model, const ups_image& lr, ups_image& hr) {
  ups_options o{};
  o.size = sizeof o, o.tile_px = -1;
  verify(ups_upscale(model.handle, &lr, &hr, &o));
}

// peak 1; values beyond 0..1 count as clamped, as they are in files.
struct Difference {
  double psnr_db, worst_of_255;
};
Difference difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0, worst = 0;
  for (size_t i = 0; i < a.size(); i++) {
    const double d = std::abs(double(std::clamp(a[i], 0.0f, 1.0f)) - double(std::clamp(b[i], 0.0f, 1.0f)));
    sum += d * d;
    worst = std::isfinite(d) ? std::max(worst, d) : INFINITY;
  }
  const double mse = sum / double(a.size());
  return {mse > 0 ? std::min(200.0, -10 * std::log10(mse)) : 200.0, 255 * worst};
}

struct Case {
  std::string name, path;
  bool released;
  int w, h;
};

// HAT's attention halves as three kernels instead of one, while it lives. What the caller has forced stays.
class InParts {
 public:
  explicit InParts(bool wanted) : set_(wanted && !std::getenv("UPSCALE_VARIANT")) {
    if (set_) setenv("UPSCALE_VARIANT", "attention_sublayer=mma", 1);  // declines windows of 16
  }
  ~InParts() {
    if (set_) unsetenv("UPSCALE_VARIANT");
  }
  InParts(const InParts&) = delete;
  InParts& operator=(const InParts&) = delete;
  bool set() const { return set_; }

 private:
  bool set_;
};

Json measure(const Case& c, ups_precision precision, const Options& o, const cuda::DeviceInfo& device) {
  const std::vector<unsigned char> picture = ups::testing::synthetic_picture(c.w, c.h);
  WholePass timed;
  Model model(c.path, device, precision);
  const Json facts = Json::parse(ups_model_info(model.handle));
  const int scale = facts["scale"];
  std::vector<unsigned char> enlarged(picture.size() * size_t(scale * scale));
  ups_image lr{const_cast<unsigned char*>(picture.data()), c.w, c.h, 3, UPS_U8, c.w * 3},
      hr{enlarged.data(), c.w * scale, c.h * scale, 3, UPS_U8, c.w * scale * 3};

  timed.measure(o.seconds, [&] { upscale_whole(model, lr, hr); });
  const double flop = double(facts["flop_per_pixel"]) * c.w * c.h;
  Json line = {{"kind", "model"},
               {"model", c.name},
               {"weights", c.released ? "released" : "random"},
               {"runner", runner_name()},
               {"precision", precision_name(precision)},
               {"size", {c.w, c.h}},
               {"scale", scale},
               {"gflop", flop * 1e-9}};
  timed.add_to(line);
  if (timed.network().samples) line["tflops"] = flop / timed.network().ms * 1e-9;
  return line;
}

// The same picture by both precisions, compared as floats.
Difference against_fp32(const Case& c, ups_precision precision, const cuda::DeviceInfo& device) {
  const std::vector<unsigned char> picture = ups::testing::synthetic_picture(c.w, c.h);
  std::vector<float> results[2];
  for (int i = 0; i < 2; i++) {
    trim_pool();
    Model model(c.path, device, i == 0 ? UPS_PRECISION_FP32 : precision);
    const int scale = Json::parse(ups_model_info(model.handle))["scale"];
    results[i].resize(picture.size() * size_t(scale * scale));
    ups_image lr{const_cast<unsigned char*>(picture.data()), c.w, c.h, 3, UPS_U8, c.w * 3},
        hr{results[i].data(), c.w * scale, c.h * scale, 3, UPS_F32, c.w * scale * 12};
    upscale_whole(model, lr, hr);
  }
  return difference(results[0], results[1]);
}

}  // namespace

void bench_models(const Options& o, const cuda::DeviceInfo& device, Record& record) {
  namespace fs = std::filesystem;
  fs::path folder = o.models_folder, made;
  if (folder.empty()) {
    made = fs::temp_directory_path() / ("bench_gpu-models-" + std::to_string(uint64_t(now_s() * 1e6)));
    prepare_models(made.string());
    folder = made;
  }
  std::vector<std::string> sizes = o.sizes;
  if (sizes.empty()) sizes = {"512x512", "256x256", "1280x720"};
  std::printf("networks (network: replays on the device; pass: u8 picture in host memory to u8 picture)\n");
  for (size_t s = 0; s < sizes.size(); s++)
    for (const std::string& name : model_names()) {
      if ((!o.model.empty() && o.model != name) || !record.time_left()) continue;
      Case c{name, (folder / (name + ".safetensors")).string(), true, 0, 0};
      if (is_transformer(name) && s > 0 && o.sizes.empty()) continue;  // 512 x 512 alone
      check(std::sscanf(sizes[s].c_str(), "%dx%d", &c.w, &c.h) == 2 && c.w > 0 && c.h > 0, Code::usage,
            "bench_gpu: --size: got ", sizes[s], ", expected WxH");
      try {
        {
          const auto weights = open_weights(c.path);
          const auto named = weights->metadata.find("name");
          c.released = named == weights->metadata.end() || named->second != "seeded random weights";
        }
        Json line = measure(c, UPS_PRECISION_FP16, o, device);
        const bool small = int64_t(c.w) * c.h <= 256 * 256;
        Case compared = c;
        if (is_transformer(name)) compared.w = compared.h = 64;  // their fp32 kernels are plain loops
        if ((small || (is_transformer(name) && s == 0)) && !o.quick &&
            record.time_left()) {  // fp32 is slow: once per network, on the smallest picture
          const Difference d = against_fp32(compared, UPS_PRECISION_FP16, device);
          line["psnr_db"] = d.psnr_db, line["worst_of_255"] = d.worst_of_255;
        }
        record.add(line);
        std::printf(
            "  %-8s %9s network %9.3f ms  pass %9.3f ms  %7.1f TFLOP/s  memory %6.1f MiB own, %6.1f MiB "
            "driver",
            name.c_str(), sizes[s].c_str(), line.value("network_ms", 0.0), double(line["pass_ms"]),
            line.value("tflops", 0.0), double(line["own_peak_bytes"]) / (1 << 20),
            double(line["driver_peak_bytes"]) / (1 << 20));
        if (line.contains("psnr_db"))
          std::printf("  %.1f dB to fp32, worst %.2f/255", double(line["psnr_db"]),
                      double(line["worst_of_255"]));
        std::printf("\n");
        if (const InParts parts(name == "hat"); parts.set() && record.time_left()) {
          line = measure(c, UPS_PRECISION_FP16, o, device);
          line["runner"] = "upscale, attention in three kernels";
          record.add(line);
          std::printf("  %-8s %9s network %9.3f ms  attention in three kernels\n", name.c_str(),
                      sizes[s].c_str(), line.value("network_ms", 0.0));
        }
      } catch (const Error& e) {
        std::printf("  %-8s %9s failed: %s\n", name.c_str(), sizes[s].c_str(), e.what());
        record.add({{"kind", "failure"}, {"model", name}, {"size", {c.w, c.h}}, {"why", e.what()}});
      }
      std::fflush(stdout);
    }
  if (!made.empty()) fs::remove_all(made);
}

}  // namespace ups::bench
