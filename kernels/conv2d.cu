// Conv2d (kernels/ops.h): y = shuffle(act(conv(up(x), w) + bias) * scale + addends).
//
// naive: one thread per output; every feature, any dtype; the device's own reference.
#include "kernels/conv2d_variants.h"
#include "kernels/device/conv_tile.cuh"
#include "kernels/pack.h"
#if defined(UPS_WITH_VENDOR)
#include "kernels/conv2d_vendor.h"
#endif

namespace ups::cuda {
namespace {

// --- naive -------------------------------------------------------------------------------------------------
constexpr unsigned kNaiveBlock = 256;

__device__ __forceinline__ float load_weight(const Weight& w, int tap, int ci, int co) {
  const int taps = w.k * w.k, cout_pad = (w.cout + 15) / 16 * 16;  // MmaLayout
  const int64_t i = ((int64_t(ci / 16) * taps + tap) * cout_pad + co) * 16 + ci % 16;
  if (w.dtype == DType::f32) return static_cast<const float*>(w.w)[i];
  if (w.dtype == DType::f16) return to_float(static_cast<const half_t*>(w.w)[i]);
  return to_float(static_cast<const bf16_t*>(w.w)[i]);
}

__device__ float sum_pixel(const Tensor& x, int64_t at, const Weight& w, int tap, int co) {
  float sum = 0;
  for (int ci = 0; ci < w.cin; ci++) sum += load_element(x, at + ci) * load_weight(w, tap, ci, co);
  return sum;
}

__global__ void conv2d_naive(Conv2d<Tensor> op, ConvJob job) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t row = int64_t(job.w) * op.w.cout;
  const int y = job.begin + int(i / row), x = int(i % row) / op.w.cout, co = int(i % row) % op.w.cout;
  if (y >= job.end) return;
  const int n = int(blockIdx.y), k = op.w.k;
  float sum = 0;
  for (int tap = 0; tap < k * k; tap++) {
    const int uy = y * op.stride + tap / k - op.pad(), ux = x * op.stride + tap % k - op.pad();
    if (uy < 0 || ux < 0 || uy >= op.x.h * op.up || ux >= op.x.w * op.up) continue;
    const int64_t at = n * op.x.image + uy / op.up * op.x.row + ux / op.up * op.x.px;
    sum += sum_pixel(op.x, at, op.w, tap, co);
  }
  if (const Tensor& t = op.shortcut.t; op.shortcut.present()) {
    sum += sum_pixel(t, n * t.image + y * t.row + x * t.px, op.shortcut.w, 0, co);
    if (op.shortcut.w.bias) sum += op.shortcut.w.bias[co];
  }
  finish_one(op, n, y, x, co, sum);
}

void launch_naive(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  const ConvJob job{rows.begin, rows.end, op.y.w / op.shuffle, 0, false, false, false};
  const int64_t count = int64_t(job.end - job.begin) * job.w * op.w.cout;
  launch(conv2d_naive,
         {.grid = {unsigned((count + kNaiveBlock - 1) / kNaiveBlock), unsigned(op.x.n)},
          .block = kNaiveBlock,
          .stream = &stream},
         op, job);
}

const char* accepts_all(const Conv2d<Tensor>&, const DeviceInfo&) { return nullptr; }

// Constant initialisation across files has no order: the table is made on first use.
std::span<const Conv2dVariant> table() {
  static const Conv2dVariant variants[] = {
#if !defined(UPS_WITHOUT_SM90)
    kConv2dWide,
    kConv2dWgmma,
#endif
    kConv2dTf32,
    kConv2dMmaF16Sums,
    kConv2dMma,
#if !defined(UPS_WITHOUT_SM90)
    kConv2dStream,  // these three not yet timed: where UPSCALE_VARIANT asks for them
    kConv2dPhases,
    kConv2dNarrow,
#endif
    kConv2dF32,
    {"naive", accepts_all, launch_naive},
#if defined(UPS_WITH_VENDOR)
    kConv2dCudnn,
#endif
  };
  return variants;
}

void verify(const Conv2d<Tensor>& op) {
  const int r = op.shuffle;
  check(op.x.data && op.y.data && op.w.w, Code::device, "conv2d: x, y or the weight is absent");
  check((op.w.k == 1 || op.w.k == 3 || op.w.k == 5) && op.stride >= 1 && op.up >= 1 && r >= 1, Code::device,
        "conv2d: got k ", op.w.k, ", stride ", op.stride, ", up ", op.up, ", shuffle ", r,
        ", expected k 1, 3 or 5 and the others at least 1");
  check(op.x.c == op.w.cin && op.y.c * r * r == op.w.cout, Code::device, "conv2d: got x of ", op.x.c,
        " and y of ", op.y.c, " channels, expected ", op.w.cin, " and ", op.w.cout, " / ", r * r);
  const int h = op.y.h / r, w = op.y.w / r;
  auto matches = [&](int out, int in) {
    return out >= 1 && (out == in * op.up / op.stride || out == (in * op.up + op.stride - 1) / op.stride);
  };
  check(op.y.n == op.x.n && op.x.n <= 65535 && h * r == op.y.h && w * r == op.y.w && matches(h, op.x.h) &&
            matches(w, op.x.w),
        Code::device, "conv2d: got y [", op.y.n, ", ", op.y.h, ", ", op.y.w, "] for x [", op.x.n, ", ",
        op.x.h, ", ", op.x.w, "]");
  check(op.act != Act::prelu || op.w.slope, Code::device, "conv2d: PReLU without slopes");
  for (const Addend<Tensor>* add : {&op.add, &op.add2})
    check(!add->t.data || (add->t.n == op.x.n && add->t.h == h && add->t.w == w && add->group >= 1 &&
                           int64_t(add->t.c) * add->group >= op.w.cout),
          Code::device, "conv2d: got an addend [", add->t.h, ", ", add->t.w, ", ", add->t.c, "], expected [",
          h, ", ", w, ", ", op.w.cout, " / group]");
  const auto& [t, sw] = op.shortcut;
  check(!op.shortcut.present() || (t.data && sw.w && sw.k == 1 && sw.cout == op.w.cout && sw.cin == t.c &&
                                   t.n == op.x.n && t.h == h && t.w == w),
        Code::device, "conv2d: got a shortcut [", t.h, ", ", t.w, ", ", t.c, "] by ", sw.cin, " -> ", sw.cout,
        " channels, expected [", h, ", ", w, ", ..] to ", op.w.cout);
}

// The kernel of the variant that runs op and leaves the statistics too; null if it has none for them.
auto launch_with_sums(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, const DeviceInfo& device)
    -> void (*)(const Conv2d<Tensor>&, const GroupStats<Tensor>&, Stream&, Rows) {
  const Tensor &x = stats.x, &y = op.y;
  if (x.data != y.data || x.c != y.c || x.px != y.px || x.row != y.row || x.dtype != y.dtype ||
      !(x.extent() == y.extent()) || op.shuffle != 1 || stats.groups < 1 || y.c % stats.groups)
    return nullptr;
  const auto variant = select("conv2d", table(), op, device).launch;
#if !defined(UPS_WITHOUT_SM90)
  if (variant == kConv2dWide.launch && wide_sums_groups(op, stats.groups)) return launch_wide_with_sums;
#endif
  return variant == kConv2dMma.launch && mma_makes_sums(op, stats.groups) ? launch_mma_with_sums : nullptr;
}

}  // namespace

std::span<const Conv2dVariant> conv2d_variants() {
  const auto all = table();
#if defined(UPS_WITH_VENDOR)
  return all.first(all.size() - 1);  // to be compared with, not one of ours
#else
  return all;
#endif
}

const char* variant_name(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  return select("conv2d", table(), op, device).name;
}

bool runs_whole(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  Conv2d<Tensor> alone = op;
  alone.shortcut = {};
  return !select("conv2d", table(), alone, device).declines(op, device);
}

bool makes_statistics(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, const DeviceInfo& device) {
  return launch_with_sums(op, stats, device) != nullptr;
}

void run(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream, Rows rows) {
  const auto launch = launch_with_sums(op, stats, stream.device());
  if (!launch) {
    run(op, stream, rows);
    run(stats, stream, rows);
    return;
  }
  verify(op);
  rows.begin = rows.begin > 0 ? rows.begin : 0;
  rows.end = rows.end < op.y.h ? rows.end : op.y.h;
  if (rows.begin < rows.end) launch(op, stats, stream, rows);
}

void run(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  verify(op);
  rows.begin = rows.begin > 0 ? rows.begin : 0;
  rows.end = rows.end < op.y.h / op.shuffle ? rows.end : op.y.h / op.shuffle;
  if (rows.begin >= rows.end) return;
  select("conv2d", table(), op, stream.device()).launch(op, stream, rows);
}

}  // namespace ups::cuda
