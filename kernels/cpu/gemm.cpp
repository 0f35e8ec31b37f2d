// Driver of linear layers: memory, runs of pixels, threads.
#include "kernels/cpu/gemm.h"

#include <algorithm>

#include "kernels/cpu/conv2d_parts.h"
#include "kernels/cpu/denormals.h"

namespace ups::cpu {
namespace {

constexpr int kRunFloats = 6480;  // channels of one run of pixels: half of a 48 KiB L1

bool dense(const Tensor& t, Extent e) { return !t.data || t.row == int64_t(e.w) * t.px; }

}  // namespace

void run_gemm(const Conv2d<Tensor>& op, Context& context, Rows rows) {
  const GemmKernels& kernels = gemm_kernels();
  const Extent out = conv_extent(op);
  GemmArgs a;
  a.cin = op.w.cin, a.cout = op.w.cout;
  a.weight = op.w.w, a.weight_f16 = op.w.dtype == DType::f16;

  const int threads = context.pool.threads(), blocks = ceil_div(a.cout, 2 * kernels.lanes);
  const int64_t panel_floats = int64_t(a.cin) * blocks * 2 * kernels.lanes;
  const int64_t cout_floats = 2 * round_up(a.cout, kCoutPad);
  const int64_t room_floats = (int64_t(kernels.rows) * (a.cin + 2 * kernels.lanes) + 63) / 64 * 64;
  float* memory = static_cast<float*>(
      context.scratch.get((panel_floats + cout_floats + threads * room_floats) * sizeof(float)));
  a.panel = memory;
  a.epilogue = make_epilogue(op, memory + panel_floats);
  float* rooms = memory + panel_floats + cout_floats;
  context.pool.for_each(blocks, [&](int block, int) { kernels.pack(a, block); });

  // Where no operand has gaps between its rows, the image is one long row.
  const bool flat = op.shuffle == 1 && dense(op.x, out) && dense(op.y, out) && dense(op.add.t, out) &&
                    dense(op.add2.t, out);
  const int64_t length = flat ? int64_t(rows.end - rows.begin) * out.w : out.w;
  const int most = std::max(kernels.rows, kRunFloats / a.cin / kernels.rows * kernels.rows);
  a.ahead = threads * most;
  const int64_t runs = (length + most - 1) / most, lines = flat ? 1 : rows.end - rows.begin;
  if (runs * lines > INT32_MAX) return run_direct(op, context, rows);
  for (int image = 0; image < op.x.n; image++) {
    aim_epilogue(a.epilogue, op, image);
    const float* x = static_cast<const float*>(op.x.data) + image * op.x.image + rows.begin * op.x.row;
    if (flat) {  // the epilogue counts pixels from the first row
      a.epilogue.y += rows.begin * a.epilogue.y_row;
      for (int i = 0; i < a.epilogue.adds; i++) a.epilogue.add[i].data += rows.begin * a.epilogue.add[i].row;
    }
    context.pool.for_each(int(runs * lines), [&](int item, int thread) {
      const FlushDenormals flush;
      const int line = int(item / runs);
      const int64_t first = item % runs * most;
      const int n = int(std::min<int64_t>(most, length - first));
      kernels.pixels(a, x + line * op.x.row + first * op.x.px, op.x.px, flat ? 0 : rows.begin + line,
                     int(first), n, rooms + thread * room_floats);
    });
  }
}

}  // namespace ups::cpu
