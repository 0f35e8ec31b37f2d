// A picture made ready for the loop: what its kind and its alpha ask of the network and of the output.
#pragma once

#include <vector>

#include "runtime/loop.h"

namespace ups {

// The order is that of ups_alpha in include/upscale.h.
enum class AlphaMode : uint8_t { automatic, model, resample, drop };

struct PictureOptions {
  Kind kind = Kind::color;
  AlphaMode alpha = AlphaMode::automatic;
  double source_share = 0;
};

struct Picture {
  Image lr;                     // what the network sees: the caller's, or a copy with colours bled
  std::vector<std::byte> copy;  // its pixels in that case
  int hr_c = 0;                 // channels of the result
  bool nearest = false;         // no network: every pixel takes the value of the one it lies in
  LoopOptions loop;             // completed
  OutputOptions output;
  int64_t working_bytes = 0;  // of the copy
};

// Looks at the pixels where the kind or the alpha mode ask for it. Without pixels (lr.data null: plans) it
// takes alpha as varying with transparent pixels, and a mask as one of two values.
// Error{Code::usage} for a kind the channels cannot be and shares outside of 0..1.
Picture prepare_picture(const Image& lr, const LoopOptions& loop, const PictureOptions& options,
                        int network_scale);

// Working bytes beside those of the loop: of the copy and of what is resampled alongside.
int64_t picture_bytes(const Picture& picture, const LoopPlan& plan);

// What is left of a plan without the network, whose weights take memory all the same.
void skip_network(LoopPlan& plan, const Picture& picture, const Session& session);

// The result of a picture for which `nearest` is set. The output must expect hr_c channels.
void put_nearest(const Picture& picture, Extent hr, Pool& pool, Output& output, const Progress& progress);

}  // namespace ups
