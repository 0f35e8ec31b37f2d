// The C API: pictures without a network. See include/upscale.h.
#include <memory>
#include <optional>

#include "kernels/enhance.h"
#include "kernels/error.h"
#include "runtime/c_boundary.h"
#include "runtime/c_model.h"
#include "runtime/finish.h"
#include "upscale.h"

struct ups_finisher {
  std::optional<ups::Pool> own;  // where no model lends its threads
  std::optional<ups::Finisher> line;
};

namespace ups {
namespace {

FinishOptions finish_options(const ups_finish* given, int channels) {
  check(given != nullptr, Code::usage, "ups_finish: is NULL");
  const ups_finish g = read_struct(given, "ups_finish");
  check_choice("filter", g.filter, UPS_FILTER_CUBIC);
  check_choice("sharpen", g.sharpen, UPS_SHARPEN_UNSHARP);
  check_choice("dither", g.dither, UPS_DITHER_FLOYD_STEINBERG);
  check((g.picture_width > 0) == (g.picture_height > 0) && (g.width > 0) == (g.height > 0) &&
            g.picture_width >= 0 && g.width >= 0 && g.picture_height >= 0 && g.height >= 0,
        Code::usage, "ups_finish: got sizes ", g.picture_width, "x", g.picture_height, " and ", g.width, "x",
        g.height, ", expected both sides or none");
  FinishOptions o;
  o.picture = {g.picture_height, g.picture_width};
  o.canvas = {g.height, g.width};
  o.x = g.x, o.y = g.y;
  o.filter = Filter(g.filter);
  if (g.sharpen != UPS_SHARPEN_NONE) {
    Sharpen s{Sharpen::Kind(int(g.sharpen) - 1)};
    s.sigma = g.sigma, s.x1 = g.x1, s.y2 = g.y2, s.y3 = g.y3, s.m1 = g.m1, s.m2 = g.m2;
    s.amount = g.amount, s.threshold = g.threshold;
    o.sharpen = s;
  }
  o.brightness = read_factor(g.brightness), o.contrast = read_factor(g.contrast);
  o.saturation = read_factor(g.saturation);
  o.dither = Dither(g.dither);
  std::copy(g.background, g.background + 4, o.background);
  if (channels <= 2) {
    rgb_to_gray(o.background, o.background, 1);
    o.background[1] = g.background[3];
  }
  return o;
}

}  // namespace
}  // namespace ups

extern "C" {

ups_status ups_finisher_open(ups_model* model, const ups_image* in, const ups_finish* finish, ups_image* out,
                             int (*rows)(void* user, int y, int rows, const void* data), void* user,
                             ups_finisher** finisher) {
  return ups::guarded([&] {
    ups::check(out && rows && finisher, ups::Code::usage, "ups_finisher_open: an argument is NULL");
    *finisher = nullptr;
    ups::check(in != nullptr, ups::Code::usage, "in: is NULL");
    const ups_image shape{nullptr, in->width, in->height, in->channels, UPS_F32, 0};
    const ups::Image from = ups::view(&shape, "in", false);
    ups::check_choice("out: depth", out->depth, UPS_F32);
    auto made = std::make_unique<ups_finisher>();
    if (!model) made->own.emplace();
    made->line.emplace(from.extent(), from.c, ups::Depth(out->depth), ups::finish_options(finish, from.c),
                       model ? model->pool : *made->own, [rows, user](int y, int n, const void* data) {
                         ups::check(!rows(user, y, n, data), ups::Code::cancelled, "cancelled");
                       });
    out->width = made->line->out().w, out->height = made->line->out().h;
    out->channels = from.c;
    *finisher = made.release();
  });
}

ups_status ups_finisher_push(ups_finisher* finisher, int rows, const float* data) {
  return ups::guarded([&] {
    ups::check(finisher && data, ups::Code::usage, "ups_finisher_push: an argument is NULL");
    ups::check(rows >= 0, ups::Code::usage, "rows: got ", rows, ", expected at least 0");
    finisher->line->push(data, rows);
  });
}

int64_t ups_finisher_bytes(const ups_finisher* finisher) { return finisher ? finisher->line->bytes() : 0; }

void ups_finisher_close(ups_finisher* finisher) { delete finisher; }

ups_status ups_filter_picture(ups_image* picture, ups_picture_filter filter, double a, double b, double c) {
  return ups::guarded([&] {
    const ups::Image p = ups::view(picture, "picture", true);
    ups::check(p.depth == ups::Depth::u8 && p.stride_bytes == int64_t(p.w) * p.c, ups::Code::usage,
               "picture: expected 8 bits in packed rows");
    ups::check_choice("filter", filter, UPS_PICTURE_UNSHARP_MASK);
    uint8_t* bytes = static_cast<uint8_t*>(p.data);
    ups::Pool pool;
    if (filter <= UPS_PICTURE_CONTRAST) {
      ups::enhance_u8(bytes, p.extent(), p.c, ups::Enhance(int(filter)), float(a), pool);
    } else if (filter <= UPS_PICTURE_CONTOUR) {
      ups::filter_u8(bytes, p.extent(), p.c, ups::Kernel(int(filter) - UPS_PICTURE_SMOOTH), pool);
    } else {
      ups::check(a >= 0 && a <= 100 && b >= 0 && b <= 1e5 && c >= 0 && c <= 255, ups::Code::usage,
                 "unsharp mask: got ", a, ", ", b, ", ", c, ", expected 0 to 100, 0 to 100000, 0 to 255");
      ups::unsharp_mask_u8(bytes, p.extent(), p.c, float(a), int(b), int(c), pool);
    }
  });
}

}  // extern "C"
