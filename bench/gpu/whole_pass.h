// Timing one call of the public API that runs a recorded network: the call, the network in it, device memory.
#pragma once

#include <functional>

#include "bench/gpu/bench.h"
#include "upscale.h"

namespace ups::bench {

// Throws Error with ups_last_error().
void verify(ups_status status);

// Make it before the model is opened: device memory counts from there.
class WholePass {
 public:
  WholePass();
  // Calls pass() over and again: first whole, about 2 * seconds, then with its recordings repeated.
  void measure(double seconds, const std::function<void()>& pass);
  const Timing& network() const { return network_; }  // no samples if nothing was recorded
  void add_to(Json& line) const;                      // pass_ms, network_ms, bytes

 private:
  int64_t before_;
  int64_t own_peak_ = 0, driver_peak_ = 0;
  Timing pass_, network_;
};

// "upscale", and what UPSCALE_VARIANT makes of it.
std::string runner_name();

}  // namespace ups::bench
