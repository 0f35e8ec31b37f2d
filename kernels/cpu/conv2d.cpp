// run(Conv2d): checks shapes, chooses the algorithm, splits the work. The arithmetic is in conv2d_*.cpp.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "kernels/cpu/conv2d_direct.h"
#include "kernels/cpu/conv2d_parts.h"
#include "kernels/cpu/conv2d_winograd.h"
#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/cpu/run.h"
#include "kernels/cpu/winograd_tile.h"
#include "kernels/error.h"
#include "kernels/variant.h"

namespace ups::cpu {
namespace {

bool present(const Tensor& t) { return t.data != nullptr; }

void check_f32(const Tensor& t, const char* name) {
  check(t.dtype == DType::f32, Code::device, "conv2d: ", name, " is ", dtype_name(t.dtype), ", expected f32");
  check(t.n >= 1 && t.h >= 1 && t.w >= 1 && t.c >= 1 && t.px >= t.c, Code::device, "conv2d: ", name, " is [",
        t.n, ", ", t.h, ", ", t.w, ", ", t.c, "] with pixel stride ", t.px, ", expected a non-empty image");
}

void check_addend(const Conv2d<Tensor>& op, const Addend<Tensor>& add, const char* name) {
  if (!present(add.t)) return;
  check_f32(add.t, name);
  const Extent e = conv_extent(op);
  check(add.t.n == op.x.n && add.t.h == e.h && add.t.w == e.w, Code::device, "conv2d: ", name, " is [",
        add.t.h, ", ", add.t.w, "], expected [", e.h, ", ", e.w, "]");
  check(add.group >= 1 && int64_t(add.t.c) * add.group >= op.w.cout, Code::device, "conv2d: ", name, " has ",
        add.t.c, " channels in groups of ", add.group, ", expected ", op.w.cout, " in all");
}

constexpr const char* kWinograd[] = {"winograd_f4", "winograd_f6", "winograd_f8"};

Epilogue::Add addend(const Addend<Tensor>& add, int image) {
  return {static_cast<const float*>(add.t.data) + image * add.t.image, add.t.row, add.t.px, add.group,
          add.scale};
}

}  // namespace

int variant_tile(std::string_view variant) {
  for (int i = 0; i < 3; i++)
    if (variant == kWinograd[i]) return 4 + 2 * i;
  return 0;
}

Extent conv_extent(const Conv2d<Tensor>& op) { return {op.y.h / op.shuffle, op.y.w / op.shuffle}; }

Epilogue make_epilogue(const Conv2d<Tensor>& op, float* room) {
  Epilogue e;
  const int padded = round_up(op.w.cout, kCoutPad);
  e.act = op.act, e.slope = op.slope, e.scale = op.scale, e.act_last = op.act_last;
  std::memset(room, 0, 2 * size_t(padded) * sizeof(float));
  if (op.w.bias) std::memcpy(room, op.w.bias, op.w.cout * sizeof(float));
  e.bias = room;
  if (op.act == Act::prelu) {
    std::memcpy(room + padded, op.w.slope, op.w.cout * sizeof(float));
    e.slopes = room + padded;
  }
  e.y_row = op.y.row, e.y_px = op.y.px, e.shuffle = op.shuffle, e.cout = op.w.cout;
  aim_epilogue(e, op, 0);
  return e;
}

void aim_epilogue(Epilogue& e, const Conv2d<Tensor>& op, int image) {
  e.adds = 0;
  if (present(op.add.t)) e.add[e.adds++] = addend(op.add, image);
  if (present(op.add2.t)) e.add[e.adds++] = addend(op.add2, image);
  e.y = static_cast<float*>(op.y.data) + image * op.y.image;
}

void run_direct(const Conv2d<Tensor>& op, Context& context, Rows rows, const GroupStats<Tensor>* stats) {
  const DirectKernels& kernels = direct_kernels();
  const Extent out = conv_extent(op);
  DirectArgs a;
  a.h = op.x.h, a.w = op.x.w, a.cin = op.w.cin, a.cout = op.w.cout;
  a.x_row = op.x.row, a.x_px = op.x.px;
  a.k = op.w.k, a.stride = op.stride, a.up = op.up, a.pad = op.pad();
  a.weight = op.w.w, a.weight_f16 = op.w.dtype == DType::f16;
  a.dot = a.cout <= 4;
  a.cin_pad = a.dot ? round_up(a.cin, kernels.lanes) : a.cin;
  a.out_w = out.w, a.row_begin = rows.begin, a.row_end = rows.end;

  // Tiles of about 4 x 48 pixels: the patch stays in L2, and a 64 x 64 image still gives 32 work items.
  const int columns = ceil_div(out.w, kMaxTileW);
  a.tile_w = round_up(ceil_div(out.w, columns), stats ? kChunkColumns : kernels.px_step);
  a.tiles_x = ceil_div(out.w, a.tile_w);
  a.tile_h = kChunkRows;
  a.patch_w = (round_up(a.tile_w, 12) - 1) * a.stride + a.k;
  const int patch_h = (a.tile_h - 1) * a.stride + a.k;
  const int items = ceil_div(rows.end - rows.begin, a.tile_h) * a.tiles_x;

  const size_t panel_floats =
      size_t(a.k) * a.k *
      (a.dot ? size_t(a.cin_pad) * a.cout : size_t(a.cin) * round_up(a.cout, kernels.lanes));
  const size_t patch_floats = size_t(round_up(patch_h * a.patch_w * a.cin_pad + 64, 64));
  const size_t cout_floats = size_t(round_up(a.cout, kCoutPad));
  const size_t panel_room = (panel_floats + 63) / 64 * 64;
  const int threads = context.pool.threads();
  const int64_t stats_floats = stats ? statistics_floats(*stats, rows, threads) : 0;
  float* memory = static_cast<float*>(context.scratch.get(
      (panel_room + 2 * cout_floats + patch_floats * threads + stats_floats) * sizeof(float)));
  a.panel = memory;
  a.epilogue = make_epilogue(op, memory + panel_room);
  float* patches = memory + panel_room + 2 * cout_floats;
  if (stats) a.sums = chunk_sums(*stats, rows, patches + patch_floats * threads);

  context.pool.for_each(a.dot ? 1 : ceil_div(a.cout, 2 * kernels.lanes),
                        [&](int block, int) { kernels.pack(a, block); });
  for (int image = 0; image < op.x.n; image++) {
    a.x = static_cast<const float*>(op.x.data) + image * op.x.image;
    aim_epilogue(a.epilogue, op, image);
    context.pool.for_each(items, [&](int item, int thread) {
      const FlushDenormals flush;
      kernels.tile(a, item, patches + thread * patch_floats);
    });
  }
  if (stats) add_statistics(*stats, rows, a.sums, context);
}

void check_conv2d(const Conv2d<Tensor>& op) {
  check(present(op.x) && present(op.y) && op.w.w, Code::device, "conv2d: x, y or the weight is absent");
  check_f32(op.x, "x"), check_f32(op.y, "y");
  check(op.w.k == 1 || op.w.k == 3 || op.w.k == 5, Code::device, "conv2d: got k ", op.w.k,
        ", expected 1, 3 or 5");
  check(op.w.dtype != DType::bf16, Code::device, "conv2d: the weight is bf16, expected f32 or f16");
  check(op.stride >= 1 && op.stride <= 2 && op.up >= 1 && op.shuffle >= 1, Code::device,
        "conv2d: got stride ", op.stride, ", up ", op.up, ", shuffle ", op.shuffle,
        ", expected stride 1 or 2, the others at least 1");
  check(op.w.cin == op.x.c, Code::device, "conv2d: x has ", op.x.c, " channels, the weight expects ",
        op.w.cin);
  const int rr = op.shuffle * op.shuffle;
  check(op.w.cout % rr == 0 && op.y.c == op.w.cout / rr, Code::device, "conv2d: y has ", op.y.c,
        " channels, expected ", op.w.cout, " / ", rr);
  check(op.act != Act::prelu || op.w.slope, Code::device, "conv2d: PReLU without slopes");
  const Extent e = conv_extent(op);
  const int64_t in_h = int64_t(op.x.h) * op.up, in_w = int64_t(op.x.w) * op.up;
  check(op.y.n == op.x.n && e.h * op.shuffle == op.y.h && e.w * op.shuffle == op.y.w && e.h >= 1 &&
            e.w >= 1 && (e.h == in_h / op.stride || e.h == (in_h + op.stride - 1) / op.stride) &&
            (e.w == in_w / op.stride || e.w == (in_w + op.stride - 1) / op.stride),
        Code::device, "conv2d: y is [", op.y.n, ", ", op.y.h, ", ", op.y.w, "], expected [", op.x.n, ", ",
        in_h / op.stride * op.shuffle, ", ", in_w / op.stride * op.shuffle, "]");
  check(!op.shortcut.present(), Code::device, "conv2d: a shortcut, which only GPU kernels sum in place");
  check_addend(op, op.add, "add"), check_addend(op, op.add2, "add2");
}

const char* variant_name(const Conv2d<Tensor>& op) {
  const bool fits = op.w.k == 3 && op.stride == 1 && op.up <= 2 && !op.pad_end;
  const bool linear = op.w.k == 1 && op.stride == 1 && op.up == 1;
  if (const std::string_view name = forced_variant("conv2d"); !name.empty()) {
    check(name == "direct" || name == "gemm" || variant_tile(name) > 0, Code::usage,
          "UPSCALE_VARIANT: conv2d got '", name,
          "', expected direct, winograd_f4, winograd_f6, winograd_f8 or gemm");
    if (fits && variant_tile(name) > 0) return kWinograd[variant_tile(name) / 2 - 2];
    return name == "gemm" && linear ? "gemm" : "direct";
  }
  if (linear && op.w.cout > 4) return "gemm";
  if (!fits || op.w.cin < 12 || op.w.cout <= 4) return "direct";
  // Multiply-adds per pair of channels. Measured: transforms add 40 % to the products of Winograd, and U
  // costs as much as five tiles, or seven large ones.
  const Extent out = conv_extent(op);
  const auto winograd = [&](int tile) {
    const double tiles = double(ceil_div(out.h, tile)) * ceil_div(out.w, tile);
    return (tile + 2) * (tile + 2) * (1.4 * tiles + (tile == 4 ? 5 : 7));
  };
  const int large = winograd_tile(op, out);
  const int tile = large > 4 && winograd(large) < winograd(4) ? large : 4;
  return winograd(tile) < 9.0 * out.h * out.w ? kWinograd[tile / 2 - 2] : "direct";
}

bool makes_statistics(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats) {
  const Tensor &y = op.y, &x = stats.x;
  if (y.data != x.data || y.n != 1 || y.extent() != x.extent() || y.c != x.c || y.px != x.px ||
      y.row != x.row || op.shuffle != 1)
    return false;
  const std::string_view name(variant_name(op));
  if (name == "direct") return op.w.cout > 4;
  // Rows of tiles are filled up to whole chunks. More than a pass over the pixels takes is not worth it.
  const int tiles = ceil_div(y.w, 4), filled = round_up(tiles, kChunkTiles);
  return name == "winograd_f4" && 64 * (filled - tiles) <= tiles;
}

void run(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Context& context, Rows rows) {
  check_conv2d(op);
  check_group_stats(stats, rows);
  check(makes_statistics(op, stats), Code::device, "conv2d: cannot take statistics of this output along");
  isa_ready();
  rows.begin = std::max(rows.begin, 0);
  rows.end = std::min(rows.end, op.y.h);
  if (rows.begin >= rows.end) return;
  if (std::string_view(variant_name(op)) == "winograd_f4")
    run_winograd(op, context, rows, &stats);
  else
    run_direct(op, context, rows, &stats);
}

void run(const Conv2d<Tensor>& op, Context& context, Rows rows) {
  check_conv2d(op);
  isa_ready();
  rows.begin = std::max(rows.begin, 0);
  rows.end = std::min(rows.end, conv_extent(op).h);
  if (rows.begin >= rows.end) return;
  const std::string_view variant = variant_name(op);
  if (variant == "winograd_f4")
    run_winograd(op, context, rows);
  else if (variant_tile(variant) > 0)
    run_large_winograd(op, context, rows, variant_tile(variant));
  else if (variant == "gemm")
    run_gemm(op, context, rows);
  else
    run_direct(op, context, rows);
}

}  // namespace ups::cpu
