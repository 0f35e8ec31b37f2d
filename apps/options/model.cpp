// Which network is run.
#include <filesystem>

#include "apps/model_name.h"
#include "apps/options/registry.h"

namespace ups::apps {

void add_model_options(OptionTable& table) {
  table.add({.names = "-m,--model",
             .argument = "M",
             .group = Group::model,
             .level = Level::basic,
             .help = "weight file or alias, see `upscale models` (fast)",
             .details =
                 "The network is recognised from its weights: .safetensors, .pth, or an ncnn .param with its "
                 ".bin beside it.",
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
  table.add({.names = "-z",
             .argument = "N",
             .group = Group::model,
             .level = Level::unlisted,
             .help = "the network's own factor, as upscayl is told it; checked against the weights",
             .set = [](Options& o, const Value& v) { o.stated_scale = int(v.integer(1, 64)); }});
  table.check([](Options& o, const Given& given) {
    if (given("--model-name")) {
      o.model = model_named(given("--model") ? o.model : "", o.model_name, int(o.scale));
    } else if (std::error_code ignored; std::filesystem::is_directory(o.model, ignored)) {
      fail(kUsage, "--model: ", o.model, " is a folder, name the model in it with -n");
    } else if (!std::filesystem::exists(o.model, ignored)) {
      o.model = alias_of_official_name(o.model);
    }
  });
}

}  // namespace ups::apps
