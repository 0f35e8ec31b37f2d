// run(WindowAttention) and run(LayerNorm): checks, window geometry, threads. The arithmetic is in
// window_attention_kernels.cpp.
#include "kernels/cpu/window_attention.h"

#include <algorithm>

#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

constexpr int64_t kMaxBiasRows = 64 << 10;  // floats of all heads' bias rows: a quarter of L2

bool f32(const Tensor& t) { return t.data && t.dtype == DType::f32 && t.px >= t.c; }

void check_attention(const WindowAttention<Tensor>& op) {
  check(f32(op.x) && f32(op.y) && op.bias.w && op.bias.dtype == DType::f32, Code::device,
        "window_attention: expected f32 operands");
  check(op.y.n == op.x.n && op.y.extent() == op.x.extent() && op.y.c == op.heads * op.d && op.x.c % 3 == 0 &&
            op.first >= 0 && op.first + op.y.c <= op.x.c / 3,
        Code::device, "window_attention: y is [", op.y.h, ", ", op.y.w, ", ", op.y.c, "] for x [", op.x.h,
        ", ", op.x.w, ", ", op.x.c, "] and ", op.heads, " heads of ", op.d);
  check(op.window.h >= 1 && op.window.w >= 1 && op.pad >= 1 && op.grid().h % op.window.h == 0 &&
            op.grid().w % op.window.w == 0,
        Code::device, "window_attention: x is [", op.x.h, ", ", op.x.w, "], expected multiples of ",
        op.window.h, " and ", op.window.w);
  const bool shifted = op.shift.h != 0 || op.shift.w != 0;
  check(op.keys.h >= op.window.h && op.keys.w >= op.window.w && (op.keys.h - op.window.h) % 2 == 0 &&
            (op.keys.w - op.window.w) % 2 == 0 && (op.keys == op.window || !shifted),
        Code::device, "window_attention: keys of ", op.keys.h, " x ", op.keys.w, " around windows of ",
        op.window.h, " x ", op.window.w, shifted ? ", shifted" : "");
  check(op.bias.cin == (op.window.h + op.keys.h - 1) * (op.window.w + op.keys.w - 1) &&
            op.bias.cout == op.heads && (!op.cosine || op.bias.bias),
        Code::device, "window_attention: the bias table has ", op.bias.cout, " x ", op.bias.cin, " values");
}

// Pixels of one axis of a window: coordinates, -1 outside, and the side of the seam (0, 1 or 2). The grid of
// windows is as long as the image or, padded, longer.
void axis_pixels(int window, int keys, int shift, int image, int size, int index, int* at, uint8_t* side) {
  const int before = (keys - window) / 2;
  for (int i = 0; i < keys; i++) {
    const int p = index * window - before + i;
    at[i] = p < 0 || p >= size ? -1 : (p + shift) % size;
    if (at[i] >= image) at[i] = -1;
    side[i] = uint8_t(shift == 0 || p < size - window ? 0 : p < size - shift ? 1 : 2);
  }
}

// The pixels of a window, as offsets.
struct Patch {
  std::vector<int64_t> at;
  std::vector<uint8_t> side;
  std::vector<int> y, x;
  std::vector<uint8_t> side_y, side_x;
  Patch(Extent e) : at(e.pixels()), side(e.pixels()), y(e.h), x(e.w), side_y(e.h), side_x(e.w) {}
  void fill(const WindowAttention<Tensor>& op, Extent e, int wy, int wx, int64_t row, int64_t px) {
    const Extent image = op.x.extent(), size = op.grid();
    axis_pixels(op.window.h, e.h, op.shift.h, image.h, size.h, wy, y.data(), side_y.data());
    axis_pixels(op.window.w, e.w, op.shift.w, image.w, size.w, wx, x.data(), side_x.data());
    for (int i = 0; i < e.h; i++)
      for (int j = 0; j < e.w; j++) {
        at[i * e.w + j] = y[i] < 0 || x[j] < 0 ? -1 : y[i] * row + x[j] * px;
        side[i * e.w + j] = uint8_t(3 * side_y[i] + side_x[j]);
      }
  }
};

}  // namespace

void run(const LayerNorm<Tensor>& op, Context& context, Rows rows) {
  const bool add = op.add.data != nullptr;
  check(f32(op.x) && f32(op.y) && (!add || f32(op.add)) && op.w.w && op.w.bias && op.w.dtype == DType::f32,
        Code::device, "layer_norm: expected f32 operands");
  check(op.y.n == op.x.n && op.y.extent() == op.x.extent() && op.y.c == op.x.c && op.w.cout == op.x.c &&
            (!add || (op.add.n == op.x.n && op.add.extent() == op.x.extent() && op.add.c == op.x.c)),
        Code::device, "layer_norm: y is [", op.y.h, ", ", op.y.w, ", ", op.y.c, "] for x [", op.x.h, ", ",
        op.x.w, ", ", op.x.c, "]");
  isa_ready();
  const AttentionKernels& kernels = attention_kernels();
  const LayerNormArgs a{static_cast<const float*>(op.w.w), op.w.bias, op.eps, op.x.c};
  const int begin = std::max(rows.begin, 0), end = std::min(rows.end, op.y.h);
  for (int image = 0; image < op.x.n && begin < end; image++)
    context.pool.for_each(end - begin, [&](int i, int) {
      const FlushDenormals flush;
      const int y = begin + i;
      kernels.layer_norm(a, op.x.at(y, 0) + image * op.x.image, op.x.px,
                         add ? op.add.at(y, 0) + image * op.add.image : nullptr, op.add.px,
                         op.y.at(y, 0) + image * op.y.image, op.y.px, op.x.w);
    });
}

void run(const WindowAttention<Tensor>& op, Context& context, Rows rows) {
  check_attention(op);
  check(rows.begin <= 0 && rows.end >= op.y.h, Code::device, "window_attention: runs on whole images");
  isa_ready();
  const AttentionKernels& kernels = attention_kernels();
  const Extent size = op.grid();
  const int across = size.w / op.window.w, windows = size.h / op.window.h * across;
  const int queries = int(op.window.pixels()), keys = int(op.keys.pixels());
  const int64_t head_floats = kernels.head_floats(queries, keys, op.d);
  const int threads = context.pool.threads();
  // Small windows: the bias of each head is spread out once, not in every window.
  const int64_t rows_floats = queries * kernels.bias_row_floats(keys);
  const bool spread = rows_floats * op.heads <= kMaxBiasRows;
  float* memory = static_cast<float*>(context.scratch.get(
      (threads * head_floats + (spread ? rows_floats * op.heads : 0)) * int64_t(sizeof(float))));
  float* bias_rows = memory + threads * head_floats;
  std::vector<Patch> query(threads, Patch(op.window)), target(threads, Patch(op.window)),
      key(threads, Patch(op.keys)), next(threads, Patch(op.keys));

  const int64_t width = op.x.c / 3;
  HeadArgs base;
  base.k_at = width, base.v_at = 2 * width;
  base.queries = queries, base.keys = keys, base.d = op.d;
  base.window_w = op.window.w, base.keys_h = op.keys.h, base.keys_w = op.keys.w;
  base.bias_w = op.window.w + op.keys.w - 1, base.bias_top = op.window.h - 1;
  base.cosine = op.cosine;
  const auto bias_of = [&](int n) { return static_cast<const float*>(op.bias.w) + int64_t(n) * op.bias.cin; };
  if (spread)
    context.pool.for_each(op.heads, [&](int n, int) {
      HeadArgs a = base;
      a.bias = bias_of(n);
      kernels.bias(a, bias_rows + n * rows_floats);
    });
  for (int image = 0; image < op.x.n; image++)
    context.pool.for_each(windows, [&](int item, int thread) {
      const FlushDenormals flush;
      const int wy = item / across, wx = item % across;
      query[thread].fill(op, op.window, wy, wx, op.x.row, op.x.px);
      target[thread].fill(op, op.window, wy, wx, op.y.row, op.y.px);
      key[thread].fill(op, op.keys, wy, wx, op.x.row, op.x.px);
      // Only the last windows reach across a seam.
      const bool seam = (op.shift.h && (wy + 1) * op.window.h == size.h) ||
                        (op.shift.w && (wx + 1) * op.window.w == size.w);
      HeadArgs a = base;
      a.query_at = query[thread].at.data(), a.key_at = key[thread].at.data();
      a.y_at = target[thread].at.data();
      if (seam) a.query_side = query[thread].side.data(), a.key_side = key[thread].side.data();
      a.memory = memory + thread * head_floats;
      if (const int then = item + threads; then < windows && op.keys == op.window) {
        next[thread].fill(op, op.keys, then / across, then % across, op.x.row, op.x.px);
        a.next_at = next[thread].at.data();
      }
      for (int n = 0; n < op.heads; n++) {
        a.x = static_cast<const float*>(op.x.data) + image * op.x.image + op.first + n * op.d;
        a.y = static_cast<float*>(op.y.data) + image * op.y.image + n * op.d;
        a.bias = bias_of(n);
        if (spread) a.bias_rows = bias_rows + n * rows_floats;
        a.scale = op.cosine ? op.bias.bias[n] : op.scale;
        kernels.head(a);
      }
    });
}

}  // namespace ups::cpu
