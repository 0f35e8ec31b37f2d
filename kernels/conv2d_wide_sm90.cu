// Conv2d (kernels/ops.h) for Hopper: 1x1 and 3x3, stride 1 or 2, of many channels, weights streamed.
//
//   A block owns N = 128, 96 or 64 output channels and walks over tiles of 4 rows x 64 pixels. Four warps
//   load by cp.async: per 64 input channels the tile with its halo, once for all taps, and per tap N x 64
//   weights, 16 KB, into a ring. Two warpgroups multiply, two rows of 64 pixels each, m64nNk16: a tap's shift
//   is a number of whole pixels, to which the hardware applies the swizzle by address. Per tap the tensor
//   cores work 8 N cycles on 128 N bytes of weights and, 3x3, a ninth of 50 KB of image.
//
//   Stride 2: even columns of a row lie before the odd ones, so that a tap's pixels are neighbours again;
//   even rows of the image, which the outer rows of taps read, come in one step, odd rows in the next.
//
//   A 1x1 shortcut is further input channels with a single tap.
//
//   Channels need not fill a block: copies put zeros behind the last input channel, of which only the steps
//   of 32 that exist are multiplied; outputs behind the last are not stored.
//
//   The epilogue may leave the sums by group of what it stores (kernels/device/group_sums.cuh): over its
//   pixels by shuffles, over warps in order, over the tiles of a block in double.
#include "kernels/conv2d_variants.h"
#include "kernels/device/copy.cuh"
#include "kernels/device/finish_wide.cuh"
#include "kernels/device/group_sums.cuh"
#include "kernels/device/wgmma.cuh"

namespace ups::cuda {
namespace {

constexpr int kRows = 4, kColumns = 64;                // of a tile
constexpr int kChannels = 64, kUnits = kChannels / 8;  // a pixel, or an output, is 128 bytes
constexpr int kConsumers = 256, kProducers = 128, kThreads = kConsumers + kProducers;
constexpr int kMostImages = 3, kMostStages = 8;
constexpr int kMostOutputs = 128, kSumUnit = 4;  // channels whose sums are kept together
constexpr int kSumUnits = kMostOutputs / kSumUnit;
constexpr int kLeastInputs = 32, kLeastOutputs = 33;  // fewer are mostly padding: mma has narrower blocks

// The part of the image that a tile reads at a time: all its rows, or with stride 2 those of one parity.
template <int K, int Stride>
struct Halo {
  static constexpr int kPhases = Stride;
  static constexpr int kW = (kColumns - 1) * Stride + K;
  static constexpr int kPixels = (Stride == 1 ? kRows + K - 1 : kRows + 1) * kW;
  static constexpr int kBytes = (kPixels * 128 + 1023) / 1024 * 1024;
  static constexpr int kImages = K == 1 ? 3 : 2;  // in flight
  static_assert(Stride == 1 || (Stride == 2 && K == 3));

  static __device__ __forceinline__ int pixels(int phase) {
    return kPixels - (Stride == 2 && phase ? kW : 0);
  }
  static __device__ __forceinline__ int taps(int phase) { return Stride == 1 ? K * K : phase ? K : 2 * K; }
  // The i-th tap of a phase.
  static __device__ __forceinline__ int tap(int phase, int i) {
    return Stride == 1 ? i : phase || i >= K ? K + i : i;
  }
  // Which column of the image lies at place `at` of a row.
  static __device__ __forceinline__ int column(int at) {
    return Stride == 1 ? at : at <= kColumns ? 2 * at : 2 * (at - kColumns) - 1;
  }
  // Where a tap of the tile's first output lies.
  static __device__ __forceinline__ int place(int tap) {
    const int ky = tap / K, kx = tap % K;
    return Stride == 1 ? ky * kW + kx : ky / 2 * kW + (kx == 1 ? kColumns + 1 : kx / 2);
  }
};

// Output rows [begin, end) of w pixels.
struct Job {
  int begin, end, w;
  int tiles_x, tiles, stages;
  bool upward;
};

struct Smem {
  alignas(8) uint64_t image_full[kMostImages], image_empty[kMostImages];
  uint64_t weights_full[kMostStages], weights_empty[kMostStages];
  FloatSum units[2][kConsumers / 32][kSumUnits];  // of a tile, by warp; tiles alternate
  GroupSum total[kSumUnits];
  // then images [pixel][64 channels], then weights [output][64 channels], both 128-byte swizzled
};
constexpr int kSmemHead = 5 * 1024;
static_assert(sizeof(Smem) <= kSmemHead);

// 64 input channels of the image, of all its rows or with stride 2 of those of one parity; or, behind them,
// of the shortcut's, which have one tap.
template <class H>
struct Part {
  bool beside;
  int chunk, phase, taps;
  int left;  // channels from there on

  static __device__ __forceinline__ int chunks(int channels) {
    return (channels + kChannels - 1) / kChannels;
  }
  static __device__ __forceinline__ int count(const Conv2d<Tensor>& op) {
    return chunks(op.w.cin) * H::kPhases + chunks(op.shortcut.w.cin);
  }
  __device__ __forceinline__ Part(const Conv2d<Tensor>& op, int i) {
    const int own = chunks(op.w.cin) * H::kPhases;
    beside = i >= own;
    chunk = beside ? i - own : i / H::kPhases, phase = beside ? 0 : i % H::kPhases;
    taps = beside ? 1 : H::taps(phase);
    left = (beside ? op.shortcut.w.cin : op.w.cin) - chunk * kChannels;
  }
};

struct Tile {
  int y, x;
};
__device__ __forceinline__ Tile tile_at(const Job& job, int i) {
  if (job.upward) i = job.tiles - 1 - i;
  return {job.begin + i / job.tiles_x * kRows, i % job.tiles_x * kColumns};
}

// partial: null, or [block along x][group]; group_size channels each, of whole blocks of 128.
template <class T, int K, int Stride, int N, bool Gelu>
__global__ void __launch_bounds__(kThreads, 1)
    conv2d_wide(Conv2d<Tensor> op, Job job, GroupSum* partial, int group_size) {
  using H = Halo<K, Stride>;
  constexpr int kWeightBytes = N * 128;
  Smem& s = shared<Smem>();
  char* const images = reinterpret_cast<char*>(&s) + kSmemHead;
  char* const weights = images + H::kImages * H::kBytes;
  const int tid = int(threadIdx.x), n0 = int(blockIdx.y) * N;
  const int parts = Part<H>::count(op);

  if (tid == 0) {
    for (int i = 0; i < H::kImages; i++) {
      mbarrier_init(&s.image_full[i], kProducers);
      mbarrier_init(&s.image_empty[i], kConsumers / 32);
    }
    for (int i = 0; i < job.stages; i++) {
      mbarrier_init(&s.weights_full[i], kProducers);
      mbarrier_init(&s.weights_empty[i], kConsumers / 32);
    }
    mbarrier_init_fence();
  }
  __syncthreads();
  let_next_start();

  if (tid >= kConsumers) {  // load
    registers_release<64>();
    wait_for_previous();
    const int t = tid - kConsumers, unit = t % kUnits, first = t / kUnits;
    constexpr int kStep = kProducers / kUnits;
    // Rows below those that the job needs may not exist: they count as padding.
    const int pad = op.pad(), in_h = min(op.x.h * op.up, (job.end - 1) * Stride + K - pad),
              in_w = op.x.w * op.up;
    const int cout_pad = (op.w.cout + 15) / 16 * 16, rows = min(N, cout_pad - n0);
    int image = 0, slot = 0;
    unsigned image_parity = 1, parity = 1;  // the first round finds everything empty
    for (int i = int(blockIdx.x); i < job.tiles; i += int(gridDim.x)) {
      const Tile tile = tile_at(job, i);
      for (int part = 0; part < parts; part++) {
        const Part<H> p(op, part);
        const Tensor& from = p.beside ? op.shortcut.t : op.x;
        const T* const x = static_cast<const T*>(from.data) + p.chunk * kChannels + unit * 8;
        const int shift = p.beside ? 0 : op.up - 1, left = p.left;
        // Units behind the last step of 32 channels are never read; before it the rest becomes zero.
        const bool multiplied = unit / 4 * 32 < left, exists = unit / 2 * 16 < left;
        const int bytes = max(0, min(16, (left - unit * 8) * 2));
        mbarrier_wait(&s.image_empty[image], image_parity);
        char* const to = images + image * H::kBytes;
        if (multiplied) {
#pragma unroll 2
          for (int i = first; i < H::pixels(p.phase); i += kStep) {
            const int row = i / H::kW, at = i % H::kW;
            if (p.beside && (row >= kRows || at >= kColumns)) continue;
            const int uy = p.beside ? tile.y + row : (tile.y + row) * Stride + p.phase - pad,
                      ux = p.beside ? tile.x + at : tile.x * Stride + H::column(at) - pad;
            const bool inside = uy >= 0 && ux >= 0 && uy < (p.beside ? job.end : in_h) &&
                                ux < (p.beside ? job.w : in_w) && bytes > 0;
            copy_async<16>(to + i * 128 + ((unit ^ (i & 7)) * 16),
                           inside ? x + (uy >> shift) * from.row + (ux >> shift) * from.px : from.data,
                           inside ? bytes : 0);
          }
        }
        copy_arrive(&s.image_full[image]);
        if (++image == H::kImages) image = 0, image_parity ^= 1;
        const T* const w = static_cast<const T*>(p.beside ? op.shortcut.w.w : op.w.w);
        const int all_taps = p.beside ? 1 : K * K;
        for (int j = 0; j < p.taps; j++) {  // from [cin / 16][tap][cout_pad][16] (kernels/pack.h)
          mbarrier_wait(&s.weights_empty[slot], parity);
          char* const stage = weights + slot * kWeightBytes;
          const T* const tap =
              w + ((int64_t(p.chunk * 4 + unit / 2) * all_taps + H::tap(p.phase, j)) * cout_pad + n0) * 16 +
              unit % 2 * 8;
          if (multiplied) {
#pragma unroll
            for (int co = first; co < N; co += kStep)
              copy_async<16>(stage + co * 128 + ((unit ^ (co & 7)) * 16),
                             exists && co < rows ? tap + co * 16 : w, exists && co < rows ? 16 : 0);
          }
          copy_arrive(&s.weights_full[slot]);
          if (++slot == job.stages) slot = 0, parity ^= 1;
        }
      }
    }
  } else {  // multiply
    registers_take<224>();
    wait_for_previous();
    const int group = tid / 128, lane = tid % 32;  // warpgroup: the upper or the lower two rows
    float acc[2][N / 2];
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
      for (int i = 0; i < N / 2; i++) acc[m][i] = 0;
    double sum = 0, square = 0;  // of unit tid, tid < kSumUnits
    int image = 0, slot = 0, round = 0;
    unsigned image_parity = 0, parity = 0;
    for (int i = int(blockIdx.x); i < job.tiles; i += int(gridDim.x)) {
      int done = -1,
          done_image = -1;  // of the step before: its slot, and the image if it was the last to use it
      for (int part = 0; part < parts; part++) {
        const Part<H> p(op, part);
        const int steps = min(kChannels / 32, (p.left + 31) / 32);  // of 32 channels, that exist
        mbarrier_wait(&s.image_full[image], image_parity);
        for (int j = 0; j < p.taps; j++) {
          mbarrier_wait(&s.weights_full[slot], parity);
          fence_async_proxy();
          uint64_t a = matrix_descriptor(images + image * H::kBytes +
                                         (group * 2 * H::kW + H::place(H::tap(p.phase, j))) * 128),
                   b = matrix_descriptor(weights + slot * kWeightBytes);
          int onto = part + j > 0, step = 0;
          do {
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < 2; k++)
#pragma unroll
              for (int m = 0; m < 2; m++)
                wgmma_m64k16<T, N>(acc[m], a + uint64_t(m * H::kW * 128 + k * 32) / 16,
                                   b + uint64_t(k * 32) / 16, k > 0 ? 1 : onto);
            a += 64 / 16, b += 64 / 16, onto = 1;
          } while (++step < steps);
          wgmma_commit();
          wgmma_wait<1>();
          if (lane == 0 && done >= 0) {
            mbarrier_arrive(&s.weights_empty[done]);
            if (done_image >= 0) mbarrier_arrive(&s.image_empty[done_image]);
          }
          done = slot, done_image = j == p.taps - 1 ? image : -1;
          if (++slot == job.stages) slot = 0, parity ^= 1;
        }
        if (++image == H::kImages) image = 0, image_parity ^= 1;
      }
      wgmma_wait<0>();
      if (lane == 0) {
        mbarrier_arrive(&s.weights_empty[done]);
        mbarrier_arrive(&s.image_empty[done_image]);
      }
      const Tile tile = tile_at(job, i);
      FloatSum* const units = N == kMostOutputs && partial ? s.units[round][tid / 32] : nullptr;
      finish_wide<T, N, Gelu>(op, tile.y + group * 2, job.end, tile.x, job.w, n0, acc, units);
      if (units) {
        named_barrier(1, kConsumers);
        if (tid < kSumUnits)
          for (int warp = 0; warp < kConsumers / 32; warp++) {
            sum += double(s.units[round][warp][tid].sum);
            square += double(s.units[round][warp][tid].square);
          }
        round ^= 1;  // the next tile's sums go where nobody reads any more
      }
    }
    if (N == kMostOutputs && partial && tid < 32) {
      s.total[tid] = {sum, square};
      __syncwarp();
      if (tid < N / group_size) {
        GroupSum all{0, 0};
        for (int u = 0; u < group_size / kSumUnit; u++) {
          const GroupSum& one = s.total[tid * (group_size / kSumUnit) + u];
          all.sum += one.sum, all.square += one.square;
        }
        partial[int64_t(blockIdx.x) * (op.w.cout / group_size) + n0 / group_size + tid] = all;
      }
    }
  }
}

template <int K, int Stride, int N>
int stages_for(int smem_bytes) {
  using H = Halo<K, Stride>;
  return min(kMostStages, (smem_bytes - kSmemHead - H::kImages * H::kBytes) / (N * 128));
}

// Outputs of a block, so that few of the products are thrown away.
int outputs_per_block(const Conv2d<Tensor>& op) {
  int best = kMostOutputs;
  if (op.stride > 1) return best;
  const auto made = [&](int n) { return (op.w.cout + n - 1) / n * n; };
  for (int n : {96, 64})
    if (made(n) < made(best)) best = n;
  return best;
}

template <class T, int K, int Stride, int N, bool Gelu>
void launch_form(const Conv2d<Tensor>& op, const GroupStats<Tensor>* stats, Stream& stream, Rows rows) {
  using H = Halo<K, Stride>;
  const DeviceInfo& device = stream.device();
  Job job{rows.begin, rows.end,
          op.y.w,     (op.y.w + kColumns - 1) / kColumns,
          0,          stages_for<K, Stride, N>(device.smem_bytes),
          rows.upward};
  job.tiles = job.tiles_x * ((job.end - job.begin + kRows - 1) / kRows);
  const int blocks_y = (op.w.cout + N - 1) / N, blocks = max(1, min(job.tiles, device.num_sms / blocks_y));
  auto* partial = stats ? static_cast<GroupSum*>(stream.workspace()) : nullptr;
  launch(conv2d_wide<T, K, Stride, N, Gelu>,
         {.grid = {unsigned(blocks), unsigned(blocks_y)},
          .block = kThreads,
          .smem_bytes = size_t(kSmemHead + H::kImages * H::kBytes + job.stages * N * 128),
          .stream = &stream,
          .early = true},
         op, job, partial, stats ? op.w.cout / stats->groups : kMostOutputs);
  if (stats) add_up_group_sums(partial, blocks, *stats, rows.begin > 0, stream);
}

template <class T, int K, int N>
void launch_n(const Conv2d<Tensor>& op, const GroupStats<Tensor>* stats, Stream& stream, Rows rows) {
  if constexpr (K == 3)
    if (op.act == Act::gelu) return launch_form<T, K, 1, N, true>(op, stats, stream, rows);
  launch_form<T, K, 1, N, false>(op, stats, stream, rows);
}

template <class T, int K>
void launch_k(const Conv2d<Tensor>& op, const GroupStats<Tensor>* stats, Stream& stream, Rows rows) {
  if constexpr (K == 3)
    if (op.stride == 2) return launch_form<T, K, 2, kMostOutputs, false>(op, stats, stream, rows);
  switch (outputs_per_block(op)) {
    case 64:
      return launch_n<T, K, 64>(op, stats, stream, rows);
    case 96:
      return launch_n<T, K, 96>(op, stats, stream, rows);
    default:
      return launch_n<T, K, kMostOutputs>(op, stats, stream, rows);
  }
}

void launch_any(const Conv2d<Tensor>& op, const GroupStats<Tensor>* stats, Stream& stream, Rows rows) {
  if (op.x.dtype == DType::f16)
    op.w.k == 3 ? launch_k<half_t, 3>(op, stats, stream, rows) : launch_k<half_t, 1>(op, stats, stream, rows);
  else
    op.w.k == 3 ? launch_k<bf16_t, 3>(op, stats, stream, rows) : launch_k<bf16_t, 1>(op, stats, stream, rows);
}

void launch_wide(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  launch_any(op, nullptr, stream, rows);
}

// Whether pixels begin on multiples of 16 bytes.
bool in_units(const Tensor& t) {
  return t.px % 8 == 0 && t.row % 8 == 0 && reinterpret_cast<uintptr_t>(t.data) % 16 == 0;
}

const char* wide_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (device.sm != 90) return "needs sm_90";
  if ((op.w.k != 3 && op.w.k != 1) || op.up > 2) return "needs k 1 or 3, up 1 or 2";
  if (op.stride != 1 && (op.stride != 2 || op.w.k != 3 || op.up != 1))
    return "needs stride 1, or 2 with k 3 and up 1";
  if (op.x.dtype == DType::f32 || op.w.dtype != op.x.dtype)
    return "needs a 16-bit x and weights of its dtype";
  if (op.w.cin < kLeastInputs || op.w.cout < kLeastOutputs)
    return "needs at least 32 channels to at least 33";
  if (op.w.cout % kMostOutputs && !kConv2dWgmma.declines(op, device))
    return "leaves what is not a multiple of 128 channels to wgmma, which was measured";
  if (op.x.n != 1) return "needs one image";
  if (const Tensor& t = op.shortcut.t;
      op.shortcut.present() && (t.dtype != op.x.dtype || op.shortcut.w.dtype != op.x.dtype || !in_units(t) ||
                                reinterpret_cast<uintptr_t>(op.shortcut.w.w) % 16))
    return "needs a shortcut of x's dtype on multiples of 16 bytes";
  if (op.act == Act::prelu || op.act == Act::silu) return "has no PReLU and SiLU";
  if (op.act == Act::gelu && (op.w.k != 3 || op.stride != 1)) return "has GELU for k 3 and stride 1 only";
  if (!in_units(op.x)) return "needs pixels on multiples of 16 bytes";
  if (!vector_epilogue(op, op.x.dtype)) return "needs y and addends of x's dtype on multiples of 16 bytes";
  if (reinterpret_cast<uintptr_t>(op.w.w) % 16) return "needs weights on a multiple of 16 bytes";
  if (stages_for<3, 2, kMostOutputs>(device.smem_bytes) < 2)
    return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const Conv2dVariant kConv2dWide = {"wgmma-wide", wide_declines, launch_wide};

bool wide_sums_groups(const Conv2d<Tensor>& op, int groups) {
  const int channels = op.w.cout / groups;
  return op.w.cout % kMostOutputs == 0 && channels % kSumUnit == 0 && kMostOutputs % channels == 0;
}

void launch_wide_with_sums(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream,
                           Rows rows) {
  launch_any(op, &stats, stream, rows);
}

}  // namespace ups::cuda
