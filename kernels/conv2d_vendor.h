// A convolution by a vendor's library, as a port that calls one would do it: what our kernels do in one pass
// takes up to four. Only for comparison, in builds with UPS_VENDOR (and in tests, with a plain loop as
// library).
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "kernels/device/run.h"

namespace ups::cuda {

// What a library is asked for: y = conv(x), sums in f32, y in x's type, k / 2 zeros on all sides; with a
// stride k / 2 zeros below and to the right only, as Conv2d's pad_end. filters: dense [cout][k][k][cin].
struct VendorConv {
  Tensor x, y;
  const void* filters = nullptr;
  int k = 3, stride = 1;
};

// Device memory that stays where it is as long as recordings may read it: until the end of the process.
class VendorBuffers {
 public:
  explicit VendorBuffers(const DeviceInfo& device) : stream_(device) {}
  struct Filters {
    void* data;
    int* ready;  // on the device: whether `data` has been made from the packed weights
  };
  // By address of the weights; not ready after this call.
  Filters filters(const Weight& w);
  enum Use { sums, enlarged, dense, workspace, kUses };
  void* get(Use use, size_t bytes);
  // For work that must not be recorded.
  Stream& stream() { return stream_; }

 private:
  Stream stream_;
  std::map<const void*, DeviceMemory> filters_;
  std::vector<DeviceMemory> others_[kUses];
};

// Null, or why not (as variants do).
const char* vendor_conv_declines(const Conv2d<Tensor>& op);
// Enlarges x where up > 1, reorders the filters (once), lets the library convolve rows and their
// neighbours, and finishes the rows: bias, activation, scale, addends, shuffle.
void run_by_vendor(const Conv2d<Tensor>& op, Stream& stream, Rows rows, VendorBuffers& buffers,
                   const std::function<void(const VendorConv&, Stream&)>& convolve);

extern const Conv2dVariant kConv2dCudnn;  // kernels/vendor/conv2d_cudnn.cpp

}  // namespace ups::cuda
