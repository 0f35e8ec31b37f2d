// Conv2d for f32 tensors in full precision, on the ordinary cores: k 1 or 3, stride 1. What --precision fp32
// runs, and what a tile is computed again with where a narrower type overflows.
//
// A block makes 16 x 16 output pixels x N channels from tiles in shared memory
// (kernels/device/conv_tile.cuh), 8 input channels per step. A thread owns 8 pixels of a row x N/8 channels,
// 8 apart: per 4 input channels and row of taps it loads 8+k-1 pixels and k * N/8 weights, 16 bytes each, for
// 32 k N/8 FMA (k = 3, N = 64: 34 loads for 768 FMA). The lanes of a warp hold 8 consecutive channels x 4
// rows of pixels: the 8 rows of weights lie in different banks, and so do the 4 pixels of k = 3, 18 rows of
// shared memory apart.
#include "kernels/conv2d_variants.h"
#include "kernels/device/conv_tile.cuh"

namespace ups::cuda {
namespace {

constexpr int kTileH = 16, kTileW = 16;  // output pixels of a block
constexpr int kThreads = 256;
constexpr int kPixels = 8, kLanesN = 8;  // pixels of a thread; threads beside each other in channels

template <int K, int N>
struct Smem {
  using Tile = ConvTile<float, K, N, kTileH, kTileW>;
  typename Tile::Stage stage[Tile::kStages];
};

struct alignas(16) Four {
  float v[4];
};

template <int K, int N>
__global__ void __launch_bounds__(kThreads, N <= 32 ? 2 : 1) conv2d_f32(Conv2d<Tensor> op, ConvJob job) {
  using Tile = typename Smem<K, N>::Tile;
  Smem<K, N>& s = shared<Smem<K, N>>();
  const int n_lane = int(threadIdx.x) % kLanesN, group = int(threadIdx.x) / kLanesN;
  const int row = group % kTileH, column = group / kTileH * kPixels;
  const int tile_y = job.begin + int(blockIdx.x) / job.tiles_x * kTileH,
            tile_x = int(blockIdx.x) % job.tiles_x * kTileW;
  const int n0 = int(blockIdx.y) * N, image = int(blockIdx.z);
  const int steps = Tile::steps(op.w.cin);
  const ConvTileLoader<Tile, kThreads> loader(op, job, image, tile_y, tile_x, n0);

  float acc[kPixels][N / kLanesN];
#pragma unroll
  for (int p = 0; p < kPixels; p++)
#pragma unroll
    for (int n = 0; n < N / kLanesN; n++) acc[p][n] = 0;

  loader.load(0, s.stage[0]);
  copy_commit();
  for (int step = 0; step < steps; step++) {
    copy_wait<0>();
    __syncthreads();  // step has arrived for all; all are done with the stage that is loaded next
    if (step + 1 < steps) loader.load(step + 1, s.stage[(step + 1) % Tile::kStages]);
    copy_commit();
    const typename Tile::Stage& stage = s.stage[step % Tile::kStages];
#pragma unroll 1  // the body is 768 FMA
    for (int part = 0; part < 2 * K; part++) {
      const int unit = part % 2, ky = part / 2;
      Four x[kPixels + K - 1];
#pragma unroll
      for (int i = 0; i < kPixels + K - 1; i++)
        x[i] =
            *reinterpret_cast<const Four*>(stage.x + Tile::at((row + ky) * Tile::kHaloW + column + i, unit));
#pragma unroll
      for (int kx = 0; kx < K; kx++) {
        Four w[N / kLanesN];
#pragma unroll
        for (int n = 0; n < N / kLanesN; n++)
          w[n] = *reinterpret_cast<const Four*>(stage.w +
                                                Tile::at((ky * K + kx) * N + n * kLanesN + n_lane, unit));
#pragma unroll
        for (int c = 0; c < 4; c++)
#pragma unroll
          for (int p = 0; p < kPixels; p++)
#pragma unroll
            for (int n = 0; n < N / kLanesN; n++) acc[p][n] = fmaf(x[p + kx].v[c], w[n].v[c], acc[p][n]);
      }
    }
  }
  copy_wait<0>();

  const int y = tile_y + row;
  if (y >= job.end) return;
#pragma unroll
  for (int p = 0; p < kPixels; p++)
#pragma unroll
    for (int n = 0; n < N / kLanesN; n++) {
      const int x = tile_x + column + p, co = n0 + n * kLanesN + n_lane;
      if (x < job.w && co < op.w.cout) finish_one(op, image, y, x, co, acc[p][n]);
    }
}

void launch_f32(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  for_conv_form(op, [&]<int K, int N>() {
    launch_conv<typename Smem<K, N>::Tile, Smem<K, N>>(conv2d_f32<K, N>, op, kThreads, stream, rows);
  });
}

const char* declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (op.x.dtype != DType::f32 || op.w.dtype != DType::f32) return "needs f32";
  return ordinary_conv_declines(op, device, sizeof(Smem<3, 64>));
}

}  // namespace

const Conv2dVariant kConv2dF32 = {"f32", declines, launch_f32};

}  // namespace ups::cuda
