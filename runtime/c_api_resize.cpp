// ups_resize: classical resampling of a whole image, row by row.
#include "runtime/alpha_resizer.h"
#include "runtime/c_boundary.h"
#include "runtime/loop_rows.h"

extern "C" ups_status ups_resize(const ups_image* in, ups_image* out, ups_filter filter) {
  return ups::guarded([&] {
    const ups::Image from = ups::view(in, "in", true);
    ups::Image to = ups::view(out, "out", true);
    ups::check(from.c == to.c, ups::Code::usage, "out: has ", to.c, " channels, expected ", from.c, " as in");
    ups::check_choice("filter", filter, UPS_FILTER_CUBIC);
    ups::Pool pool;
    ups::AlphaResizer resizer(from.extent(), to.extent(), from.c, ups::Filter(filter));
    ups::rows_of(from, from.c, pool, [&](int, int count, const float* rows) {
      resizer.push(rows, count, pool, [&](int y, int n, const float* done) {
        ups::store_rows(done, n, to.w, to.c, to.c, to.row(y), to.c, 0, to.depth, to.stride_bytes, pool);
      });
    });
  });
}
