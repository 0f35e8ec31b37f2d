// Conv2d (kernels/ops.h) as implicit GEMM on tensor cores: k 1 or 3, stride 1, or k 3 and stride 2; f16 or
// bf16 inputs, f32 sums.
//
// mma: A block makes 16 x 32 output pixels x N channels (N = 16, 32, 48 or 64) from tiles in shared memory
//   (kernels/device/conv_tile.cuh), 16 input channels per step. Each of 8 warps owns 4 rows x 16 pixels: for
//   each column of taps it loads the k+3 input rows once and uses each for up to k rows of outputs ("three
//   vertical taps at once"), so that of the 9 taps only 3 cost fragment loads of the image. Per step and
//   warp, k = 3, N = 64: 18 + 36 ldmatrix.x4 for 288 mma.
//   Stride 2: 8 x 16 output pixels x 64 channels, a warp owns 2 rows x 16 pixels x 32 channels: 15 + 18
//   ldmatrix.x4 for 72 mma.
//   A shortcut adds steps of one tap; statistics are the sums by group of what a block stores, by shuffles
//   and over warps in order (kernels/device/group_sums.cuh). Both have kernels of their own, of 64 channels.
// mma_f16_sums: the same, but a column of taps x 16 channels, 48 products, is summed in f16 before it joins
//   the sum in f32: GeForce parts multiply twice as fast that way.
#include "kernels/conv2d_variants.h"
#include "kernels/device/conv_tile.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/device/reduce.cuh"

namespace ups::cuda {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kSumUnit = 4;  // channels whose sums are kept together

// What a kernel does beyond a plain convolution.
enum class Form {
  plain,
  f16_sums,
  joined  // sums a shortcut if there is one, leaves statistics if there is room for them
};

// How the warps of a block divide its outputs: kRows rows of 16 pixels each, kWarpsY above and kWarpsX beside
// each other; kWarpsN share the channels.
template <int Stride>
struct Division {
  static constexpr int kRows = 4, kWarpsY = 4, kWarpsX = 2, kWarpsN = 1;
};
template <>
struct Division<2> {
  static constexpr int kRows = 2, kWarpsY = 4, kWarpsX = 1, kWarpsN = 2;
};

template <class T, int K, int N, int Stride, Form F>
struct Smem {
  using D = Division<Stride>;
  static_assert(D::kWarpsY * D::kWarpsX * D::kWarpsN == kWarps);
  static constexpr int kWarpN = N / D::kWarpsN;
  static constexpr int kTileH = D::kWarpsY * D::kRows, kTileW = D::kWarpsX * 16;
  using Tile = ConvTile<T, K, N, kTileH, kTileW, Stride>;
  using ShortcutTile = ConvTile<T, 1, N, kTileH, kTileW>;  // its stages fit where those of 9 taps do
  struct Out {
    alignas(16) float sums[kWarps][16][kWarpN + 4];  // +4: rows 16 bytes apart in bank space
    FloatSum units[F == Form::joined ? kWarps : 1][kWarpN / kSumUnit];
  };
  union {
    typename Tile::Stage stage[Tile::kStages];
    Out out;
  };
};

// acc += sum, a tile summed in f16
__device__ __forceinline__ void widen(float (&acc)[4], const uint32_t (&sum)[2]) {
#pragma unroll
  for (int i = 0; i < 4; i++) acc[i] += to_float(half_t{uint16_t(sum[i / 2] >> (i % 2 * 16))});
}

// acc += the products of one step, for rows of 16 pixels from (warp_y, warp_x) and channels from warp_n.
template <class Tile, int Rows, int WarpN, bool F16Sums>
__device__ __forceinline__ void multiply(const typename Tile::Stage& stage, int warp_y, int warp_x,
                                         int warp_n, float (&acc)[Rows][WarpN / 8][4]) {
  using T = typename Tile::Element;
  constexpr int K = Tile::kK, N = Tile::kN, S = Tile::kStride;
  const int lane = lane_index();
#pragma unroll(N <= 32 || F16Sums ? 1 \
                                  : K)  // unrolled, the two blocks of an SM would not have registers enough
  for (int kx = 0; kx < K; kx++) {
    uint32_t a[(Rows - 1) * S + K][4];  // input rows
#pragma unroll
    for (int row = 0; row < (Rows - 1) * S + K; row++)
      ldmatrix_x4(a[row], stage.x + Tile::at((warp_y * S + row) * Tile::kHaloW + warp_x + Tile::column(kx) +
                                                 lane % 16,
                                             lane / 16));
    if constexpr (F16Sums) {
#pragma unroll
      for (int n = 0; n < WarpN / 16; n++) {
        uint32_t sums[Rows][2][2] = {};  // of 16 K products
#pragma unroll
        for (int ky = 0; ky < K; ky++) {
          uint32_t b[4];
          ldmatrix_x4(
              b, stage.w + Tile::at((ky * K + kx) * N + n * 16 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
#pragma unroll
          for (int m = 0; m < Rows; m++) {
            mma_m16n8k16_f16(sums[m][0], a[m + ky], b[0], b[1]);
            mma_m16n8k16_f16(sums[m][1], a[m + ky], b[2], b[3]);
          }
        }
#pragma unroll
        for (int m = 0; m < Rows; m++) {
          widen(acc[m][2 * n], sums[m][0]);
          widen(acc[m][2 * n + 1], sums[m][1]);
        }
      }
    } else {
#pragma unroll
      for (int ky = 0; ky < K; ky++) {
#pragma unroll
        for (int n = 0; n < WarpN / 16; n++) {
          uint32_t b[4];
          ldmatrix_x4(b, stage.w + Tile::at((ky * K + kx) * N + warp_n + n * 16 + lane / 16 * 8 + lane % 8,
                                            lane / 8 % 2));
#pragma unroll
          for (int m = 0; m < Rows; m++) {
            mma_m16n8k16<T>(acc[m][2 * n], a[m * S + ky], b[0], b[1]);
            mma_m16n8k16<T>(acc[m][2 * n + 1], a[m * S + ky], b[2], b[3]);
          }
        }
      }
    }
  }
}

// sum += 4 channels of what was stored, words `first` and first + 1
template <class T>
__device__ __forceinline__ void add_to(FloatSum& sum, const Vec16& stored, int first) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float v = to_float(T{uint16_t(stored.v[first + i / 2] >> (i % 2 * 16))});
    sum.sum += v, sum.square += v * v;
  }
}

// Two blocks on an SM where registers allow it; GeForce parts have shared memory for one only.
template <class T, int K, int N, int Stride, Form F>
__global__ void __launch_bounds__(kThreads, (N <= 32 && F == Form::plain) || Stride == 2 ? 2 : 1)
    conv2d_mma(Conv2d<Tensor> op, ConvJob job) {
  using S = Smem<T, K, N, Stride, F>;
  using D = typename S::D;
  using Tile = typename S::Tile;
  constexpr int kRows = D::kRows, kWarpN = S::kWarpN;
  S& s = shared<S>();
  const int lane = lane_index(), warp = warp_index();
  const int warp_y = warp % D::kWarpsY * kRows, warp_x = D::kWarpsX > 1 ? warp / D::kWarpsY * 16 : 0,
            warp_n = D::kWarpsN > 1 ? warp / D::kWarpsY * kWarpN : 0;
  const int tile = job.upward ? int(gridDim.x - 1 - blockIdx.x) : int(blockIdx.x);
  const int tile_y = job.begin + tile / job.tiles_x * S::kTileH, tile_x = tile % job.tiles_x * S::kTileW;
  const int n0 = int(blockIdx.y) * N, image = int(blockIdx.z);
  const int steps = Tile::steps(op.w.cin);
  const ConvTileLoader<Tile, kThreads> loader(op, job, image, tile_y, tile_x, n0);

  float acc[kRows][kWarpN / 8][4];
#pragma unroll
  for (int m = 0; m < kRows; m++)
#pragma unroll
    for (int n = 0; n < kWarpN / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) acc[m][n][i] = 0;

  loader.load(0, s.stage[0]);
  copy_commit();
  for (int step = 0; step < steps; step++) {
    copy_wait<0>();
    __syncthreads();  // step has arrived for all; all are done with the stage that is loaded next
    if (step + 1 < steps) loader.load(step + 1, s.stage[(step + 1) % Tile::kStages]);
    copy_commit();
    multiply<Tile, kRows, kWarpN, F == Form::f16_sums>(s.stage[step % Tile::kStages], warp_y, warp_x, warp_n,
                                                       acc);
  }
  if constexpr (F == Form::joined && K == 3 && Stride == 1) {
    if (op.shortcut.present()) {
      using Side = typename S::ShortcutTile;
      static_assert(sizeof(typename Side::Stage) <= sizeof(typename Tile::Stage));
      const auto stage = [&](int step) -> typename Side::Stage& {
        void* const room = &s.stage[(steps + step) % Tile::kStages];
        return *static_cast<typename Side::Stage*>(room);
      };
      const ConvTileLoader<Side, kThreads> side(op.shortcut.t, op.shortcut.w, 1, 0, job, image, tile_y,
                                                tile_x, n0);
      const int side_steps = Side::steps(op.shortcut.w.cin);
      side.load(0, stage(0));  // where the last step but one was
      copy_commit();
      for (int step = 0; step < side_steps; step++) {
        copy_wait<0>();
        __syncthreads();
        if (step + 1 < side_steps) side.load(step + 1, stage(step + 1));
        copy_commit();
        multiply<Side, kRows, kWarpN, false>(stage(step), warp_y, warp_x, warp_n, acc);
      }
      if (op.shortcut.w.bias)
#pragma unroll
        for (int n = 0; n < kWarpN / 8; n++)
#pragma unroll
          for (int i = 0; i < 2; i++) {
            const int co = n0 + warp_n + n * 8 + lane % 4 * 2 + i;
            const float bias = co < op.w.cout ? op.shortcut.w.bias[co] : 0.0f;
#pragma unroll
            for (int m = 0; m < kRows; m++) acc[m][n][i] += bias, acc[m][n][i + 2] += bias;
          }
    }
  }
  copy_wait<0>();
  __syncthreads();  // the stages become room for sums

  // Row by row through shared memory, so that a lane holds 8 channels of one pixel: the same ones each time.
  constexpr int kOctets = kWarpN / 8;
  float(&sums)[16][kWarpN + 4] = s.out.sums[warp];
  FloatSum stored_sums[2] = {};
#pragma unroll
  for (int m = 0; m < kRows; m++) {
#pragma unroll
    for (int n = 0; n < kWarpN / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[lane / 4 + i / 2 * 8][n * 8 + lane % 4 * 2 + i % 2] = acc[m][n][i];
    __syncwarp();
    const int y = tile_y + warp_y + m;
#pragma unroll 1
    for (int unit = lane; unit < 16 * kOctets; unit += 32) {
      const int px = unit / kOctets, n = unit % kOctets * 8;
      const int out_x = tile_x + warp_x + px;
      if (y < job.end && out_x < job.w) {
        const Vec16 stored =
            finish_eight<T>(op, job.vector_epilogue, image, y, out_x, n0 + warp_n + n, &sums[px][n]);
        if constexpr (F == Form::joined) {
          if (job.partial) add_to<T>(stored_sums[0], stored, 0), add_to<T>(stored_sums[1], stored, 2);
        }
      }
    }
    __syncwarp();
  }
  if constexpr (F == Form::joined) {
    if (!job.partial) return;
#pragma unroll
    for (int u = 0; u < 2; u++)
#pragma unroll
      for (int mask = kOctets; mask < 32; mask *= 2) {
        stored_sums[u].sum += shuffle_xor(stored_sums[u].sum, mask);
        stored_sums[u].square += shuffle_xor(stored_sums[u].square, mask);
      }
    if (lane < kOctets)
      for (int u = 0; u < 2; u++) s.out.units[warp][lane * 2 + u] = stored_sums[u];
    __syncthreads();
    const int group = int(threadIdx.x), units = job.group_size / kSumUnit, first = group * units;
    if (group * job.group_size >= min(N, op.w.cout - n0)) return;
    GroupSum all{0, 0};
    constexpr int kUnits = kWarpN / kSumUnit,
                  kSharers = kWarps / D::kWarpsN;  // of a warp; of the same channels
    for (int u = first; u < first + units; u++)
      for (int i = 0; i < kSharers; i++) {
        const FloatSum& one = s.out.units[u / kUnits * kSharers + i][u % kUnits];
        all.sum += double(one.sum), all.square += double(one.square);
      }
    job.partial[int64_t(tile) * (op.w.cout / job.group_size) + n0 / job.group_size + group] = all;
  }
}

template <class T, int K, int N, Form F = Form::plain, int Stride = 1>
void launch_mma_n(const Conv2d<Tensor>& op, Stream& stream, Rows rows, GroupSum* partial = nullptr,
                  int group_size = 0) {
  using S = Smem<T, K, N, Stride, F>;
  launch_conv<typename S::Tile, S>(conv2d_mma<T, K, N, Stride, F>, op, kThreads, stream, rows, partial,
                                   group_size);
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

// With a stride, a shortcut or statistics.
template <class T>
void launch_joined(const Conv2d<Tensor>& op, Stream& stream, Rows rows, GroupSum* partial = nullptr,
                   int group_size = 0) {
  (op.stride == 2 ? launch_mma_n<T, 3, 64, Form::joined, 2>
   : op.w.k == 3  ? launch_mma_n<T, 3, 64, Form::joined>
                  : launch_mma_n<T, 1, 64, Form::joined>)(op, stream, rows, partial, group_size);
}

template <class T>
void launch_mma_type(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  if (op.stride == 2 || op.shortcut.present()) return launch_joined<T>(op, stream, rows);
  op.w.k == 3 ? launch_mma_k<T, 3>(op, stream, rows) : launch_mma_k<T, 1>(op, stream, rows);
}

void launch_mma(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  op.x.dtype == DType::f16 ? launch_mma_type<half_t>(op, stream, rows)
                           : launch_mma_type<bf16_t>(op, stream, rows);
}

void launch_mma_f16_sums(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  op.w.cout <= 32 ? launch_mma_n<half_t, 3, 32, Form::f16_sums>(op, stream, rows)
                  : launch_mma_n<half_t, 3, 64, Form::f16_sums>(op, stream, rows);
}

constexpr size_t kMostSmem = sizeof(Smem<half_t, 3, 64, 1, Form::joined>);
static_assert(sizeof(Smem<half_t, 3, 64, 2, Form::joined>) <= kMostSmem);

const char* dtype_declines(const Conv2d<Tensor>& op) {
  if (op.x.dtype == DType::f32) return "needs a 16-bit x";
  if (op.w.dtype != op.x.dtype) return "needs weights of x's dtype";
  return nullptr;
}

const char* mma_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (const char* why = dtype_declines(op)) return why;
  if (op.stride != 1 && (op.stride != 2 || op.w.k != 3)) return "needs stride 1, or 2 with k 3";
  if (op.stride == 1 && op.pad_end) return "needs padding on all sides";
  if (op.shortcut.present()) {
    const auto& [t, w] = op.shortcut;
    if (op.stride != 1 || op.w.k != 3) return "sums a shortcut with k 3 and stride 1";
    if (t.dtype != op.x.dtype || w.dtype != op.x.dtype) return "needs a shortcut of x's dtype";
    if (t.row > kMostRow || reinterpret_cast<uintptr_t>(w.w) % 16)
      return "needs a shortcut of ordinary size and alignment";
  }
  return conv_tile_declines(op, device, kMostSmem);
}

const char* mma_f16_sums_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (!op.w.f16_sums) return "needs weights that allow it";
  if (op.w.k != 3) return "needs k 3";
  if (op.x.dtype != DType::f16) return "needs an f16 x";
  if (const char* why = dtype_declines(op)) return why;
  return ordinary_conv_declines(op, device, kMostSmem);
}

// How many tiles may leave sums in the workspace.
int most_tiles(int groups) { return int(Stream::kWorkspaceBytes / (sizeof(GroupSum) * size_t(groups))); }
int tiles_x(const Conv2d<Tensor>& op) {
  const int w = op.stride == 2 ? Smem<half_t, 3, 64, 2, Form::joined>::kTileW
                               : Smem<half_t, 3, 64, 1, Form::joined>::kTileW;
  return (op.y.w + w - 1) / w;
}

}  // namespace

const Conv2dVariant kConv2dMma = {"mma", mma_declines, launch_mma};
const Conv2dVariant kConv2dMmaF16Sums = {"mma_f16_sums", mma_f16_sums_declines, launch_mma_f16_sums};

bool mma_makes_sums(const Conv2d<Tensor>& op, int groups) {
  const int size = op.w.cout / groups;
  // Only what is stored as whole vectors of 8 channels is summed.
  return size % kSumUnit == 0 && 64 % size == 0 && op.w.cout % 8 == 0 && op.x.n == 1 &&
         vector_epilogue(op, op.x.dtype) && tiles_x(op) <= most_tiles(groups);
}

void launch_mma_with_sums(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream,
                          Rows rows) {
  auto* partial = static_cast<GroupSum*>(stream.workspace());
  const int tile_h = op.stride == 2 ? Smem<half_t, 3, 64, 2, Form::joined>::kTileH
                                    : Smem<half_t, 3, 64, 1, Form::joined>::kTileH;
  const int columns = tiles_x(op), group_size = op.w.cout / stats.groups;
  const int step = most_tiles(stats.groups) / columns * tile_h;  // rows whose sums the workspace holds
  for (int begin = rows.begin; begin < rows.end; begin += step) {
    const Rows some{begin, min(rows.end, begin + step), rows.upward};
    (op.x.dtype == DType::f16 ? launch_joined<half_t> : launch_joined<bf16_t>)(op, stream, some, partial,
                                                                               group_size);
    const int tiles = columns * ((some.end - some.begin + tile_h - 1) / tile_h);
    add_up_group_sums(partial, tiles, stats, begin > 0, stream);
  }
}

}  // namespace ups::cuda
