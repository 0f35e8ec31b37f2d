// Conv2d for f32 tensors on tensor cores: x and w are rounded to tf32 (10 bits of fraction), sums are f32. k
// 1 or 3, stride 1; only for weights that allow it (Weight::tf32).
//
// The scheme is that of conv2d.cu's mma with half the channels per step: 8 floats are 32 bytes, as 16 halves
// are, so halo tiles, swizzles and ldmatrix are the same, and an 8x8 matrix of halves is an 8x4 matrix of
// floats: what m16n8k8 wants.
#include "kernels/conv2d_variants.h"
#include "kernels/device/copy.cuh"
#include "kernels/device/epilogue.cuh"
#include "kernels/device/mma.cuh"

namespace ups::cuda {
namespace {

constexpr int kTileH = 16, kTileW = 32;  // output pixels of a block
constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kRows = 4;      // output rows of a warp, 16 pixels each
constexpr int kChannels = 8;  // input channels per step
constexpr int kStages = 2;

struct Job {
  int begin, end, w;  // output rows before the shuffle, and their width
  int tiles_x;
  bool vector_x;
};

template <int K, int N>
struct Smem {
  static constexpr int kHaloH = kTileH + K - 1, kHaloW = kTileW + K - 1;
  struct Stage {
    alignas(16) float x[kHaloH * kHaloW * kChannels];  // [y, x, 8]
    alignas(16) float w[K * K * N * kChannels];        // [tap, n, 8]
  };
  union {
    Stage stage[kStages];
    alignas(16) float sums[kWarps][16][N + 4];
  };
};

// Element offset of 4-channel unit `unit` of a row.
__device__ __forceinline__ int swizzled(int row, int unit) {
  return row * kChannels + ((unit ^ (row >> 2 & 1)) << 2);
}

// To the nearest tf32: the hardware drops the last 13 bits.
template <int Count>
__device__ __forceinline__ void round_tf32(uint32_t (&v)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; i++) v[i] += 0x1000;
}

template <int K, int N>
__global__ void __launch_bounds__(kThreads, 1) conv2d_tf32(Conv2d<Tensor> op, Job job) {
  using S = Smem<K, N>;
  constexpr int kHaloH = S::kHaloH, kHaloW = S::kHaloW, kTaps = K * K;
  S& s = shared<S>();
  const int tid = int(threadIdx.x), lane = lane_index(), warp = warp_index();
  const int warp_y = warp % 4 * kRows, warp_x = warp / 4 * 16;
  const int tile_y = job.begin + int(blockIdx.x) / job.tiles_x * kTileH,
            tile_x = int(blockIdx.x) % job.tiles_x * kTileW;
  const int n0 = int(blockIdx.y) * N, image = int(blockIdx.z);
  const int cin = op.w.cin, cout_pad = (op.w.cout + 15) / 16 * 16;
  const int steps = (cin + kChannels - 1) / kChannels;

  // Rows below those that the job needs may not exist: they count as padding.
  const int in_h = min(op.x.h * op.up, job.end + K / 2), in_w = op.x.w * op.up;
  const float* x = static_cast<const float*>(op.x.data) + image * op.x.image;
  const float* w = static_cast<const float*>(op.w.w);

  // Which unit of the halo tile this thread loads in round i: offset behind the first row of the halo, or -1
  // for padding.
  constexpr int kUnits = kHaloH * kHaloW * 2, kRounds = (kUnits + kThreads - 1) / kThreads;
  const int first_row = max(0, tile_y - K / 2) / op.up;
  x += first_row * op.x.row;
  int from[kRounds];
#pragma unroll
  for (int i = 0; i < kRounds; i++) {
    const int p = (tid + i * kThreads) / 2;
    const int uy = tile_y + p / kHaloW - K / 2, ux = tile_x + p % kHaloW - K / 2;
    const bool inside = uy >= 0 && ux >= 0 && uy < in_h && ux < in_w;
    from[i] = inside ? (uy / op.up - first_row) * int(op.x.row) + ux / op.up * int(op.x.px) : -1;
  }

  auto load = [&](int step) {
    typename S::Stage& stage = s.stage[step % kStages];
    const int c = step * kChannels + tid % 2 * 4;
    const int channels = max(0, min(4, cin - c));
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const int unit = tid + i * kThreads;
      if (unit >= kUnits) continue;
      float* to = stage.x + swizzled(unit / 2, unit % 2);
      const int count = from[i] >= 0 ? channels : 0;
      if (job.vector_x) {
        copy_async<16>(to, count ? x + from[i] + c : x, count * 4);
      } else {
#pragma unroll
        for (int e = 0; e < 4; e++) to[e] = e < count ? x[from[i] + c + e] : 0.0f;
      }
    }
    // Weights lie in blocks of 16 input channels (kernels/pack.h): two steps.
    const float* step_w = w + int64_t(step / 2) * kTaps * cout_pad * 16 + step % 2 * kChannels;
    for (int unit = tid; unit < kTaps * N * 2; unit += kThreads) {
      const int row = unit / 2, tap = row / N, n = n0 + row % N;
      const bool inside = n < cout_pad;
      copy_async<16>(stage.w + swizzled(row, unit % 2),
                     inside ? step_w + (tap * cout_pad + n) * 16 + unit % 2 * 4 : w, inside ? 16 : 0);
    }
  };

  float acc[kRows][N / 8][4];
#pragma unroll
  for (int m = 0; m < kRows; m++)
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) acc[m][n][i] = 0;

  load(0);
  copy_commit();
  for (int step = 0; step < steps; step++) {
    copy_wait<0>();
    __syncthreads();  // step has arrived for all; all are done with the stage that is loaded next
    if (step + 1 < steps) load(step + 1);
    copy_commit();
    const typename S::Stage& stage = s.stage[step % kStages];
#pragma unroll
    for (int kx = 0; kx < K; kx++) {
      uint32_t a[kRows + K - 1][4];  // input rows
#pragma unroll
      for (int row = 0; row < kRows + K - 1; row++) {
        ldmatrix_x4(a[row], stage.x + swizzled((warp_y + row) * kHaloW + warp_x + kx + lane % 16, lane / 16));
        round_tf32(a[row]);
      }
#pragma unroll
      for (int ky = 0; ky < K; ky++) {
#pragma unroll
        for (int n = 0; n < N / 16; n++) {
          uint32_t b[4];
          ldmatrix_x4(
              b, stage.w + swizzled((ky * K + kx) * N + n * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
          round_tf32(b);
#pragma unroll
          for (int m = 0; m < kRows; m++) {
            mma_m16n8k8_tf32(acc[m][2 * n], a[m + ky], b[0], b[1]);
            mma_m16n8k8_tf32(acc[m][2 * n + 1], a[m + ky], b[2], b[3]);
          }
        }
      }
    }
  }
  copy_wait<0>();
  __syncthreads();  // the stages become room for sums

  // Row by row through shared memory, so that neighbouring lanes hold neighbouring channels.
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
    for (int i = lane; i < 16 * N; i += 32) {
      const int px = i / N, n = i % N;
      if (y < job.end && tile_x + warp_x + px < job.w && n0 + n < op.w.cout)
        finish_one(op, image, y, tile_x + warp_x + px, n0 + n, sums[px][n]);
    }
    __syncwarp();
  }
}

template <int K, int N>
void launch_n(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  Job job{rows.begin, rows.end, op.y.w / op.shuffle, 0, false};
  job.tiles_x = (job.w + kTileW - 1) / kTileW;
  job.vector_x = op.x.px % 4 == 0 && op.x.row % 4 == 0 && (op.x.n == 1 || op.x.image % 4 == 0) &&
                 reinterpret_cast<uintptr_t>(op.x.data) % 16 == 0;
  const int tiles_y = (job.end - job.begin + kTileH - 1) / kTileH;
  launch(conv2d_tf32<K, N>,
         {.grid = {unsigned(job.tiles_x) * unsigned(tiles_y), unsigned((op.w.cout + N - 1) / N),
                   unsigned(op.x.n)},
          .block = kThreads,
          .smem_bytes = sizeof(Smem<K, N>),
          .stream = &stream},
         op, job);
}

void launch_tf32(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  if (op.w.k == 3)
    op.w.cout <= 32 ? launch_n<3, 32>(op, stream, rows) : launch_n<3, 64>(op, stream, rows);
  else
    op.w.cout <= 32 ? launch_n<1, 32>(op, stream, rows) : launch_n<1, 64>(op, stream, rows);
}

const char* declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (!op.w.tf32) return "needs weights that allow it";
  if (device.sm < 80) return "needs sm_80 or newer";
  if (device.smem_bytes < int(sizeof(Smem<3, 64>))) return "needs more shared memory than the device has";
  if (op.w.k != 1 && op.w.k != 3) return "needs k 1 or 3";
  if (op.stride != 1) return "needs stride 1";
  if (op.pad_end) return "needs padding on all sides";
  if (op.x.dtype != DType::f32 || op.w.dtype != DType::f32) return "needs f32";
  if (op.x.row > (1 << 30) / (kTileH + 2)) return "needs rows of x of less than 59 million elements";
  if (reinterpret_cast<uintptr_t>(op.w.w) % 16) return "needs weights on a multiple of 16 bytes";
  return nullptr;
}

}  // namespace

const Conv2dVariant kConv2dTf32 = {"tf32", declines, launch_tf32};

}  // namespace ups::cuda
