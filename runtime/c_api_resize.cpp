// ups_resize: classical resampling of a whole image, row by row.
#include <vector>

#include "kernels/cpu/pool.h"
#include "kernels/resize.h"
#include "runtime/c_boundary.h"
#include "runtime/weighed_alpha.h"

extern "C" ups_status ups_resize(const ups_image* in, ups_image* out, ups_filter filter) {
  return ups::guarded([&] {
    const ups::Image from = ups::view(in, "in", true), to = ups::view(out, "out", true);
    ups::check(from.c == to.c, ups::Code::usage, "out: has ", to.c, " channels, expected ", from.c, " as in");
    ups::check_choice("filter", filter, UPS_FILTER_CUBIC);
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
