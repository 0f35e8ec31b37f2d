// The convolutions that bench_gpu times, and their names on the command line.
#pragma once

#include <string>
#include <vector>

#include "kernels/ops.h"

namespace ups::bench {

// CINxCOUT[kK][upU][strideS][sR][plusC]@[W x]H: "64x32@512", "64x48s4@1280x720", "64x64up2@512",
// "64x64k1@512", "128x128stride2@512". H and W are those of x; with a stride the zeros lie at its end, as in
// autoencoders. "256x256plus512@256": beside it a 1x1 shortcut of 512 channels.
struct ConvShape {
  int cin = 0, cout = 0, k = 3, up = 1, stride = 1, shuffle = 1, shortcut = 0, h = 512, w = 512;
  std::string name() const;
  int grid_h() const { return h * up / stride; }  // of the output, before the shuffle
  int grid_w() const { return w * up / stride; }
  double flop() const { return 2.0 * grid_h() * grid_w() * double(cout) * (cin * k * k + shortcut); }
  // As in a dense block (ESRGAN): x is the first cin of 192 channels, y (32 channels) lies behind it in the
  // same buffer.
  bool dense() const {
    return k == 3 && up == 1 && stride == 1 && shuffle == 1 && cout == 32 && cin % 32 == 0 && cin < 192;
  }
  bool dense_end() const { return k == 3 && up == 1 && shuffle == 1 && cin == 192 && cout == 64; }
};

// Throws Error{Code::usage}.
ConvShape parse_shape(const std::string& text);
// Those of RRDBNet and SRVGGNetCompact at 512 x 512, of SwinIR and HAT, and of an autoencoder.
std::vector<ConvShape> released_shapes();

}  // namespace ups::bench
