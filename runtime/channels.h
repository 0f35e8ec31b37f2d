// How the channels of a picture meet those of a network: which runs are needed and what comes out.
#pragma once

#include <vector>

#include "kernels/convert.h"

namespace ups {

// A picture of `image_c` channels (1..4, with alpha for 2 and 4) through a network in_c -> out_c.
struct ChannelPlan {
  std::vector<ChannelMap> runs;  // network runs over the same image: source channel of each network channel
  bool opaque_alpha = false;     // the network's 4th channel is fed with 1: the picture has no alpha
  bool luma_first = false;       // the picture is turned to gray before the network sees it
  bool network_alpha = false;    // the network produces alpha itself
  int network_c = 0;             // channels after all runs: out_c, or 3 when a gray network ran three times
  bool to_gray = false;          // RGB result of a gray picture: turned back to gray
  int state_c = 0;               // channels kept between steps: 1, 3 or 4 (with alpha by the network)
};

// Gray stays gray, colour stays colour. Throws Error{Code::model} for networks other than 1, 3 or 4 channels.
ChannelPlan plan_channels(int image_c, int in_c, int out_c);

}  // namespace ups
