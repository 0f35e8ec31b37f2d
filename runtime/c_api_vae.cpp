// The part of the C API about autoencoders and latents.
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/convert.h"
#include "runtime/c_boundary.h"
#include "runtime/device.h"
#include "runtime/latent_loop.h"
#include "runtime/vae_tiles.h"
#include "weights/open.h"

struct ups_vae {
  explicit ups_vae(int threads) : pool(threads) {}
  ups::Pool pool;
  std::unique_ptr<ups::Autoencoder> autoencoder;
  std::string device = "auto", described, info_json;
  ups::Precision precision = ups::Precision::automatic;
};

namespace ups {
namespace {

ups_vae_options read_options(const ups_vae_options* given) {
  const ups_vae_options o = read_struct(given, "ups_vae_options");
  check_memory(o.max_memory_bytes);
  return o;
}

struct OwnedLatent : ups_latent {
  Latent latent;
};

ups_latent* give(Latent latent) {
  auto owned = std::make_unique<OwnedLatent>();
  owned->latent = std::move(latent);
  Latent& l = owned->latent;
  owned->channels = l.c, owned->height = l.h, owned->width = l.w, owned->data = l.v.data();
  owned->picture_width = l.picture.w, owned->picture_height = l.picture.h;
  owned->file_scaling = l.scaling, owned->file_shift = l.shift;
  return owned.release();
}

Latent take(const ups_latent* latent) {
  check(latent && latent->data && latent->channels >= 1 && latent->channels <= 65536 && latent->height >= 1 &&
            latent->width >= 1 &&
            int64_t(latent->height) * latent->width < (int64_t(1) << 40) / latent->channels,
        Code::usage, "latent: is NULL or empty");
  Latent l;
  l.c = latent->channels, l.h = latent->height, l.w = latent->width;
  l.picture = {latent->picture_height, latent->picture_width};
  l.v.assign(latent->data, latent->data + l.count());
  return l;
}

// What decoding gives: the picture's size if that is within the last few pixels of the decoder's.
Extent decoded_extent(const Autoencoder& a, const ups_latent& l) {
  const int f = a.networks().factor;
  check(l.height >= 1 && l.width >= 1 && l.height < (1 << 24) / f && l.width < (1 << 24) / f, Code::usage,
        "latent: is ", l.width, "x", l.height, ", expected at least 1x1");
  auto side = [f](int latent, int picture) {
    return picture > (latent - 1) * f && picture <= latent * f ? picture : latent * f;
  };
  return {side(l.height, l.picture_height), side(l.width, l.picture_width)};
}

Progress progress_of(const ups_vae_options& o) {
  if (!o.progress) return {};
  return [o](double done) { check(!o.progress(o.user, done), Code::cancelled, "cancelled"); };
}

VaeTileOptions tiles_of(const ups_vae_options& o) {
  check_choice("tiling", o.tiling, UPS_VAE_MEAN_OF_THREE);
  VaeTileOptions t;
  t.tiling = VaeTiling(o.tiling);
  if (o.tile_px) t.tile_px = o.tile_px;
  t.overlap_px = o.overlap_px;
  return t;
}

LatentLoopOptions loop_options(const ups_vae_options& o) {
  check_choice("step_mode", o.step_mode, UPS_STEPS_GEOMETRIC);
  check_choice("filter", o.filter, UPS_FILTER_CUBIC);
  for (double share : {o.denoise, o.denoise_end, o.anchor})
    check(share >= 0 && share <= 1, Code::usage, "denoise or anchor: got ", share, ", expected 0 to 1");
  LatentLoopOptions l;
  l.scale = o.scale == 0 ? 2 : o.scale;
  l.steps = o.steps == 0 ? 3 : o.steps;
  l.geometric = o.step_mode == UPS_STEPS_GEOMETRIC;
  l.faithful = o.faithful, l.filter = Filter(o.filter);
  l.denoise = o.denoise, l.denoise_end = o.denoise_end, l.anchor = o.anchor;
  return l;
}

std::unique_ptr<Refiner> refiner_of(const ups_vae_options& o, Pool& pool) {
  check_choice("refiner", o.refiner, UPS_REFINE_LOW_PASS);
  if (o.refiner == UPS_REFINE_NOISE) return make_noise_refiner(o.seed);
  if (o.refiner == UPS_REFINE_LOW_PASS) return make_low_pass_refiner(pool);
  return nullptr;
}

// A network between decode and encode. Failures of the call keep their sentence and code.
PixelUpscale upscaler_of(const ups_vae_options& o) {
  if (!o.upscaler) return {};
  return [o](const Image& in, Image& out) {
    ups_options options{};
    options.size = sizeof options;
    options.width = out.w, options.height = out.h, options.filter = o.filter;
    options.max_memory_bytes = o.max_memory_bytes;
    const ups_image from{in.data, in.w, in.h, 3, UPS_F32, ptrdiff_t(in.stride_bytes)};
    ups_image to{out.data, out.w, out.h, 3, UPS_F32, ptrdiff_t(out.stride_bytes)};
    const ups_status status = ups_upscale(o.upscaler, &from, &to, &options);
    if (status) throw Error(Code(status), ups_last_error());
  };
}

}  // namespace
}  // namespace ups

extern "C" {

ups_status ups_vae_open(const char* path, const ups_vae_options* given, ups_vae** out) {
  return ups::guarded([&] {
    ups::check(path && out, ups::Code::usage, "ups_vae_open: path and out must not be NULL");
    *out = nullptr;
    const ups_vae_options o = ups::read_options(given);
    ups::check_threads(o.threads);
    ups::check_choice("precision", o.precision, UPS_PRECISION_TF32);
    auto vae = std::make_unique<ups_vae>(o.threads);
    if (o.device) vae->device = o.device;
    vae->precision = ups::Precision(o.precision);
    ups_vae* v = vae.get();
    auto open = [path = std::string(path), second = std::string(o.second_path ? o.second_path : "")] {
      return ups::open_autoencoder(ups::open_weights(path, ups::autoencoder_part),
                                   second.empty() ? nullptr : ups::open_weights(second));
    };
    auto backend = [v] {
      // SDXL's activations exceed fp16.
      const bool bf16 = v->precision == ups::Precision::automatic && v->autoencoder &&
                        !v->autoencoder->networks().fits_fp16;
      return ups::make_backend(v->device, bf16 ? ups::Precision::bf16 : v->precision, v->pool);
    };
    vae->described = backend()->describe();  // a device that is not there is found now
    vae->autoencoder = std::make_unique<ups::Autoencoder>(open, backend, vae->pool);
    if (o.scaling != 0 || o.shift != 0) vae->autoencoder->set_scaling(o.scaling, o.shift);
    *out = vae.release();
  });
}

void ups_vae_close(ups_vae* vae) { delete vae; }

const char* ups_vae_info(ups_vae* vae) {
  if (!vae) return "{}";
  const ups::AutoencoderNetworks& n = vae->autoencoder->networks();
  nlohmann::ordered_json j;
  j["family"] = n.family, j["keys"] = n.dialect, j["latent_channels"] = n.latent_c, j["factor"] = n.factor;
  j["scaling"] = n.scaling, j["shift"] = n.shift, j["scaling_from"] = n.origin;
  j["encoder"] = n.encoder.has_value(), j["decoder"] = n.decoder.has_value();
  j["device"] = vae->described;
  j["encodes"] = vae->autoencoder->encodes(), j["decodes"] = vae->autoencoder->decodes();
  j["working_bytes"] = vae->autoencoder->working_bytes(), j["spilled"] = vae->autoencoder->spilled();
  vae->info_json = j.dump();
  return vae->info_json.c_str();
}

ups_status ups_vae_encode(ups_vae* vae, const ups_image* in, const ups_vae_options* given, ups_latent** out) {
  return ups::guarded([&] {
    ups::check(vae && out, ups::Code::usage, "ups_vae_encode: an argument is NULL");
    *out = nullptr;
    const ups_vae_options o = ups::read_options(given);
    vae->autoencoder->set_budget(o.max_memory_bytes);
    *out = ups::give(ups::encode_tiled(*vae->autoencoder, ups::view(in, "in", true),
                                       o.crop ? ups::Fit::crop : ups::Fit::pad,
                                       o.sample ? std::optional<uint64_t>(o.seed) : std::nullopt,
                                       ups::tiles_of(o), vae->pool, ups::progress_of(o)));
  });
}

ups_status ups_vae_decoded_size(const ups_vae* vae, const ups_latent* latent, int* width, int* height) {
  return ups::guarded([&] {
    ups::check(vae && latent && width && height, ups::Code::usage,
               "ups_vae_decoded_size: an argument is NULL");
    const ups::Extent e = ups::decoded_extent(*vae->autoencoder, *latent);
    *width = e.w, *height = e.h;
  });
}

ups_status ups_vae_decode(ups_vae* vae, const ups_latent* latent, ups_image* out,
                          const ups_vae_options* given) {
  return ups::guarded([&] {
    ups::check(vae != nullptr, ups::Code::usage, "ups_vae_decode: vae is NULL");
    const ups_vae_options o = ups::read_options(given);
    const ups::Image to = ups::view(out, "out", true);
    const ups::Latent l = ups::take(latent);
    const ups::Extent e = ups::decoded_extent(*vae->autoencoder, *latent);
    ups::check(to.extent() == e && to.c == 3, ups::Code::usage, "out: is ", to.w, "x", to.h, " of ", to.c,
               " channels, expected ", e.w, "x", e.h, " of 3 (see ups_vae_decoded_size)");
    vae->autoencoder->set_budget(o.max_memory_bytes);
    const int f = vae->autoencoder->networks().factor, w = l.w * f;
    std::vector<float> rgb(size_t(l.h) * f * w * 3);
    ups::decode_tiled(*vae->autoencoder, l, rgb.data(), ups::tiles_of(o), ups::progress_of(o));
    ups::Image target = to;
    for (int y = 0; y < e.h; y++)
      ups::store_rows(rgb.data() + int64_t(y) * w * 3, 1, e.w, 3, 3, target.row(y), 3, 0, to.depth,
                      to.stride_bytes, vae->pool);
  });
}

ups_status ups_vae_upscaled_size(const ups_vae* vae, int width, int height, const ups_vae_options* given,
                                 int* out_width, int* out_height) {
  return ups::guarded([&] {
    ups::check(vae && out_width && out_height, ups::Code::usage,
               "ups_vae_upscaled_size: an argument is NULL");
    const ups::Extent e = ups::latent_loop_result({height, width}, vae->autoencoder->networks().factor,
                                                  ups::loop_options(ups::read_options(given)));
    *out_width = e.w, *out_height = e.h;
  });
}

ups_status ups_vae_upscale(ups_vae* vae, const ups_image* in, ups_image* out, const ups_vae_options* given) {
  return ups::guarded([&] {
    ups::check(vae != nullptr, ups::Code::usage, "ups_vae_upscale: vae is NULL");
    const ups_vae_options o = ups::read_options(given);
    const ups::Image from = ups::view(in, "in", true), to = ups::view(out, "out", true);
    vae->autoencoder->set_budget(o.max_memory_bytes);
    ups::LatentStepDone step_done;
    if (o.step_done)
      step_done = [&](int step, int steps, const ups::Image& image) {
        const ups_image shown{image.data, image.w, image.h, 3, UPS_F32, ptrdiff_t(image.stride_bytes)};
        ups::check(!o.step_done(o.user, step, steps, &shown), ups::Code::cancelled, "cancelled");
      };
    const auto refiner = ups::refiner_of(o, vae->pool);
    ups::run_latent_loop(*vae->autoencoder, vae->pool, from, to, ups::loop_options(o), refiner.get(),
                         ups::upscaler_of(o), step_done, ups::progress_of(o));
  });
}

ups_status ups_latent_read(const ups_vae* vae, const char* path, ups_latent** out) {
  return ups::guarded([&] {
    ups::check(vae && path && out, ups::Code::usage, "ups_latent_read: an argument is NULL");
    *out = nullptr;
    bool raw = false;
    ups::Latent l = ups::read_latent(path, &raw);
    const ups::AutoencoderNetworks& n = vae->autoencoder->networks();
    // A file that states its scaling may be of another model than the autoencoder seems to be; an option
    // knows better.
    const bool other =
        !raw && l.scaling > 0 && n.origin != "option" && (l.scaling != n.scaling || l.shift != n.shift);
    if (raw || other)
      for (float& v : l.v) v = float(((raw ? v : v / l.scaling + l.shift) - n.shift) * n.scaling);
    *out = ups::give(std::move(l));
  });
}

ups_status ups_latent_write(const ups_vae* vae, const char* path, const ups_latent* latent) {
  return ups::guarded([&] {
    ups::check(vae && path, ups::Code::usage, "ups_latent_write: an argument is NULL");
    const ups::AutoencoderNetworks& n = vae->autoencoder->networks();
    ups::write_latent(path, ups::take(latent), n.scaling, n.shift);
  });
}

void ups_latent_free(ups_latent* latent) { delete static_cast<ups::OwnedLatent*>(latent); }

}  // extern "C"
