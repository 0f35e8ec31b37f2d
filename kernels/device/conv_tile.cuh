// What a block of a convolution (k 1 or 3) keeps in shared memory, and how it gets there: the halo tile of
// its input pixels, loaded once for all taps, and the weights of all taps, 32 bytes of channels at a time (16
// halves or 8 floats), by cp.async, two steps in flight; zero fill makes the padding.
//
// Rows of shared memory are 32 bytes; their two halves ("units") are swapped by bit 2 of the row number, so
// that any 8 consecutive rows lie in different banks. For stride 2 a row of pixels keeps its even columns
// before its odd ones: what a tap reads for neighbouring outputs are neighbours again.
#pragma once

#include "kernels/device/copy.cuh"
#include "kernels/device/epilogue.cuh"
#include "kernels/device/group_sums.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {

// The output pixels of a convolution that a launch makes: rows [begin, end) before the shuffle, all columns.
struct ConvJob {
  int begin, end, w;
  int tiles_x;
  bool vector_x, vector_epilogue, upward;
  // Statistics of what is stored: [tile][group], of so many channels each. Null: none.
  GroupSum* partial = nullptr;
  int group_size = 0;
};

// A block makes TileH x TileW output pixels x N channels.
template <class T, int K, int N, int TileH, int TileW, int Stride = 1>
struct ConvTile {
  static_assert(Stride == 1 || Stride == 2);
  using Element = T;
  static constexpr int kK = K, kN = N, kTaps = K * K, kTileH = TileH, kTileW = TileW, kStride = Stride;
  static constexpr int kHaloH = (TileH - 1) * Stride + K, kHaloW = (TileW - 1) * Stride + K;
  static constexpr int kEven = (kHaloW + 1) / 2;                            // even columns of a row, stride 2
  static constexpr int kUnit = 16 / int(sizeof(T)), kChannels = 2 * kUnit;  // per step
  struct Stage {
    alignas(16) T x[kHaloH * kHaloW * kChannels];  // [y, x, channel]
    alignas(16) T w[kTaps * N * kChannels];        // [tap, n, channel]
  };
  static constexpr int kStages = 2;

  // Element offset of unit `unit` of a row.
  static __device__ __forceinline__ int at(int row, int unit) {
    return row * kChannels + ((unit ^ (row >> 2 & 1)) * kUnit);
  }
  // Which place of a row of the halo output column 0 reads for column kx of taps; the next column is beside
  // it.
  static __device__ __forceinline__ constexpr int column(int kx) {
    return Stride == 1 ? kx : kx % 2 * kEven + kx / 2;
  }
  // The column of the halo in place i of a row.
  static __device__ __forceinline__ int column_at(int i) {
    return Stride == 1 ? i : i < kEven ? 2 * i : 2 * (i - kEven) + 1;
  }
  static __device__ __forceinline__ int steps(int cin) { return (cin + kChannels - 1) / kChannels; }
};

// One thread's share of the loads of a block whose first output pixel is (tile_y, tile_x) and first channel
// n0.
template <class Tile, int Threads>
class ConvTileLoader {
 public:
  using T = typename Tile::Element;

  __device__ __forceinline__ ConvTileLoader(const Conv2d<Tensor>& op, const ConvJob& job, int image,
                                            int tile_y, int tile_x, int n0)
      : ConvTileLoader(op.x, op.w, op.up, Tile::kStride == 1 ? Tile::kK / 2 : op.pad(), job, image, tile_y,
                       tile_x, n0) {}

  // x, w and job are kernel parameters.
  __device__ __forceinline__ ConvTileLoader(const Tensor& x, const Weight& w, int up, int pad,
                                            const ConvJob& job, int image, int tile_y, int tile_x, int n0)
      : w_(w), job_(job), n0_(n0) {
    const int tid = int(threadIdx.x);
    // Rows below those that the job needs may not exist: they count as padding.
    const int in_h = min(x.h * up, job.end * Tile::kStride + (Tile::kK - Tile::kStride - pad)),
              in_w = x.w * up;
    const int y0 = tile_y * Tile::kStride, x0 = tile_x * Tile::kStride, first_row = max(0, y0 - pad) / up;
    x_ = static_cast<const T*>(x.data) + image * x.image + first_row * x.row;
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const int p = (tid + i * Threads) / 2;
      const int uy = y0 + p / Tile::kHaloW - pad, ux = x0 + Tile::column_at(p % Tile::kHaloW) - pad;
      const bool inside = uy >= 0 && ux >= 0 && uy < in_h && ux < in_w;
      from_[i] = inside ? (uy / up - first_row) * int(x.row) + ux / up * int(x.px) : -1;
    }
  }

  // Starts the copies of one step; the caller commits them.
  __device__ __forceinline__ void load(int step, typename Tile::Stage& stage) const {
    constexpr int kUnit = Tile::kUnit;
    const int tid = int(threadIdx.x), cout_pad = (w_.cout + 15) / 16 * 16;
    const T* w = static_cast<const T*>(w_.w);
    const int c = step * Tile::kChannels + tid % 2 * kUnit;
    const int channels = max(0, min(kUnit, w_.cin - c));
#pragma unroll
    for (int i = 0; i < kRounds; i++) {
      const int unit = tid + i * Threads;
      if (unit >= kUnits) continue;
      T* to = stage.x + Tile::at(unit / 2, unit % 2);
      const int count = from_[i] >= 0 ? channels : 0;
      if (job_.vector_x)
        copy_async<16>(to, count ? x_ + from_[i] + c : x_, count * int(sizeof(T)));
      else
        load_single(to, x_ + from_[i] + c, count);
    }
    // Weights lie in blocks of 16 input channels (kernels/pack.h): one step of halves, two of floats.
    const int first = step * Tile::kChannels;
    const T* step_w = w + int64_t(first / 16) * Tile::kTaps * cout_pad * 16 + first % 16;
#pragma unroll 1  // unrolled, its addresses do not fit beside the sums
    for (int unit = tid; unit < Tile::kTaps * Tile::kN * 2; unit += Threads) {
      const int row = unit / 2, tap = row / Tile::kN, n = n0_ + row % Tile::kN;
      const bool inside = n < cout_pad;
      copy_async<16>(stage.w + Tile::at(row, unit % 2),
                     inside ? step_w + (tap * cout_pad + n) * 16 + unit % 2 * kUnit : w, inside ? 16 : 0);
    }
  }

 private:
  static constexpr int kUnits = Tile::kHaloH * Tile::kHaloW * 2, kRounds = (kUnits + Threads - 1) / Threads;

  // One unit of an x that does not allow 16-byte accesses.
  static __device__ __forceinline__ void load_single(T* to, const T* from, int count) {
    if constexpr (sizeof(T) == 2) {
      Vec16 v{};
#pragma unroll
      for (int e = 0; e < 8; e++)
        if (e < count) v.v[e / 2] |= uint32_t(from[e].bits) << (e % 2 * 16);
      *reinterpret_cast<Vec16*>(to) = v;
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++) to[e] = e < count ? from[e] : 0.0f;
    }
  }

  const Weight& w_;  // kernel parameters: they cost no registers
  const ConvJob& job_;
  int n0_;
  const T* x_;
  // Which unit of the halo tile this thread loads in round i: offset behind the first row of the halo, or -1
  // for padding.
  int from_[kRounds];
};

// Whether pixels allow 16-byte accesses to units of so many elements.
inline bool in_units(const Tensor& x, int unit) {
  return x.px % unit == 0 && x.row % unit == 0 && (x.n == 1 || x.image % unit == 0) &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

// Runs a kernel whose blocks make Tile's output pixels and channels. T is x's type, and y's where the
// epilogue moves vectors. With `partial` it leaves sums of groups of so many channels there.
template <class Tile, class Smem>
void launch_conv(void (*kernel)(Conv2d<Tensor>, ConvJob), const Conv2d<Tensor>& op, unsigned threads,
                 Stream& stream, Rows rows, GroupSum* partial = nullptr, int group_size = 0) {
  ConvJob job{rows.begin, rows.end, op.y.w / op.shuffle, 0, false, false, rows.upward, partial, group_size};
  job.tiles_x = (job.w + Tile::kTileW - 1) / Tile::kTileW;
  job.vector_x =
      in_units(op.x, Tile::kUnit) && (!op.shortcut.present() || in_units(op.shortcut.t, Tile::kUnit));
  job.vector_epilogue = vector_epilogue(op, dtype_of<typename Tile::Element>());
  const int tiles_y = (job.end - job.begin + Tile::kTileH - 1) / Tile::kTileH;
  launch(kernel,
         {.grid = {unsigned(job.tiles_x) * unsigned(tiles_y), unsigned((op.w.cout + Tile::kN - 1) / Tile::kN),
                   unsigned(op.x.n)},
          .block = threads,
          .smem_bytes = sizeof(Smem),
          .stream = &stream},
         op, job);
}

// form.operator()<K, N>() with the operator's K, 1 or 3, and as many channels N to a block as suit it.
template <class Form>
void for_conv_form(const Conv2d<Tensor>& op, const Form& form) {
  if (op.w.k == 3)
    op.w.cout <= 32 ? form.template operator()<3, 32>() : form.template operator()<3, 64>();
  else
    op.w.cout <= 32 ? form.template operator()<1, 32>() : form.template operator()<1, 64>();
}

constexpr int64_t kMostRow = (1 << 30) / 18;  // elements

// Why a kernel whose blocks need smem_bytes at most cannot run op; null if it can.
inline const char* conv_tile_declines(const Conv2d<Tensor>& op, const DeviceInfo& device, size_t smem_bytes) {
  if (device.sm < 80) return "needs sm_80 or newer";
  if (device.smem_bytes < int(smem_bytes)) return "needs more shared memory than the device has";
  if (op.w.k != 1 && op.w.k != 3) return "needs k 1 or 3";
  if (op.x.row > kMostRow) return "needs rows of x of less than 59 million elements";
  if (reinterpret_cast<uintptr_t>(op.w.w) % 16) return "needs weights on a multiple of 16 bytes";
  return nullptr;
}

// The same for kernels that know the ordinary convolution only.
inline const char* ordinary_conv_declines(const Conv2d<Tensor>& op, const DeviceInfo& device,
                                          size_t smem_bytes) {
  if (op.stride != 1) return "needs stride 1";
  if (op.pad_end) return "needs padding on all sides";
  if (op.shortcut.present()) return "sums no shortcut";
  return conv_tile_declines(op, device, smem_bytes);
}

}  // namespace ups::cuda
