// Which network is run.
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
}

}  // namespace ups::apps
