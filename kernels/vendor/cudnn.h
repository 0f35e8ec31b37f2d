// cuDNN's graph API, as far as convolutions of NHWC images need it. Opened at run time: programs that hold
// this start without it. Built with UPS_VENDOR only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/conv2d_vendor.h"

namespace ups::cuda {

// One engine configuration for one shape.
class CudnnPlan {
 public:
  virtual ~CudnnPlan() = default;
  virtual size_t workspace_bytes() const = 0;
  virtual std::string engine() const = 0;  // its global index
  // For operands of the plan's shape; workspace: 256-byte aligned. Returns a number for run().
  virtual int bind(const VendorConv& operands, void* workspace) = 0;
  virtual void run(int bound, Stream& stream) = 0;
};

class Cudnn {
 public:
  // Throws Error{Code::device} with the loader's reasons.
  static Cudnn& get();
  virtual std::string version() const = 0;
  // Calls use(plan) for each engine configuration that the heuristics propose, the best guess first, until it
  // returns false. Configurations that fail (also in use(), by Error) are passed over; *why is the last
  // reason. x and y may be slices: pixels and rows lie px and row elements apart.
  virtual void for_each_plan(const VendorConv& shape,
                             const std::function<bool(std::unique_ptr<CudnnPlan>)>& use,
                             std::string* why) = 0;

 protected:
  ~Cudnn() = default;
};

}  // namespace ups::cuda
