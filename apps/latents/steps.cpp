// `upscale latent`: a picture enlarged in steps through an autoencoder, as ComfyUI's IterativeImageUpscale.
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/codecs/pixel_format.h"
#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/latents/autoencoder.h"
#include "apps/options/values.h"
#include "apps/output_file.h"
#include "apps/store/store.h"
#include "apps/terminal.h"

namespace ups::apps {
namespace {

struct Call {
  Autoencoder& vae;
  std::string prefix;  // of --save-steps
  ups_depth depth;
  std::exception_ptr error;
};

int on_progress(void* user, double done) { return static_cast<Call*>(user)->vae.update_progress(done); }

int on_step(void* user, int step, int, const ups_image* image) {
  Call* call = static_cast<Call*>(user);
  try {
    write_picture(call->prefix + std::to_string(step) + ".png", convert_depth(copy_of(*image), call->depth));
    return 0;
  } catch (...) {
    call->error = std::current_exception();
    return 1;
  }
}

}  // namespace

const SmallSyntax& latent_syntax() {
  static const SmallSyntax syntax = {
      "latent",
      "IN OUT",
      "enlarge in steps through an autoencoder",
      with_autoencoder_options(
          {{"--scale", "F", "total factor (2)", "-s"},
           {"--latent-steps", "N", "steps to reach it (3)", "--steps"},
           {"--step-mode", "MODE", "simple (the default) or geometric"},
           {"--faithful", "",
            "sizes, cropping and encode/decode pairs of Impact Pack's IterativeImageUpscale"},
           {"--model", "FILE|ALIAS", "a network enlarges in every step; else --filter", "-m"},
           {"--filter", "F", "lanczos3, bicubic, mitchell, bilinear, box or nearest (lanczos3)"},
           {"--refine", "WHAT", "none, noise or low-pass: what happens to latents (none)"},
           {"--denoise", "A[,B]", "strength of --refine, 0..1, from the first to the last step (0.3)"},
           {"--seed", "N", "of --refine noise (0)"},
           {"--anchor", "S", "give decoded pictures their coarse colours back, 0..1 (0)"},
           depth_option(),
           {"--save-steps", "PREFIX", "write PREFIX1.png, PREFIX2.png ... of the steps"}}),
      2,
      2,
      "Without --faithful the result has exactly the size asked for, and a step encodes and decodes only "
      "when --refine has something to do there; the last one always does.\n"};
  return syntax;
}

int latent_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(latent_syntax(), arguments, a)) return kOk;
  const std::string &in = a.positional[0], &out = a.positional[1];
  auto value = [&](const char* name) -> std::optional<Value> {
    const char* v = a.value(name);
    return v ? std::optional<Value>({name, v}) : std::nullopt;
  };
  ups_vae_options own{};
  own.faithful = a.flag("--faithful");
  own.denoise = own.denoise_end = 0.3;
  if (auto v = value("--scale")) own.scale = v->number(0.01, 1000);
  if (auto v = value("--latent-steps")) own.steps = int(v->integer(1, 1000));
  if (auto v = value("--step-mode"))
    own.step_mode =
        v->choice<ups_step_mode>({{"simple", UPS_STEPS_SIMPLE}, {"geometric", UPS_STEPS_GEOMETRIC}});
  if (auto v = value("--filter"))
    own.filter = v->choice<ups_filter>({{"lanczos3", UPS_FILTER_LANCZOS3},
                                        {"bicubic", UPS_FILTER_BICUBIC},
                                        {"mitchell", UPS_FILTER_MITCHELL},
                                        {"bilinear", UPS_FILTER_BILINEAR},
                                        {"box", UPS_FILTER_BOX},
                                        {"nearest", UPS_FILTER_NEAREST}});
  if (auto v = value("--refine"))
    own.refiner = v->choice<ups_refiner>(
        {{"none", UPS_REFINE_NONE}, {"noise", UPS_REFINE_NOISE}, {"low-pass", UPS_REFINE_LOW_PASS}});
  if (auto v = value("--denoise")) {
    if (own.refiner == UPS_REFINE_NONE)
      fail(kUsage, "--denoise: has no effect without --refine noise or low-pass");
    const size_t comma = std::min(v->text.find(','), v->text.size());
    own.denoise = own.denoise_end = v->with(v->text.substr(0, comma)).number(0, 1);
    if (comma < v->text.size()) own.denoise_end = v->with(v->text.substr(comma + 1)).number(0, 1);
  }
  if (auto v = value("--seed")) {
    if (own.refiner != UPS_REFINE_NOISE) fail(kUsage, "--seed: has no effect without --refine noise");
    own.seed = uint64_t(v->integer(0, 0x7fffffffffffffffL));
  }
  if (auto v = value("--anchor")) own.anchor = v->number(0, 1);
  result_depth(a, out, UPS_U8);  // a name that cannot be written is found before the weights are read

  Autoencoder vae(a);
  std::unique_ptr<Model> model;
  if (auto v = value("--model")) model = std::make_unique<Model>(v->text, vae.options().threads);
  Image lr = read_image(in);
  if (!lr.notes.empty()) print_line(stderr, "upscale: %s", lr.notes.c_str());
  ups_vae_options o = own;
  o.size = sizeof o;
  o.threads = vae.options().threads, o.max_memory_bytes = vae.options().max_memory_bytes;
  o.upscaler = model ? model->get() : nullptr;
  Call call{vae, "", lr.depth, nullptr};
  o.progress = on_progress, o.user = &call;
  if (auto v = value("--save-steps")) call.prefix = v->text, o.step_done = on_step;

  int width = 0, height = 0;
  check(ups_vae_upscaled_size(vae.get(), lr.width, lr.height, &o, &width, &height));
  check_writable(format_of_path(out), width, height, out);
  { OutputFile probe(out); }  // a missing or read-only folder is found first
  if (o.step_done) OutputFile probe(call.prefix + "1.png");
  Image hr = allocate_image(width, height, lr.channels, result_depth(a, out, lr.depth));
  const ups_image from = lr.view();
  ups_image to = hr.view();
  vae.begin_progress(in);
  const ups_status status = ups_vae_upscale(vae.get(), &from, &to, &o);
  vae.end_progress();
  if (call.error) std::rethrow_exception(call.error);
  check(status);
  write_picture(out, std::move(hr));
  const auto info = nlohmann::json::parse(ups_vae_info(vae.get()));
  print_line(stdout, "%s %dx%d -> %s %dx%d, encoded %d and decoded %d times", in.c_str(), lr.width, lr.height,
             out.c_str(), width, height, info["encodes"].get<int>(), info["decodes"].get<int>());
  return kOk;
}

}  // namespace ups::apps
