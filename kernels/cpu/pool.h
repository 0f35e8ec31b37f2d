// Pool: a fixed set of threads that split index ranges. The calling thread is one of them.
#pragma once

#include <functional>
#include <memory>

namespace ups {

class Pool {
 public:
  // threads <= 0: one per available core (kernels/cpu/cores.h). UPSCALE_MAX_THREADS is an upper limit.
  explicit Pool(int threads = 0);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const;
  // Calls fn(i, thread) once for each i in [0, n); returns when all have finished. thread is in
  // [0, threads()). The order is unspecified, so each i must write its own output. A thread begins with its
  // share of n / threads() consecutive i, the same for every call of the same n, and then helps the others.
  // Rethrows the first exception. Not reentrant: fn must not call for_each on the same Pool.
  void for_each(int n, const std::function<void(int i, int thread)>& fn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ups
