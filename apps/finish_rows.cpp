// Callbacks of C around the line.
#include "apps/finish_rows.h"

#include "apps/failure.h"
#include "apps/store/store.h"

namespace ups::apps {

FinishRows::FinishRows(ups_model* model, int width, int height, const ups_finish& finish, const Image& hr) {
  const ups_image in{nullptr, width, height, hr.channels, UPS_F32, 0};
  ups_image out{};
  out.depth = hr.depth;
  check(ups_finisher_open(model, &in, &finish, &out, on_rows, this, &finisher_));
}

int FinishRows::on_rows(void* self, int y, int rows, const void* data) {
  FinishRows* f = static_cast<FinishRows*>(self);
  f->stopped_ = f->sink_ && f->sink_(f->user_, y, rows, data);
  return f->stopped_;
}

int FinishRows::push(int rows, const void* data) {
  const ups_status status = ups_finisher_push(finisher_, rows, static_cast<const float*>(data));
  if (status == UPS_OK) return 0;
  if (!stopped_) {
    try {
      check(status);
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  return 1;
}

}  // namespace ups::apps
