// The library's finishing line behind a network: takes its rows, fills a picture.
#pragma once

#include <exception>

#include "apps/codecs/image_io.h"
#include "upscale.h"

namespace ups::apps {

class FinishRows {
 public:
  // Pictures of width x height become `hr`, which has the size, channels and depth that `finish` leads to;
  // only its description is used. Throws Failure.
  FinishRows(ups_model* model, int width, int height, const ups_finish& finish, const Image& hr);
  ~FinishRows() { ups_finisher_close(finisher_); }
  FinishRows(const FinishRows&) = delete;
  FinishRows& operator=(const FinishRows&) = delete;

  // Where finished rows go. Returning non-zero stops.
  using Sink = int (*)(void* user, int y, int rows, const void* data);
  void send_to(Sink sink, void* user) { sink_ = sink, user_ = user; }
  // Takes f32 rows, in order. Non-zero if the sink or the line failed; then error() says why, if the line
  // did.
  int push(int rows, const void* data);
  std::exception_ptr error() const { return error_; }
  int64_t bytes() const { return ups_finisher_bytes(finisher_); }

 private:
  static int on_rows(void* self, int y, int rows, const void* data);

  ups_finisher* finisher_ = nullptr;
  Sink sink_ = nullptr;
  void* user_ = nullptr;
  bool stopped_ = false;  // by the sink
  std::exception_ptr error_;
};

}  // namespace ups::apps
