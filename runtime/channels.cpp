// Channel decisions, case by case.
#include "runtime/channels.h"

#include "kernels/error.h"

namespace ups {

ChannelPlan plan_channels(int image_c, int in_c, int out_c, bool alpha_too) {
  auto usual = [](int c) { return c == 1 || c == 3 || c == 4; };
  check(image_c >= 1 && image_c <= 4, Code::usage, "image: has ", image_c, " channels, expected 1 to 4");
  check(usual(in_c) && usual(out_c), Code::model, "network: takes ", in_c, " and gives ", out_c,
        " channels, expected 1 (gray), 3 (RGB) or 4 (RGBA) for pictures");
  const bool gray = image_c <= 2, alpha = image_c == 2 || image_c == 4;
  const int colours = gray ? 1 : 3;

  ChannelPlan p;
  int result_colours = out_c == 1 ? 1 : 3;
  if (in_c == 1) {
    if (gray || out_c != 1) {
      p.runs = {kFirst1};
      p.luma_first = !gray;  // a colourising network: what it expects is luma
    } else {
      p.runs = {only(0), only(1), only(2)};
      result_colours = 3;
    }
  } else if (in_c == 3) {
    p.runs = {gray ? kGrayTo3 : kFirst3};
  } else {
    ChannelMap map = gray ? kGrayTo3 : kFirst3;
    if (alpha) map.from[map.count++] = image_c - 1;
    p.opaque_alpha = !alpha;
    p.runs = {map};
  }
  if (alpha && out_c == 4) {
    p.alpha_at = 3;
  } else if (alpha && alpha_too && in_c == out_c && in_c < 4) {
    const int a = image_c - 1;
    p.runs.push_back(in_c == 1 ? only(a) : ChannelMap{3, {a, a, a}});
    p.alpha_at = result_colours;
    p.alpha_to_gray = out_c == 3;
  }
  p.network_c = out_c * int(p.runs.size());
  p.to_gray = gray && result_colours == 3;
  p.state_c = p.alpha_at >= 0 ? colours + 1 : colours;
  return p;
}

}  // namespace ups
