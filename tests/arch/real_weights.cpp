// Released Real-ESRGAN models as ncnn files, when UPS_REAL_WEIGHTS names a folder that holds them. Pixels are
// compared by tests/parity/real_models.py.
#include <cstdlib>

#include "tests/arch/golden_net.h"

using namespace ups;
using namespace ups::testing;

namespace {

struct Released {
  const char* file;
  const char* family;
  int scale;
  double default_scale;
  int num_feat, depth, context_px;
  int64_t parameters;
};

}  // namespace

TEST_CASE("released models are recognised from their ncnn files", "[arch][real]") {
  const char* folder = std::getenv("UPS_REAL_WEIGHTS");
  if (!folder) {
    WARN("skipped: UPS_REAL_WEIGHTS is not set");
    return;
  }
  Pool pool(2);
  // Depth is num_block or num_conv. RRDBNet sees 15 convolutions a block, conv_first and conv_body at 1 px,
  // conv_up1 at 1/2, conv_up2, conv_hr and conv_last at 1/4; parameter counts as published.
  for (const Released& m : std::initializer_list<Released>{
           {"realesrgan-x4plus", "ESRGAN", 4, 4, 64, 23, 15 * 23 + 2 + 2, 16697987},
           {"realesrgan-x4plus-anime", "ESRGAN", 4, 4, 64, 6, 15 * 6 + 2 + 2, 4467779},
           {"realesr-animevideov3-x4", "Compact", 4, 4, 64, 16, 18, 621424},
           {"realesr-animevideov3-x3", "Compact", 4, 3, 64, 16, 18, 621424},
           {"realesr-animevideov3-x2", "Compact", 4, 2, 64, 16, 18, 621424}}) {
    const std::string path = std::string(folder) + "/" + m.file + ".param";
    if (!std::filesystem::exists(path)) continue;
    DYNAMIC_SECTION(m.file) {
      Session session(open_network(open_weights(path)), make_cpu_backend(pool));
      const Info& info = session.info();
      CHECK(info.family == m.family);
      CHECK(info.scale == m.scale);
      CHECK(info.default_scale == m.default_scale);
      CHECK(info.in_c == 3);
      CHECK(info.out_c == 3);
      CHECK(hyper(info, "num_feat") == m.num_feat);
      CHECK(hyper(info, info.family == "ESRGAN" ? "num_block" : "num_conv") == m.depth);
      CHECK(session.facts().context_px == m.context_px);
      CHECK(session.facts().parameters == m.parameters);
    }
  }
}
