// Latent files: safetensors, read with suspicion.
#include "runtime/latent.h"

#include <cmath>

#include "kernels/error.h"
#include "weights/element.h"
#include "weights/open.h"
#include "weights/safetensors.h"

namespace ups {
namespace {

constexpr int kMostChannels = 256, kMostSide = 1 << 16;

int stated_side(const StateDict& file, const char* key) {
  const std::string text = file.metadata_text(key);
  if (text.size() > 7) return 0;
  int n = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return 0;
    n = n * 10 + (c - '0');
  }
  return n;
}

double stated_number(const StateDict& file, const char* key) {
  const std::optional<double> v = text_number(file.metadata_text(key));
  return v && std::fabs(*v) <= 1e6 ? *v : 0;
}

}  // namespace

Latent read_latent(const std::string& path, bool* raw) { return latent_of(*open_weights(path), raw); }

Latent latent_of(const StateDict& file, bool* raw) {
  const std::string& path = file.source;
  *raw = file.has("latent_format_version_0");
  std::string key;
  for (const char* name : {"latent", "latents", "samples", "latent_tensor"})
    if (key.empty() && file.has(name)) key = name;
  if (key.empty() && file.entries().size() == 1) key = file.entries().begin()->first;
  check(!key.empty(), Code::model, path, ": got ", file.entries().size(),
        " tensors and none called latent, expected a file of `upscale encode`");
  const Entry& entry = file.at(key);
  std::vector<int64_t> shape = entry.shape;
  if (shape.size() == 4 && shape[0] == 1) shape.erase(shape.begin());
  check(shape.size() == 3 && shape[0] >= 1 && shape[0] <= kMostChannels && shape[1] >= 1 &&
            shape[1] <= kMostSide && shape[2] >= 1 && shape[2] <= kMostSide,
        Code::model, path, ": tensor '", key, "' has ", entry.shape.size(), " dimensions and ", entry.count(),
        " values, expected [1, channels, height, width]");
  Latent l;
  l.c = int(shape[0]), l.h = int(shape[1]), l.w = int(shape[2]);
  l.v = file.floats(key);
  for (float v : l.v)
    check(std::isfinite(v), Code::model, path, ": tensor '", key, "' holds infinity or NaN");
  l.picture = {stated_side(file, "height"), stated_side(file, "width")};
  if (const double scaling = stated_number(file, "scaling_factor"); scaling >= 1e-6)
    l.scaling = scaling, l.shift = stated_number(file, "shift_factor");
  return l;
}

void write_latent(const std::string& path, const Latent& latent, double scaling, double shift) {
  StateDict out;
  out.add_owned("latent", {1, latent.c, latent.h, latent.w}, latent.v);
  out.metadata["scaling_factor"] = number_text(scaling);
  out.metadata["shift_factor"] = number_text(shift);
  if (latent.picture.h > 0) {
    out.metadata["width"] = std::to_string(latent.picture.w);
    out.metadata["height"] = std::to_string(latent.picture.h);
  }
  write_safetensors(path, out);
}

}  // namespace ups
