// vendor.h in builds without UPS_VENDOR.
#include "bench/gpu/vendor.h"
#include "kernels/error.h"

namespace ups::bench {

std::unique_ptr<Vendor> make_vendor(std::string* why) {
  *why = "built without UPS_VENDOR";
  return nullptr;
}
double matmul_peak_tflops(DType, cuda::Stream&) { fail(Code::device, "built without UPS_VENDOR"); }

}  // namespace ups::bench
