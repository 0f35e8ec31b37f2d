// `upscale encode` and `upscale decode`: a picture to the latent of an autoencoder, and back.
#include <cstdio>
#include <string>
#include <vector>

#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/latents/autoencoder.h"
#include "apps/options/values.h"
#include "apps/output_file.h"
#include "apps/terminal.h"

namespace ups::apps {

namespace {

SmallOption tiling_option() {
  return {"--vae-tiling", "MODE[,TILE[,OVERLAP]]",
          "exact, or ComfyUI's feather or mean-of-three, for comparison (exact)"};
}

void read_tiling(const SmallArguments& a, ups_vae_options& o) {
  const char* text = a.value("--vae-tiling");
  if (!text) return;
  std::vector<std::string> parts{""};
  for (const char* c = text; *c; c++) {
    if (*c == ',')
      parts.emplace_back();
    else
      parts.back() += *c;
  }
  o.tiling = Value{"--vae-tiling", parts[0]}.choice<ups_vae_tiling>(
      {{"exact", UPS_VAE_EXACT}, {"feather", UPS_VAE_FEATHER}, {"mean-of-three", UPS_VAE_MEAN_OF_THREE}});
  if (parts.size() > 3 || (parts.size() > 1 && o.tiling == UPS_VAE_EXACT)) {
    fail(kUsage, "--vae-tiling: got '", text, "', expected exact or MODE,TILE,OVERLAP");
  }
  if (parts.size() > 1) o.tile_px = int(Value{"--vae-tiling", parts[1]}.integer(32, 65536));
  if (parts.size() > 2) o.overlap_px = int(Value{"--vae-tiling", parts[2]}.integer(8, 32768));
}

}  // namespace

const SmallSyntax& encode_syntax() {
  static const SmallSyntax syntax = {
      "encode",
      "IN OUT.safetensors",
      "a picture to the latent of a Stable Diffusion autoencoder",
      with_autoencoder_options({tiling_option(),
                                {"--sample", "SEED", "a seeded sample; else the mean"},
                                {"--faithful", "", "crop to multiples of 8 as ComfyUI does; else pad"}}),
      2,
      2,
      "The file holds \"latent\" [1, c, h/8, w/8] in f32, multiplied as diffusion models expect it.\n"};
  return syntax;
}

int encode_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(encode_syntax(), arguments, a)) return kOk;
  const std::string &in = a.positional[0], &out = a.positional[1];
  expect_safetensors_name(encode_syntax(), out);
  Autoencoder vae(a);
  ups_vae_options o = vae.options();
  o.crop = a.flag("--faithful");
  read_tiling(a, o);
  if (const char* seed = a.value("--sample")) {
    o.sample = 1, o.seed = uint64_t(Value{"--sample", seed}.integer(0, 0x7fffffffffffffffL));
  }
  Image picture = read_image(in);
  if (!picture.notes.empty()) print_line(stderr, "upscale: %s", picture.notes.c_str());
  if (picture.channels == 2 || picture.channels == 4) {
    print_line(stderr, "upscale: %s: transparency is not part of a latent", in.c_str());
  }
  { OutputFile probe(out); }  // a missing or read-only folder is found first
  const ups_image view = picture.view();
  OwnedLatent latent;
  vae.begin_progress(in);
  check(ups_vae_encode(vae.get(), &view, &o, &latent.latent));
  vae.end_progress();
  check(ups_latent_write(vae.get(), out.c_str(), latent.latent));
  print_line(stdout, "%s %dx%d -> %s [1, %d, %d, %d]%s", in.c_str(), picture.width, picture.height,
             out.c_str(), latent.latent->channels, latent.latent->height, latent.latent->width,
             vae.scaling_text().c_str());
  return kOk;
}

const SmallSyntax& decode_syntax() {
  static const SmallSyntax syntax = {
      "decode",
      "LATENT.safetensors OUT",
      "a latent to a picture",
      with_autoencoder_options({depth_option(), tiling_option()}),
      2,
      2,
      "Reads what encode writes, and latents as diffusers and ComfyUI save them.\n"};
  return syntax;
}

int decode_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(decode_syntax(), arguments, a)) return kOk;
  const std::string &in = a.positional[0], &out = a.positional[1];
  const ups_depth depth = result_depth(a, out, UPS_U8);
  Autoencoder vae(a);
  OwnedLatent latent;
  check(ups_latent_read(vae.get(), in.c_str(), &latent.latent));
  int width = 0, height = 0;
  check(ups_vae_decoded_size(vae.get(), latent.latent, &width, &height));
  { OutputFile probe(out); }
  Image picture = allocate_image(width, height, 3, depth);
  ups_image view = picture.view();
  ups_vae_options o = vae.options();
  read_tiling(a, o);
  vae.begin_progress(in);
  check(ups_vae_decode(vae.get(), latent.latent, &view, &o));
  vae.end_progress();
  write_picture(out, std::move(picture));
  print_line(stdout, "%s [1, %d, %d, %d] -> %s %dx%d%s", in.c_str(), latent.latent->channels,
             latent.latent->height, latent.latent->width, out.c_str(), width, height,
             latent.latent->file_scaling > 0 ? "" : vae.scaling_text().c_str());
  return kOk;
}

}  // namespace ups::apps
