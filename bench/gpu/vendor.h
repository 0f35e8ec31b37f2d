// cuDNN and cuBLAS for comparison. Loaded at run time, from the folders of UPS_VENDOR_PATH (separated by
// colons) or where the loader finds them: bench_gpu starts without them.
#pragma once

#include <memory>
#include <string>

#include "bench/gpu/bench.h"
#include "bench/gpu/conv_shapes.h"

namespace ups::bench {

struct VendorTiming {
  Timing timing;
  int tried = 0;       // engine configurations that ran
  std::string engine;  // of the best one: its global index
};

class Vendor {
 public:
  virtual ~Vendor() = default;
  virtual std::string version() const = 0;
  // The bare convolution (dense NHWC, sums in f32; the upsampled picture as input where up > 1): the fastest
  // of all engine configurations that cuDNN's heuristics propose. Throws Error.
  virtual VendorTiming conv2d(const ConvShape& shape, DType dtype, cuda::Stream& stream, double seconds) = 0;
};

// Null without cuDNN; *why is then a sentence.
std::unique_ptr<Vendor> make_vendor(std::string* why);

// TFLOP/s of an 8192 x 8192 x 8192 product by cuBLAS, sums in f32. Throws Error.
double matmul_peak_tflops(DType dtype, cuda::Stream& stream);

}  // namespace ups::bench
