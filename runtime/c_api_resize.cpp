// ups_resize: classical resampling of a whole image, row by row.
#include <vector>

#include "kernels/cpu/pool.h"
#include "kernels/resize.h"
#include "runtime/c_boundary.h"

namespace ups {
namespace {

// Below this alpha nobody can see the colour, and dividing by it would magnify noise.
constexpr float kInvisible = 1e-4f;

// Colours weighted by their alpha, alpha, and the colours as they are, for where nothing is visible.
// in [w, c] -> out [w, 2 c - 1]
void weigh(const float* in, int c, int w, float* out) {
  for (int x = 0; x < w; x++, in += c, out += 2 * c - 1)
    for (int k = 0; k < c - 1; k++) {
      out[k] = in[k] * in[c - 1];
      out[c - 1] = in[c - 1];
      out[c + k] = in[k];
    }
}

void unweigh(const float* in, int c, int64_t pixels, float* out) {
  for (int64_t i = 0; i < pixels; i++, in += 2 * c - 1, out += c) {
    const float a = in[c - 1];
    for (int k = 0; k < c - 1; k++) out[k] = a > kInvisible ? in[k] / a : in[c + k];
    out[c - 1] = a;
  }
}

}  // namespace
}  // namespace ups

extern "C" ups_status ups_resize(const ups_image* in, ups_image* out, ups_filter filter) {
  return ups::guarded([&] {
    const ups::Image from = ups::view(in, "in", true), to = ups::view(out, "out", true);
    ups::check(from.c == to.c, ups::Code::usage, "out: has ", to.c, " channels, expected ", from.c, " as in");
    ups::check(filter >= UPS_FILTER_LANCZOS3 && filter <= UPS_FILTER_NEAREST, ups::Code::usage,
               "filter: got ", int(filter), ", expected 0 to 5");
    ups::Pool pool;
    const bool alpha = from.has_alpha();
    const int c = from.c, inner_c = alpha ? 2 * c - 1 : c;
    ups::RowResizer resizer(from.h, from.w, to.h, to.w, inner_c, ups::Filter(filter));
    std::vector<float> row(size_t(from.w) * c), weighed(alpha ? size_t(from.w) * inner_c : 0), result;
    ups::Image target = to;
    for (int y = 0; y < from.h; y++) {
      ups::to_float(from.row(y), from.depth, row.data(), int64_t(row.size()));
      if (alpha) ups::weigh(row.data(), c, from.w, weighed.data());
      resizer.push(alpha ? weighed.data() : row.data(), 1, pool, [&](int at, int n, const float* rows) {
        if (alpha) {
          result.resize(size_t(n) * to.w * c);
          ups::unweigh(rows, c, int64_t(n) * to.w, result.data());
          rows = result.data();
        }
        ups::store_rows(rows, n, to.w, c, c, target.row(at), c, 0, to.depth, to.stride_bytes, pool);
      });
    }
  });
}
