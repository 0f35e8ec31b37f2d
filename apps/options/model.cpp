// Which network is run.
#include <filesystem>

#include "apps/chain.h"
#include "apps/options/registry.h"
#include "apps/store/model_name.h"
#include "apps/store/store.h"

namespace ups::apps {

void add_model_options(OptionTable& table) {
  table.add(
      {.names = "-m,--model,--model-path,--upscale-model",
       .argument = "M",
       .group = Group::model,
       .level = Level::basic,
       .help = "weight file or alias, see `upscale models` (fast)",
       .details =
           "The network is recognised from its weights: .safetensors, .pth, or an ncnn .param with its "
           ".bin beside it. Several, separated by commas, run one after the other, as in dejpeg.pth,x4: "
           "each but the last enlarges by its own scale, the last one reaches the size. Without a size the "
           "scale is their product.",
       .set = [](Options& o, const Value& v) { o.model = v.text; },
       .completes = Completes::model});
  table.add(
      {.names = "-n,--model-name",
       .argument = "NAME",
       .group = Group::model,
       .level = Level::advanced,
       .help = "the model called NAME in the folder -m, or a released model by its official name",
       .details =
           "As with realesrgan-ncnn-vulkan and upscayl: -m models -n realesrgan-x4plus. Without -m, "
           "./models is looked into first. Names that ncnn tools keep per scale (realesr-animevideov3-x2) "
           "are found by -s.",
       .set = [](Options& o, const Value& v) { o.model_name = v.text; }});
  table.add({.names = "--mix",
             .argument = "M:W",
             .group = Group::model,
             .level = Level::advanced,
             .help = "mix the weights with a share W (0..1) of a second network of the same shape",
             .details = "The weights become (1 - W) of the one and W of the other, tensor by tensor.",
             .set = [](Options& o, const Value& v) {
               const size_t colon = v.text.rfind(':');
               if (colon == v.text.npos || colon == 0)
                 fail(kUsage, "--mix: got '", v.text, "', expected MODEL:WEIGHT, such as other.pth:0.3");
               o.mix = v.text.substr(0, colon);
               o.mix_share = v.with(v.text.substr(colon + 1)).number(0, 1);
             }});
  table.add({.names = "--denoise,--denoise-strength",
             .argument = "S",
             .group = Group::model,
             .level = Level::advanced,
             .help = "how much noise to remove, 0..1, for a network that has a twin which keeps it (general)",
             .details = "The weights become S of general and 1 - S of realesr-general-wdn-x4v3.",
             .set = [](Options& o, const Value& v) { o.denoise = v.number(0, 1); }});
  table.add({.names = "-z",
             .argument = "N",
             .group = Group::model,
             .level = Level::unlisted,
             .help = "the network's own factor, as upscayl is told it; checked against the weights",
             .set = [](Options& o, const Value& v) { o.stated_scale = int(v.integer(1, 64)); }});
  table.check([](Options& o, const Given& given) {
    if (given("--model-name")) {
      o.model = model_named(given("--model") ? o.model : "", o.model_name, int(o.scale));
    } else if (std::error_code ignored;
               !find_alias(o.model) && std::filesystem::is_directory(o.model, ignored)) {
      fail(kUsage, "--model: ", o.model, " is a folder, name the model in it with -n");
    } else if (!std::filesystem::exists(o.model, ignored)) {
      std::string joined;
      for (const std::string& part : chain_parts(o.model))
        joined += (joined.empty() ? "" : ",") +
                  (std::filesystem::exists(part, ignored) ? part : alias_of_official_name(part));
      o.model = joined;
    }
    if (given("--mix") && given("--denoise")) fail(kUsage, "--mix and --denoise contradict each other");
  });
}

}  // namespace ups::apps
