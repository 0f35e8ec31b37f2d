// The error sentence of each thread; checks of images that come through the C API.
#include "runtime/c_boundary.h"

namespace ups {
namespace {

thread_local std::string sentence_of_thread = "no error";

}  // namespace

ups_status report(ups_status status, const char* sentence, const char* more) noexcept {
  try {
    sentence_of_thread.assign(sentence).append(more);
  } catch (const std::exception&) {
    sentence_of_thread.assign("out of memory");  // short enough to need none
  }
  return status;
}

const char* last_sentence() { return sentence_of_thread.c_str(); }

Image view(const ups_image* image, const char* who, bool needs_data) {
  check(image != nullptr, Code::usage, who, ": is NULL");
  check(image->width >= 1 && image->height >= 1, Code::usage, who, ": is ", image->width, "x", image->height,
        ", expected at least 1x1");
  check(image->channels >= 1 && image->channels <= 4, Code::usage, who, ": has ", image->channels,
        " channels, expected 1 to 4");
  check_choice((std::string(who) + ": depth").c_str(), image->depth, UPS_F32);
  Image v{image->data,     image->height,       image->width,
          image->channels, Depth(image->depth), image->stride_bytes};
  const int64_t row = int64_t(v.w) * v.c * depth_bytes(v.depth);
  if (needs_data) {
    check(v.data != nullptr, Code::usage, who, ": data is NULL");
    check(v.stride_bytes >= row, Code::usage, who, ": stride is ", v.stride_bytes,
          " bytes, expected at least ", row);
  }
  return v;
}

}  // namespace ups
