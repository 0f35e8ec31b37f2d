// Opening by the options; pictures as the commands about latents write them.
#include "apps/latents/autoencoder.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/cancel.h"
#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"
#include "apps/options/values.h"
#include "apps/output_file.h"

namespace ups::apps {
namespace {

int on_progress(void* user, double done) { return static_cast<Autoencoder*>(user)->update_progress(done); }

// A folder as diffusers saves it holds the weights under a fixed name; that of a whole pipeline, in vae/.
std::string in_diffusers_folder(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  for (const char* name :
       {"/diffusion_pytorch_model.safetensors", "/vae/diffusion_pytorch_model.safetensors"})
    if (std::filesystem::is_regular_file(path + name, ignored)) return path + name;
  return path;
}

}  // namespace

std::vector<SmallOption> with_autoencoder_options(const std::vector<SmallOption>& own) {
  std::vector<SmallOption> all = {
      {"--vae", "FILE",
       "AutoencoderKL: a file of its own, a checkpoint that holds one, or a folder of diffusers"},
      {"--taesd", "FILE[,FILE]", "TAESD instead: one file, or encoder and decoder"},
      {"--scaling", "F[,SHIFT]", "latents are (z - SHIFT) * F; else as the file says"},
      {"--max-ram", "SIZE", "memory for weights and intermediates, e.g. 800M; a file takes the rest"},
      {"--max-vram", "SIZE", "the same on a GPU, by smaller strips, then memory of the host"},
      {"--threads", "N", "CPU threads (all cores)", "-j"},
      {"--device", "WHERE", "cpu (the default), auto, an index or a name", "-g,--gpu"},
      {"--precision", "P", "auto (TAESD fp16, else bf16), fp32, tf32, fp16 or bf16 on a GPU"}};
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

int Autoencoder::update_progress(double done) {
  progress_.update(done);
  return cancelled();
}

Autoencoder::Autoencoder(const SmallArguments& a) {
  const char *vae = a.value("--vae"), *taesd = a.value("--taesd");
  if ((vae != nullptr) == (taesd != nullptr)) {
    fail(kUsage, vae ? "got both --vae and --taesd, expected one"
                     : "no autoencoder given, expected --vae FILE or --taesd FILE");
  }
  std::string path = vae ? vae : taesd, second;
  if (size_t comma = path.find(','); taesd && comma != std::string::npos) {
    second = path.substr(comma + 1);
    path.resize(comma);
  }
  path = in_diffusers_folder(path);
  options_.size = sizeof options_;
  std::string device = "cpu";
  if (const char* v = a.value("--device")) device = v;
  if (const char* v = a.value("--threads")) options_.threads = int(Value{"--threads", v}.integer(1, 4096));
  if (const char* v = a.value("--max-ram")) options_.max_memory_bytes = Value{"--max-ram", v}.bytes();
  if (const char* v = a.value("--max-vram"); v && device != "cpu" && device != "-1")
    options_.max_memory_bytes = Value{"--max-vram", v}.bytes();
  if (const char* v = a.value("--precision"))
    options_.precision = Value{"--precision", v}.choice<ups_precision>({{"auto", UPS_PRECISION_AUTO},
                                                                        {"fp32", UPS_PRECISION_FP32},
                                                                        {"fp16", UPS_PRECISION_FP16},
                                                                        {"bf16", UPS_PRECISION_BF16},
                                                                        {"tf32", UPS_PRECISION_TF32}});
  if (const char* v = a.value("--scaling")) {
    const std::string text = v;
    const size_t comma = std::min(text.find(','), text.size());
    options_.scaling = Value{"--scaling", text.substr(0, comma)}.number(1e-6, 1e6);
    if (comma < text.size()) options_.shift = Value{"--scaling", text.substr(comma + 1)}.number(-1e6, 1e6);
  }
  options_.device = device.c_str();
  options_.second_path = second.empty() ? nullptr : second.c_str();
  options_.progress = on_progress, options_.user = this;
  check(ups_vae_open(path.c_str(), &options_, &vae_));
  options_.device = options_.second_path = nullptr;  // used by opening only
}

std::string Autoencoder::scaling_text() const {
  const auto info = nlohmann::json::parse(ups_vae_info(vae_));
  return info.value("scaling_from", "") == "assumed"
             ? " (scaling " + info["scaling"].dump() + " assumed, see --scaling)"
             : "";
}

SmallOption depth_option() {
  return {"--depth", "8|16|32f", "bits per channel, where the format has them (as the input, decode: 8)"};
}

ups_depth result_depth(const SmallArguments& a, const std::string& path, ups_depth otherwise) {
  const Format format = format_of_path(path);
  if (!can_write(format)) {
    fail(kUsage, path, ": cannot be written, expected a name ending in one of ", writable_extensions());
  }
  const char* text = a.value("--depth");
  if (!text) return stored_depth(format, otherwise);
  const ups_depth depth =
      Value{"--depth", text}.choice<ups_depth>({{"8", UPS_U8}, {"16", UPS_U16}, {"32f", UPS_F32}});
  if (stored_depth(format, depth) != depth) {
    fail(kUsage, "--depth: got ", text, ", which ", path, " cannot hold (see: upscale formats)");
  }
  return depth;
}

void write_picture(const std::string& path, Image image) {
  const Format format = format_of_path(path);
  if (!can_write(format)) {
    fail(kUsage, path, ": cannot be written, expected a name ending in one of ", writable_extensions());
  }
  check_writable(format, image.width, image.height, path);
  const ups_depth depth = stored_depth(format, image.depth);
  OutputFile file(path);
  write_image(file, format, convert_depth(std::move(image), depth), {});
}

}  // namespace ups::apps
