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
  int alpha_at = -1;             // channel of the network's rows that holds alpha; -1: not there
  bool alpha_to_gray = false;    // alpha went through the network as RGB: it is the luma of three channels
  int network_c = 0;             // channels after all runs: out_c times the number of runs
  bool to_gray = false;          // RGB result of a gray picture: turned back to gray
  int state_c = 0;  // channels kept between steps: those of the colours, and alpha if it is there
};

// alpha_too: the network computes alpha as well, by a run of its own unless it has a channel for it. Where it
// cannot (a network that turns gray into colour), alpha_at stays -1. Gray stays gray, colour stays colour.
// Throws Error{Code::model} for networks other than 1, 3 or 4 channels.
ChannelPlan plan_channels(int image_c, int in_c, int out_c, bool alpha_too = false);

}  // namespace ups
