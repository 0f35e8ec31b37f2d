// run(WindowAttention) and run(LayerNorm): checks, window geometry, threads. The arithmetic is in
// window_attention_kernels.cpp.
#include "kernels/cpu/window_attention.h"

#include <algorithm>

#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/run.h"
#include "kernels/cpu/window_parts.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

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
  const PanelKernels& panels = panel_kernels();
  const Windows windows(op, op.grid());
  const int width = panels.width, across = windows.across(), threads = context.pool.threads();
  const int keys = int(op.keys.pixels()), d_rows = int(round_to(op.d, 16));
  const int64_t query_row = round_to(windows.queries(), width), key_row = round_to(keys, width);
  PositionBias bias(windows, width);
  // Of a thread: q, k, v, y, working memory, bias, a pixel of zeros and one to write to.
  const int64_t y_at = op.d * (query_row + 2 * key_row), room_at = y_at + int64_t(d_rows) * width,
                bias_at = room_at + int64_t(keys + 2) * width, zeros_at = bias_at + bias.local_floats(),
                own = round_to(zeros_at + 2 * d_rows, 16);
  float* memory = static_cast<float*>(
      context.scratch.get(size_t(round_to(bias.floats(), 16) + threads * own) * sizeof(float)));
  bias.prepare(memory, context.pool);
  float* rooms = memory + round_to(bias.floats(), 16);
  struct Thread {
    Patch query, key;
    std::vector<float*> from_query, from_key, to;
  };
  std::vector<Thread> of(threads, Thread{Patch(op.window, width), Patch(op.keys, width), {}, {}, {}});

  const int64_t step = op.x.c / 3;
  for (int image = 0; image < op.x.n; image++)
    context.pool.for_each(windows.count(), [&](int item, int thread) {
      const FlushDenormals flush;
      const int wy = item / across, wx = item % across;
      Thread& t = of[thread];
      float* const q = rooms + thread * own;
      float *const k = q + op.d * query_row, *const v = k + op.d * key_row, *const zeros = q + zeros_at;
      std::fill_n(zeros, op.d, 0.0f);
      t.query.fill(windows, op.window, wy, wx), t.key.fill(windows, op.keys, wy, wx);
      t.query.aim(op.y, image, zeros + d_rows, t.to);
      const bool seam = windows.seam(wy, wx);
      for (int n = 0; n < op.heads; n++) {
        const auto load = [&](const Patch& patch, std::vector<float*>& px, int64_t channel, float* to) {
          Tensor part = op.x.channels(int(channel), op.d);
          patch.aim(part, image, zeros, px);
          panels.load(px.data(), int(px.size()), op.d, to, int64_t(px.size()));
        };
        const int first = op.first + n * op.d;
        load(t.query, t.from_query, first, q);
        load(t.key, t.from_key, first + step, k), load(t.key, t.from_key, first + 2 * step, v);
        const float scale = op.cosine ? op.bias.bias[n] : op.scale;
        kernels.scale(q, query_row, op.d, int(query_row), op.cosine, scale * kLog2E);
        if (op.cosine) kernels.scale(k, key_row, op.d, int(key_row), true, 1);
        for (int p = 0; p * width < windows.queries(); p++) {
          const float* rows = bias.rows(n, p, seam ? &t.query : nullptr, &t.key, q + bias_at);
          kernels.attend(
              {q + p * width, k, v, query_row, key_row, key_row, keys, op.d, rows, q + y_at, q + room_at});
          PanelStore s;
          s.n = std::min(width, windows.queries() - p * width), s.c = op.d;
          s.y = t.to.data() + p * width;
          panels.store(s, q + y_at);
        }
        for (size_t i = 0; i < t.query.at.size(); i++)
          if (t.query.at[i].y >= 0) t.to[i] += op.d;
      }
    });
}

}  // namespace ups::cpu
