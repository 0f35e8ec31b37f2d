// run(AttentionSublayer) and run(MlpSublayer): from pixels to pixels in panels that never leave the caches.
//
// A work item is one window, or one panel of pixels: loaded and transposed once, normalised, taken through
// the linear layers (and the attention between them) as [channels][pixels], transposed back with the
// residual. Attention to more keys than the window's own, which needs k and v of its neighbours, runs as the
// parts instead.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/run.h"
#include "kernels/cpu/window_parts.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

template <class Operator>
void run_parts(const Operator& op, Context& context) {
  std::vector<std::unique_ptr<float[]>> rooms;
  const auto room = [&](int c) {
    rooms.push_back(std::make_unique_for_overwrite<float[]>(size_t(op.x.n) * op.x.extent().pixels() * c));
    Tensor t = dense_f32(rooms.back().get(), op.x.h, op.x.w, c);
    t.n = op.x.n;
    return t;
  };
  op.parts(room, [&](const auto& part) { run(part, context); });
}

bool f32(const Tensor& t, const Tensor& like, int c) {
  return t.data && t.dtype == DType::f32 && t.px >= t.c && t.n == like.n && t.extent() == like.extent() &&
         t.c == c;
}

template <class Operator>
void check_sublayer(const Operator& op, const Weight& first, const Weight& last, bool beside, int between) {
  const int c = op.x.c;
  check(f32(op.x, op.x, c) && f32(op.y, op.x, c) && beside && first.w && last.w, Code::device,
        Operator::kName, ": expected f32 operands as large as x, [", op.x.h, ", ", op.x.w, ", ", c, "]");
  check(first.cin == c && first.k == 1 && last.cin == between && last.cout == c && last.k == 1 &&
            first.dtype != DType::bf16 && last.dtype != DType::bf16 &&
            (op.norm_at == NormAt::none || (op.norm.w && op.norm.bias && op.norm.cout == c)),
        Code::device, Operator::kName, ": weights ", first.cin, " -> ", first.cout, " and ", last.cin, " -> ",
        last.cout, " for ", c, " channels");
}

// A linear layer, its weights packed when they were loaded or in memory of the caller's.
struct Linear {
  PanelWeights w;
  int tile;
  explicit Linear(const Weight& from, bool gelu = false) : tile(from.tile) {
    w.weight = from.w, w.f16 = from.dtype == DType::f16, w.cin = from.cin, w.cout = from.cout, w.gelu = gelu;
    w.bias = from.bias;
  }
  int64_t packed_floats() const { return tile ? 0 : round_to(w.packed_floats(), 16); }
  int64_t floats() const { return packed_floats() + round_to(w.cout, 16); }
  // Returns the memory behind its own.
  float* pack(float* memory, Pool& pool) {
    const PanelKernels& kernels = panel_kernels();
    check(tile == 0 || tile == kernels.rows, Code::device, "sublayer: weights in tiles of ", tile,
          " outputs, expected ", kernels.rows, " (they were packed for other vectors)");
    float* bias = memory + packed_floats();
    for (int i = 0; i < w.cout; i++) bias[i] = w.bias ? w.bias[i] : 0;
    w.bias = bias;
    if (tile) {
      w.packed = static_cast<const float*>(w.weight);
    } else {
      w.packed = memory;
      constexpr int kInputs = 12;
      pool.for_each((w.inputs() + kInputs - 1) / kInputs, [&](int item, int) {
        kernels.pack(w, memory, item * kInputs, std::min(w.inputs(), (item + 1) * kInputs));
      });
    }
    return memory + floats();
  }
};

const float* gamma(const Weight& norm) { return static_cast<const float*>(norm.w); }

// What a thread needs for a window, as offsets: two panels of x and two of the result; q, k and v of the
// window; two panels of the heads' results; sums of linear layers; working memory; bias; a pixel of zeros.
struct Room {
  int64_t row, result, qkv, y, sums, working, bias, zeros, floats;
  Room(const AttentionSublayer<Tensor>& op, int width) {
    const int64_t queries = op.window.pixels(), inner = int64_t(op.heads) * op.d;
    row = round_to(queries, 2 * width);
    result = 2 * round_to(op.x.c, 16) * width;
    qkv = 2 * result;
    y = qkv + 3 * inner * row;
    sums = y + 2 * inner * width;
    working = sums + 2 * std::max<int64_t>(op.x.c, inner) * width;
    bias = working + (queries + 2) * width;
    zeros = bias + 2 * queries * width;
    floats = zeros + round_to(op.x.c, 16);
  }
};

// An MLP sublayer for a pair of panels.
struct Mlp {
  const MlpSublayer<Tensor>& op;
  const PanelKernels& panels = panel_kernels();
  Linear fc1, fc2;
  int c, hidden;
  int64_t panel;  // floats
  explicit Mlp(const MlpSublayer<Tensor>& op)
      : op(op), fc1(op.fc1, true), fc2(op.fc2), c(op.x.c), hidden(op.fc1.cout) {
    panel = round_to(c, 16) * panels.width;
  }
  int64_t shared_floats() const { return fc1.floats() + fc2.floats(); }
  int64_t floats() const { return 2 * int64_t(hidden + std::max(c, hidden)) * panels.width; }  // of a thread
  float* pack(float* memory, Pool& pool) { return fc2.pack(fc1.pack(memory, pool), pool); }
  // y = x + what the sublayer computes of x
  void run(float* x, float* y, float* memory) const {
    float *const between = memory, *const second = between + int64_t(hidden) * panels.width;
    float* const sums = second + int64_t(hidden) * panels.width;
    float* in = x;
    if (op.norm_at == NormAt::before) {
      for (const int64_t at : {int64_t(0), panel})
        panels.normalise(x + at, y + at, c, gamma(op.norm), op.norm.bias, op.eps);
      in = y;
    }
    panels.linear(fc1.w, {{in, in + panel}, {between, second}, panels.width, sums});
    panels.linear(fc2.w, {{between, second}, {y, y + panel}, panels.width, sums});
    for (const int64_t at : {int64_t(0), panel}) {
      if (op.norm_at == NormAt::after)
        panels.normalise(y + at, y + at, c, gamma(op.norm), op.norm.bias, op.eps);
      panels.add(y + at, x + at, c);
    }
  }
};

void check_attention(const AttentionSublayer<Tensor>& op) {
  const int inner = op.heads * op.d, c = op.x.c;
  check_sublayer(op, op.qkv, op.proj, f32(op.residual, op.x, c), inner);
  check(op.qkv.cout == 3 * inner && op.x.h % op.window.h == 0 && op.x.w % op.window.w == 0 && op.bias.w &&
            op.bias.cout == op.heads && op.bias.cin == (2 * op.window.h - 1) * (2 * op.window.w - 1) &&
            (!op.cosine || op.bias.bias),
        Code::device, "attention_sublayer: x is [", op.x.h, ", ", op.x.w, "] for windows of ", op.window.h,
        " x ", op.window.w, ", ", op.heads, " heads of ", op.d, ", qkv of ", op.qkv.cout);
}

void check_mlp(const MlpSublayer<Tensor>& op) {
  const int c = op.x.c;
  const bool add = op.add.t.data != nullptr;
  check_sublayer(op, op.fc1, op.fc2, !add || (f32(op.add.t, op.x, c) && op.add.group == 1), op.fc1.cout);
  check(!add || op.norm_at != NormAt::after, Code::device, "mlp_sublayer: an addend behind a norm");
}

// In windows, and for the same pixels the MLP that follows, if any.
void run_windows(const AttentionSublayer<Tensor>& op, Mlp* mlp, Context& context) {
  const int inner = op.heads * op.d, c = op.x.c;
  const PanelKernels& panels = panel_kernels();
  const AttentionKernels& attention = attention_kernels();
  const Windows windows(op, op.x.extent());
  const int width = panels.width, across = windows.across(), threads = context.pool.threads();
  const int queries = windows.queries();
  PositionBias bias(windows, width);
  Linear qkv(op.qkv), proj(op.proj);
  const Room room(op, width);
  const int64_t row = room.row, own = room.floats + (mlp ? mlp->floats() : 0);
  const int64_t shared =
      qkv.floats() + proj.floats() + round_to(bias.floats(), 16) + (mlp ? mlp->shared_floats() : 0);
  float* memory = static_cast<float*>(context.scratch.get(size_t(shared + threads * own) * sizeof(float)));
  float* const rooms = memory + shared;
  memory = proj.pack(qkv.pack(memory, context.pool), context.pool);
  if (mlp) memory = mlp->pack(memory, context.pool);
  bias.prepare(memory, context.pool);
  const Tensor& y = mlp ? mlp->op.y : op.y;
  const Tensor more = mlp ? mlp->op.add.t : Tensor{};
  struct Thread {
    Patch patch;
    std::vector<float*> x, y, residual, more, next;
  };
  std::vector<Thread> of(threads, Thread{Patch(op.window, 2 * width), {}, {}, {}, {}, {}});

  for (int image = 0; image < op.x.n; image++)
    context.pool.for_each(windows.count(), [&](int item, int thread) {
      const FlushDenormals flush;
      const int wy = item / across, wx = item % across;
      Thread& t = of[thread];
      float *const x = rooms + thread * own, *const x2 = x + room.result / 2;
      float *const result = x + room.result, *const result2 = result + room.result / 2;
      float *const q = x + room.qkv, *const k = q + inner * row, *const v = k + inner * row;
      float *const attended = x + room.y, *const sums = x + room.sums, *const zeros = x + room.zeros;
      std::fill_n(zeros, c, 0.0f);
      t.next.clear();
      if (const int then = item + threads; then < windows.count()) {
        t.patch.fill(windows, op.window, then / across, then % across);
        t.patch.aim(op.x, image, zeros, t.next);
      }
      t.patch.fill(windows, op.window, wy, wx);
      t.patch.aim(op.x, image, zeros, t.x), t.patch.aim(y, image, zeros, t.y);
      t.patch.aim(op.residual, image, zeros, t.residual);
      if (more.data) t.patch.aim(more, image, zeros, t.more);
      const auto load = [&](const std::vector<float*>& px, int64_t p) {
        panels.load(px.data() + p, width, c, x, width),
            panels.load(px.data() + p + width, width, c, x2, width);
      };
      for (int64_t p = 0; p < row; p += 2 * width) {
        load(t.x, p);
        const bool norm = op.norm_at == NormAt::before;
        if (norm) {
          panels.normalise(x, result, c, gamma(op.norm), op.norm.bias, op.eps);
          panels.normalise(x2, result2, c, gamma(op.norm), op.norm.bias, op.eps);
        }
        panels.linear(qkv.w, {{norm ? result : x, norm ? result2 : x2}, {q + p, q + p + width}, row, sums});
        if (!op.cosine) attention.scale(q + p, row, inner, 2 * width, false, op.scale * kLog2E);
      }
      for (int n = 0; n < op.heads && op.cosine; n++) {
        attention.scale(q + n * op.d * row, row, op.d, int(row), true, op.bias.bias[n] * kLog2E);
        attention.scale(k + n * op.d * row, row, op.d, int(row), true, 1);
      }
      const Patch* seam = windows.seam(wy, wx) ? &t.patch : nullptr;
      const bool x_is_residual = op.residual.data == op.x.data && row == 2 * width;
      for (int p = 0; p * width < row; p++) {
        const int n_px = std::clamp(queries - p * width, 0, width);
        float* const to = attended + p % 2 * inner * width;
        const auto fetch = [&](const std::vector<float*>& px) {
          panels.fetch(px.data() + p * width, n_px, c);
        };
        if (!t.next.empty()) fetch(t.next);
        fetch(t.y), fetch(t.residual);
        if (more.data) fetch(t.more);
        if (n_px == 0) std::fill_n(to, inner * width, 0.0f);
        for (int n = 0; n < op.heads && n_px > 0; n++) {
          const int64_t head = n * op.d * row;
          attention.attend({q + head + p * width, k + head, v + head, row, row, row, queries, op.d,
                            bias.rows(n, p, seam, seam, x + room.bias), to + n * op.d * width,
                            x + room.working});
        }
        if (p % 2 == 0) continue;
        panels.linear(proj.w, {{attended, to}, {result, result2}, width, sums});
        if (op.norm_at == NormAt::after) {
          panels.normalise(result, result, c, gamma(op.norm), op.norm.bias, op.eps);
          panels.normalise(result2, result2, c, gamma(op.norm), op.norm.bias, op.eps);
        }
        if (mlp) {
          if (!x_is_residual) load(t.residual, (p - 1) * width);
          panels.add(x, result, c), panels.add(x2, result2, c);
          mlp->run(x, result, x + room.floats);
        }
        for (int i = p - 1; i <= p; i++) {
          PanelStore s{std::clamp(queries - i * width, 0, width), c, t.y.data() + i * width};
          if (!mlp) s.residual = t.residual.data() + i * width;
          if (more.data) s.add = t.more.data() + i * width, s.add_scale = mlp->op.add.scale;
          panels.store(s, i == p ? result2 : result);
        }
      }
    });
}

}  // namespace

int64_t packed_linear_floats(const Weight& w) { return Linear(w).w.packed_floats(); }

void pack_linear_weight(const float* weight, float* out, Weight& w) {
  isa_ready();
  std::vector<float> rows(size_t(w.cin) * w.cout);
  pack_conv_weight(weight, rows.data(), DType::f32, w.cout, w.cin, 1);
  PanelWeights p = Linear(w).w;
  p.weight = rows.data(), p.f16 = false;
  panel_kernels().pack(p, out, 0, p.inputs());
  w.w = out, w.tile = panel_kernels().rows;
}

size_t thread_scratch_bytes(const AttentionSublayer<Tensor>& op) {
  if (!runs_whole(op)) return 0;
  return size_t(Room(op, panel_kernels().width).floats) * sizeof(float);
}

bool joins(const AttentionSublayer<Tensor>& op, const MlpSublayer<Tensor>& mlp) {
  const auto same = [&](const Tensor& t) {
    return t.data == op.y.data && t.px == op.y.px && t.row == op.y.row && t.image == op.y.image;
  };
  return runs_whole(op) && same(mlp.x) && same(mlp.y);
}

void run(const AttentionSublayer<Tensor>& op, const MlpSublayer<Tensor>& mlp, Context& context) {
  check_attention(op), check_mlp(mlp);
  check(joins(op, mlp) && f32(mlp.x, op.x, op.x.c), Code::device, "attention_sublayer: ", mlp.kName,
        " reads or writes elsewhere");
  isa_ready();
  Mlp next(mlp);
  run_windows(op, &next, context);
}

void run(const AttentionSublayer<Tensor>& op, Context& context, Rows rows) {
  check(rows.begin <= 0 && rows.end >= op.y.h, Code::device, "attention_sublayer: runs on whole images");
  if (!runs_whole(op)) {
    check_sublayer(op, op.qkv, op.proj, f32(op.residual, op.x, op.x.c), op.heads * op.d);
    return run_parts(op, context);
  }
  check_attention(op);
  isa_ready();
  run_windows(op, nullptr, context);
}

void run(const MlpSublayer<Tensor>& op, Context& context, Rows rows) {
  check_mlp(op);
  rows.begin = std::max(rows.begin, 0), rows.end = std::min(rows.end, op.y.h);
  if (rows.begin >= rows.end) return;
  isa_ready();
  const PanelKernels& panels = panel_kernels();
  const int c = op.x.c, width = panels.width, threads = context.pool.threads();
  const bool add = op.add.t.data != nullptr;
  Mlp mlp(op);
  const int64_t result_at = 2 * mlp.panel, working_at = 2 * result_at, zeros_at = working_at + mlp.floats(),
                own = zeros_at + round_to(c, 16);
  float* memory =
      static_cast<float*>(context.scratch.get(size_t(mlp.shared_floats() + threads * own) * sizeof(float)));
  float* const rooms = mlp.pack(memory, context.pool);
  const int64_t first = int64_t(rows.begin) * op.x.w, end = int64_t(rows.end) * op.x.w;
  const int most = 2 * width;
  const int64_t items = (end - first + most - 1) / most;
  check(items <= INT32_MAX, Code::device, "mlp_sublayer: ", items, " pairs of panels");
  for (int image = 0; image < op.x.n; image++)
    context.pool.for_each(int(items), [&](int item, int thread) {
      const FlushDenormals flush;
      float *const panel = rooms + thread * own, *const result = panel + result_at;
      float* const zeros = panel + zeros_at;
      std::fill_n(zeros, c, 0.0f);
      constexpr int kMost = 64;
      float *x[kMost], *y[kMost], *more[kMost], *next[kMost];
      const int64_t begin = first + int64_t(item) * most;
      const int n = int(std::min<int64_t>(most, end - begin)), ahead = threads * most;
      int fetched = 0;
      for (int i = 0; i < most; i++) {
        const int at_y = int((begin + i) / op.x.w), at_x = int((begin + i) % op.x.w);
        x[i] = i < n ? op.x.at(at_y, at_x) + image * op.x.image : zeros;
        if (i < n) y[i] = op.y.at(at_y, at_x) + image * op.y.image;
        if (i < n && add) more[i] = op.add.t.at(at_y, at_x) + image * op.add.t.image;
        if (const int64_t then = begin + i + ahead; then < end)
          next[fetched++] = op.x.at(int(then / op.x.w), int(then % op.x.w)) + image * op.x.image;
      }
      for (int p = 0; p < most; p += width) panels.load(x + p, width, c, panel + (p ? mlp.panel : 0), width);
      panels.fetch(y, n, c), panels.fetch(next, fetched, c);
      if (add) panels.fetch(more, n, c);
      mlp.run(panel, result, panel + working_at);
      for (int p = 0; p < n; p += width)
        panels.store({std::min(width, n - p), c, y + p, nullptr, add ? more + p : nullptr, op.add.scale},
                     result + (p ? mlp.panel : 0));
    });
}

}  // namespace ups::cpu
