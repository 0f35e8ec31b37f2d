// Which channels go where, for every kind of picture and network.
#include "runtime/channels.h"

#include "kernels/error.h"
#include "tests/testing.h"

using namespace ups;

TEST_CASE("gray stays gray and colour stays colour through every network", "[runtime][channels]") {
  for (int in_c : {1, 3, 4})
    for (int out_c : {1, 3, 4})
      for (int image_c = 1; image_c <= 4; image_c++) {
        INFO("image " << image_c << ", network " << in_c << " -> " << out_c);
        const ChannelPlan p = plan_channels(image_c, in_c, out_c);
        const bool alpha = image_c % 2 == 0;
        const int colours = image_c <= 2 ? 1 : 3;
        CHECK(p.state_c == colours + (alpha && out_c == 4));
        CHECK((p.alpha_at >= 0) == (alpha && out_c == 4));
        for (const ChannelMap& run : p.runs) {
          CHECK(run.count + p.opaque_alpha == in_c);
          for (int k = 0; k < run.count; k++) CHECK(run.from[k] < image_c);
        }
      }
}

TEST_CASE("a gray network sees each colour plane once", "[runtime][channels]") {
  const ChannelPlan p = plan_channels(4, 1, 1);
  REQUIRE(p.runs.size() == 3);
  for (int k = 0; k < 3; k++) CHECK(p.runs[k].from[0] == k);
  CHECK(p.network_c == 3);
}

TEST_CASE("networks of two channels are refused", "[runtime][channels]") {
  CHECK_THROWS_WITH(plan_channels(3, 2, 3), Catch::Contains("expected 1 (gray), 3 (RGB) or 4 (RGBA)"));
}
