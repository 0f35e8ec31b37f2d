// The threads libjxl works with; what it prints on them is dropped.
#pragma once

#include <jxl/parallel_runner.h>
#include <jxl/resizable_parallel_runner.h>

#include <cstdint>
#include <memory>

namespace ups::apps {

class JxlThreads {
 public:
  explicit operator bool() const { return runner_ != nullptr; }
  void fit(uint64_t width, uint64_t height) {
    JxlResizableParallelRunnerSetThreads(runner_.get(),
                                         JxlResizableParallelRunnerSuggestThreads(width, height));
  }
  // For JxlDecoderSetParallelRunner and its like, with `this` as the opaque pointer.
  static JxlParallelRetCode run(void* self, void* library, JxlParallelRunInit init,
                                JxlParallelRunFunction work, uint32_t begin, uint32_t end);

 private:
  struct Destroyer {
    void operator()(void* runner) const { JxlResizableParallelRunnerDestroy(runner); }
  };
  std::unique_ptr<void, Destroyer> runner_{JxlResizableParallelRunnerCreate(nullptr)};
};

}  // namespace ups::apps
