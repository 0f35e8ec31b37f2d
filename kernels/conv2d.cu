// Conv2d (kernels/ops.h): y = shuffle(act(conv(up(x), w) + bias) * scale + addends).
//
// naive: one thread per output; every feature, any dtype; the device's own reference.
// mma:   implicit GEMM on tensor cores, k 1 or 3, stride 1, f16 or bf16 inputs, f32 sums.
//   A block makes 16 x 32 output pixels x N channels (N = 16, 32, 48 or 64) from tiles in shared memory
//   (kernels/device/conv_tile.cuh), 16 input channels per step. Each of 8 warps owns 4 rows x 16 pixels: for
//   each column of taps it loads the k+3 input rows once and uses each for up to k rows of outputs ("three
//   vertical taps at once"), so that of the 9 taps only 3 cost fragment loads of the image. Per step and
//   warp, k = 3, N = 64: 18 + 36 ldmatrix.x4 for 288 mma.
// mma_f16_sums: the same, but a column of taps x 16 channels, 48 products, is summed in f16 before it joins
//   the sum in f32: GeForce parts multiply twice as fast that way.
#include "kernels/conv2d_variants.h"
#include "kernels/device/conv_tile.cuh"
#include "kernels/device/mma.cuh"
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

// --- mma ---------------------------------------------------------------------------------------------------
constexpr int kTileH = 16, kTileW = 32;  // output pixels of a block
constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kRows = 4;  // output rows of a warp, 16 pixels each

template <class T, int K, int N>
struct Smem {
  using Tile = ConvTile<T, K, N, kTileH, kTileW>;
  union {
    typename Tile::Stage stage[Tile::kStages];
    alignas(16) float sums[kWarps][16][N + 4];  // +4: rows 16 bytes apart in bank space
  };
};

// acc += sum, a tile summed in f16
__device__ __forceinline__ void widen(float (&acc)[4], const uint32_t (&sum)[2]) {
#pragma unroll
  for (int i = 0; i < 4; i++) acc[i] += to_float(half_t{uint16_t(sum[i / 2] >> (i % 2 * 16))});
}

// Two blocks on an SM where registers allow it; GeForce parts have shared memory for one only.
template <class T, int K, int N, bool F16Sums>
__global__ void __launch_bounds__(kThreads, N <= 32 && !F16Sums ? 2 : 1)
    conv2d_mma(Conv2d<Tensor> op, ConvJob job) {
  using Tile = typename Smem<T, K, N>::Tile;
  Smem<T, K, N>& s = shared<Smem<T, K, N>>();
  const int lane = lane_index(), warp = warp_index();
  const int warp_y = warp % 4 * kRows, warp_x = warp / 4 * 16;
  const int tile = job.upward ? int(gridDim.x - 1 - blockIdx.x) : int(blockIdx.x);
  const int tile_y = job.begin + tile / job.tiles_x * kTileH, tile_x = tile % job.tiles_x * kTileW;
  const int n0 = int(blockIdx.y) * N, image = int(blockIdx.z);
  const int steps = Tile::steps(op.w.cin);
  const ConvTileLoader<Tile, kThreads> loader(op, job, image, tile_y, tile_x, n0);

  float acc[kRows][N / 8][4];
#pragma unroll
  for (int m = 0; m < kRows; m++)
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) acc[m][n][i] = 0;

  loader.load(0, s.stage[0]);
  copy_commit();
  for (int step = 0; step < steps; step++) {
    copy_wait<0>();
    __syncthreads();  // step has arrived for all; all are done with the stage that is loaded next
    if (step + 1 < steps) loader.load(step + 1, s.stage[(step + 1) % Tile::kStages]);
    copy_commit();
    const typename Tile::Stage& stage = s.stage[step % Tile::kStages];
#pragma unroll(N <= 32 || F16Sums ? 1 \
                                  : K)  // unrolled, the two blocks of an SM would not have registers enough
    for (int kx = 0; kx < K; kx++) {
      uint32_t a[kRows + K - 1][4];  // input rows
#pragma unroll
      for (int row = 0; row < kRows + K - 1; row++)
        ldmatrix_x4(a[row],
                    stage.x + Tile::at((warp_y + row) * Tile::kHaloW + warp_x + kx + lane % 16, lane / 16));
      if constexpr (F16Sums) {
#pragma unroll
        for (int n = 0; n < N / 16; n++) {
          uint32_t sums[kRows][2][2] = {};  // of 16 K products
#pragma unroll
          for (int ky = 0; ky < K; ky++) {
            uint32_t b[4];
            ldmatrix_x4(
                b, stage.w + Tile::at((ky * K + kx) * N + n * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < kRows; m++) {
              mma_m16n8k16_f16(sums[m][0], a[m + ky], b[0], b[1]);
              mma_m16n8k16_f16(sums[m][1], a[m + ky], b[2], b[3]);
            }
          }
#pragma unroll
          for (int m = 0; m < kRows; m++) {
            widen(acc[m][2 * n], sums[m][0]);
            widen(acc[m][2 * n + 1], sums[m][1]);
          }
        }
        continue;
      }
#pragma unroll
      for (int ky = 0; ky < K; ky++) {
#pragma unroll
        for (int n = 0; n < N / 16; n++) {
          uint32_t b[4];
          ldmatrix_x4(
              b, stage.w + Tile::at((ky * K + kx) * N + n * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
#pragma unroll
          for (int m = 0; m < kRows; m++) {
            mma_m16n8k16<T>(acc[m][2 * n], a[m + ky], b[0], b[1]);
            mma_m16n8k16<T>(acc[m][2 * n + 1], a[m + ky], b[2], b[3]);
          }
        }
      }
    }
  }
  copy_wait<0>();
  __syncthreads();  // the stages become room for sums

  // Row by row through shared memory, so that a lane holds 8 channels of one pixel.
  float(&sums)[16][N + 4] = s.sums[warp];
#pragma unroll
  for (int m = 0; m < kRows; m++) {
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[lane / 4 + i / 2 * 8][n * 8 + lane % 4 * 2 + i % 2] = acc[m][n][i];
    __syncwarp();
    const int y = tile_y + warp_y + m;
#pragma unroll 1
    for (int unit = lane; unit < 16 * (N / 8); unit += 32) {
      const int px = unit / (N / 8), n = unit % (N / 8) * 8;
      const int out_x = tile_x + warp_x + px;
      if (y < job.end && out_x < job.w)
        finish_eight<T>(op, job.vector_epilogue, image, y, out_x, n0 + n, &sums[px][n]);
    }
    __syncwarp();
  }
}

template <class T, int K, int N, bool F16Sums = false>
void launch_mma_n(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  launch_conv<typename Smem<T, K, N>::Tile, Smem<T, K, N>>(conv2d_mma<T, K, N, F16Sums>, op, kThreads, stream,
                                                           rows);
}

template <class T, int K>
void launch_mma_k(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  if constexpr (std::is_same_v<T, half_t>) {  // bf16 is for models that f16 overflows: fewer kernels
    if (op.w.cout <= 16) return launch_mma_n<T, K, 16>(op, stream, rows);
    if (op.w.cout > 32 && op.w.cout <= 48) return launch_mma_n<T, K, 48>(op, stream, rows);
  }
  if (op.w.cout <= 32) return launch_mma_n<T, K, 32>(op, stream, rows);
  launch_mma_n<T, K, 64>(op, stream, rows);
}

void launch_mma(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  if (op.x.dtype == DType::f16)
    op.w.k == 3 ? launch_mma_k<half_t, 3>(op, stream, rows) : launch_mma_k<half_t, 1>(op, stream, rows);
  else
    op.w.k == 3 ? launch_mma_k<bf16_t, 3>(op, stream, rows) : launch_mma_k<bf16_t, 1>(op, stream, rows);
}

void launch_mma_f16_sums(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  op.w.cout <= 32 ? launch_mma_n<half_t, 3, 32, true>(op, stream, rows)
                  : launch_mma_n<half_t, 3, 64, true>(op, stream, rows);
}

const char* mma_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (op.x.dtype == DType::f32) return "needs a 16-bit x";
  if (op.w.dtype != op.x.dtype) return "needs weights of x's dtype";
  return conv_tile_declines(op, device, sizeof(Smem<half_t, 3, 64>));
}

const char* mma_f16_sums_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (!op.w.f16_sums) return "needs weights that allow it";
  if (op.w.k != 3) return "needs k 3";
  if (op.x.dtype != DType::f16) return "needs an f16 x";
  return mma_declines(op, device);
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
    {"mma_f16_sums", mma_f16_sums_declines, launch_mma_f16_sums},
    {"mma", mma_declines, launch_mma},
#if !defined(UPS_WITHOUT_SM90)
    kConv2dStream,  // not yet timed: where UPSCALE_VARIANT asks for it
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
  return !select("conv2d", conv2d_variants(), alone, device).declines(op, device);
}

bool makes_statistics(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, const DeviceInfo& device) {
#if defined(UPS_WITHOUT_SM90)
  (void)op, (void)stats, (void)device;
  return false;
#else
  const Tensor &x = stats.x, &y = op.y;
  return x.data == y.data && x.c == y.c && x.px == y.px && x.row == y.row && x.dtype == y.dtype &&
         x.extent() == y.extent() && op.shuffle == 1 && stats.groups >= 1 && y.c % stats.groups == 0 &&
         wide_sums_groups(op, stats.groups) &&
         select("conv2d", table(), op, device).launch == kConv2dWide.launch;
#endif
}

void run(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream, Rows rows) {
#if !defined(UPS_WITHOUT_SM90)
  if (makes_statistics(op, stats, stream.device())) {
    verify(op);
    rows.begin = rows.begin > 0 ? rows.begin : 0;
    rows.end = rows.end < op.y.h ? rows.end : op.y.h;
    if (rows.begin < rows.end) launch_wide_with_sums(op, stats, stream, rows);
    return;
  }
#endif
  run(op, stream, rows);
  run(stats, stream, rows);
}

void run(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  verify(op);
  rows.begin = rows.begin > 0 ? rows.begin : 0;
  rows.end = rows.end < op.y.h / op.shuffle ? rows.end : op.y.h / op.shuffle;
  if (rows.begin >= rows.end) return;
  select("conv2d", table(), op, stream.device()).launch(op, stream, rows);
}

}  // namespace ups::cuda
