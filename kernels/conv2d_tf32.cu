// Conv2d for f32 tensors on tensor cores: x and w are rounded to tf32 (10 bits of fraction), sums are f32. k
// 1 or 3, stride 1; only for weights that allow it (Weight::tf32).
//
// The scheme is that of conv2d_mma.cu with half the channels per step: 8 floats are 32 bytes, as 16 halves
// are, so halo tiles, swizzles and ldmatrix are the same, and an 8x8 matrix of halves is an 8x4 matrix of
// floats: what m16n8k8 wants.
#include "kernels/conv2d_variants.h"
#include "kernels/device/conv_tile.cuh"
#include "kernels/device/mma.cuh"

namespace ups::cuda {
namespace {

constexpr int kTileH = 16, kTileW = 32;  // output pixels of a block
constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kRows = 4;  // output rows of a warp, 16 pixels each

template <int K, int N>
struct Smem {
  using Tile = ConvTile<float, K, N, kTileH, kTileW>;
  union {
    typename Tile::Stage stage[Tile::kStages];
    alignas(16) float sums[kWarps][16][N + 4];
  };
};

// To the nearest tf32: the hardware drops the last 13 bits.
template <int Count>
__device__ __forceinline__ void round_tf32(uint32_t (&v)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; i++) v[i] += 0x1000;
}

template <int K, int N>
__global__ void __launch_bounds__(kThreads, 1) conv2d_tf32(Conv2d<Tensor> op, ConvJob job) {
  using Tile = typename Smem<K, N>::Tile;
  Smem<K, N>& s = shared<Smem<K, N>>();
  const int lane = lane_index(), warp = warp_index();
  const int warp_y = warp % 4 * kRows, warp_x = warp / 4 * 16;
  const int tile_y = job.begin + int(blockIdx.x) / job.tiles_x * kTileH,
            tile_x = int(blockIdx.x) % job.tiles_x * kTileW;
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
#pragma unroll
    for (int kx = 0; kx < K; kx++) {
      uint32_t a[kRows + K - 1][4];  // input rows
#pragma unroll
      for (int row = 0; row < kRows + K - 1; row++) {
        ldmatrix_x4(a[row],
                    stage.x + Tile::at((warp_y + row) * Tile::kHaloW + warp_x + kx + lane % 16, lane / 16));
        round_tf32(a[row]);
      }
#pragma unroll
      for (int ky = 0; ky < K; ky++) {
#pragma unroll
        for (int n = 0; n < N / 16; n++) {
          uint32_t b[4];
          ldmatrix_x4(
              b, stage.w + Tile::at((ky * K + kx) * N + n * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
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

void launch_tf32(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  for_conv_form(op, [&]<int K, int N>() {
    launch_conv<typename Smem<K, N>::Tile, Smem<K, N>>(conv2d_tf32<K, N>, op, kThreads, stream, rows);
  });
}

const char* declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (!op.w.tf32) return "needs weights that allow it";
  if (op.x.dtype != DType::f32 || op.w.dtype != DType::f32) return "needs f32";
  return ordinary_conv_declines(op, device, sizeof(Smem<3, 64>));
}

}  // namespace

const Conv2dVariant kConv2dTf32 = {"tf32", declines, launch_tf32};

}  // namespace ups::cuda
