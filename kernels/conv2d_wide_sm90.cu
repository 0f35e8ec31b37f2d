// Conv2d (kernels/ops.h) for Hopper: 1x1 and 3x3 with 64k input and 128k output channels, weights streamed.
//
//   A block owns 128 output channels and walks over tiles of 4 rows x 64 pixels. Four warps load by cp.async:
//   per 64 input channels the tile with its halo, once for all taps, and per tap 128 x 64 weights, 16 KB,
//   into a ring. Two warpgroups multiply, two rows of 64 pixels each, m64n128k16: a tap's shift is a number
//   of whole pixels, to which the hardware applies the swizzle by address. Per tap the tensor cores work 1024
//   cycles on 16 KB of weights and, 3x3, a ninth of 50 KB of image. The epilogue may leave the sums by group
//   of what it stores (kernels/device/group_sums.cuh): over its pixels by shuffles, over warps in order, over
//   the tiles of a block in double.
#include "kernels/conv2d_variants.h"
#include "kernels/device/copy.cuh"
#include "kernels/device/epilogue.cuh"
#include "kernels/device/group_sums.cuh"
#include "kernels/device/quad.cuh"
#include "kernels/device/wgmma.cuh"

namespace ups::cuda {
namespace {

constexpr int kRows = 4, kColumns = 64, kOutputs = 128;  // of a tile
constexpr int kChannels = 64, kUnits = kChannels / 8;    // a pixel, or an output, is 128 bytes
constexpr int kConsumers = 256, kProducers = 128, kThreads = kConsumers + kProducers;
constexpr int kWeightBytes = kOutputs * 128;
constexpr int kMostImages = 3, kMostStages = 8;
constexpr int kSumUnit = 4, kSumUnits = kOutputs / kSumUnit;  // channels whose sums are kept together

template <int K>
struct Halo {
  static constexpr int kW = kColumns + K - 1, kPixels = (kRows + K - 1) * kW;
  static constexpr int kBytes = (kPixels * 128 + 1023) / 1024 * 1024;
  static constexpr int kImages = K == 1 ? 3 : 2;  // in flight
};

// Output rows [begin, end) of w pixels.
struct Job {
  int begin, end, w;
  int tiles_x, tiles, stages;
  bool upward;
};

struct FloatSum {
  float sum, square;
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

struct Tile {
  int y, x;
};
__device__ __forceinline__ Tile tile_at(const Job& job, int i) {
  if (job.upward) i = job.tiles - 1 - i;
  return {job.begin + i / job.tiles_x * kRows, i % job.tiles_x * kColumns};
}

// Stores 64 pixels x 128 channels for each of two rows, and sums up what it stores.
template <class T>
__device__ __forceinline__ void finish(const Conv2d<Tensor>& op, const Job& job, Tile tile, int n0,
                                       const float (&acc)[2][kOutputs / 2], FloatSum* units) {
  const int lane = lane_index(), quad = lane % 4, warp = warp_index();
  const float slope = op.act == Act::lrelu ? op.slope : op.act == Act::relu ? 0.0f : 1.0f;
#pragma unroll
  for (int slice = 0; slice < kOutputs / 32; slice++) {
    const int c = n0 + slice * 32;
    FloatSum sums[4] = {};
    float bias[8];
#pragma unroll
    for (int i = 0; i < 8; i++) bias[i] = op.w.bias ? op.w.bias[c + i / 2 * 8 + quad * 2 + i % 2] : 0.0f;
#pragma unroll
    for (int m = 0; m < 2; m++) {
      const int y = tile.y + warp / 4 * 2 + m;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int x = tile.x + warp % 4 * 16 + lane / 4 + half * 8;
        const bool inside = y < job.end && x < job.w;
        uint32_t words[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          float v[2];
#pragma unroll
          for (int i = 0; i < 2; i++) {
            v[i] = acc[m][(slice * 4 + j) * 4 + half * 2 + i] + bias[j * 2 + i];
            v[i] = (v[i] > 0 ? v[i] : slope * v[i]) * op.scale;
          }
#pragma unroll
          for (int a = 0; a < 2; a++) {
            const Addend<Tensor>& add = a ? op.add2 : op.add;
            if (!add.t.data || !inside) continue;
            const uint32_t raw = *reinterpret_cast<const uint32_t*>(
                static_cast<const T*>(add.t.data) + y * add.t.row + x * add.t.px + c + j * 8 + quad * 2);
            v[0] += add.scale * to_float(T{uint16_t(raw)});
            v[1] += add.scale * to_float(T{uint16_t(raw >> 16)});
          }
          words[j] = pack2<T>(v[0], v[1]);
          if (units && inside) {
            const float lo = to_float(T{uint16_t(words[j])}), hi = to_float(T{uint16_t(words[j] >> 16)});
            sums[j].sum += lo + hi;
            sums[j].square += lo * lo + hi * hi;
          }
        }
        const Vec16 eight = transpose_quad(words);
        if (inside)
          *reinterpret_cast<Vec16*>(static_cast<T*>(op.y.data) + y * op.y.row + x * op.y.px + c + quad * 8) =
              eight;
      }
    }
    if (!units) continue;
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int mask : {1, 4, 8, 16}) {
        sums[j].sum += shuffle_xor(sums[j].sum, mask);
        sums[j].square += shuffle_xor(sums[j].square, mask);
      }
      if (lane == 0 || lane == 2) units[slice * 8 + j * 2 + lane / 2] = sums[j];
    }
  }
}

// partial: null, or [block along x][group]; group_size channels each.
template <class T, int K>
__global__ void __launch_bounds__(kThreads, 1)
    conv2d_wide(Conv2d<Tensor> op, Job job, GroupSum* partial, int group_size) {
  using H = Halo<K>;
  Smem& s = shared<Smem>();
  char* const images = reinterpret_cast<char*>(&s) + kSmemHead;
  char* const weights = images + H::kImages * H::kBytes;
  const int tid = int(threadIdx.x), n0 = int(blockIdx.y) * kOutputs;
  const int chunks = op.w.cin / kChannels;

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
    const int in_h = min(op.x.h * op.up, job.end + K / 2), in_w = op.x.w * op.up, shift = op.up - 1;
    const int cout_pad = (op.w.cout + 15) / 16 * 16;
    const T* const x = static_cast<const T*>(op.x.data) + unit * 8;
    const T* const w = static_cast<const T*>(op.w.w);
    int image = 0, slot = 0;
    unsigned image_parity = 1, parity = 1;  // the first round finds everything empty
    for (int i = int(blockIdx.x); i < job.tiles; i += int(gridDim.x)) {
      const Tile tile = tile_at(job, i);
      for (int chunk = 0; chunk < chunks; chunk++) {
        mbarrier_wait(&s.image_empty[image], image_parity);
        char* const to = images + image * H::kBytes;
#pragma unroll 2
        for (int p = first; p < H::kPixels; p += kStep) {
          const int uy = tile.y + p / H::kW - K / 2, ux = tile.x + p % H::kW - K / 2;
          const bool inside = uy >= 0 && ux >= 0 && uy < in_h && ux < in_w;
          copy_async<16>(
              to + p * 128 + ((unit ^ (p & 7)) * 16),
              inside ? x + (uy >> shift) * op.x.row + (ux >> shift) * op.x.px + chunk * kChannels : x,
              inside ? 16 : 0);
        }
        copy_arrive(&s.image_full[image]);
        if (++image == H::kImages) image = 0, image_parity ^= 1;
        for (int tap = 0; tap < K * K; tap++) {  // from [cin / 16][tap][cout_pad][16] (kernels/pack.h)
          mbarrier_wait(&s.weights_empty[slot], parity);
          char* const stage = weights + slot * kWeightBytes;
          const T* const from =
              w + ((int64_t(chunk * 4 + unit / 2) * (K * K) + tap) * cout_pad + n0) * 16 + unit % 2 * 8;
#pragma unroll
          for (int co = first; co < kOutputs; co += kStep)
            copy_async<16>(stage + co * 128 + ((unit ^ (co & 7)) * 16), from + co * 16);
          copy_arrive(&s.weights_full[slot]);
          if (++slot == job.stages) slot = 0, parity ^= 1;
        }
      }
    }
  } else {  // multiply
    registers_take<224>();
    wait_for_previous();
    const int group = tid / 128, lane = tid % 32;  // warpgroup: the upper or the lower two rows
    float acc[2][kOutputs / 2];
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
      for (int i = 0; i < kOutputs / 2; i++) acc[m][i] = 0;
    double sum = 0, square = 0;  // of unit tid, tid < kSumUnits
    int image = 0, slot = 0, round = 0;
    unsigned image_parity = 0, parity = 0;
    for (int i = int(blockIdx.x); i < job.tiles; i += int(gridDim.x)) {
      int done = -1,
          done_image = -1;  // of the step before: its slot, and the image if it was the last to use it
      for (int chunk = 0; chunk < chunks; chunk++) {
        mbarrier_wait(&s.image_full[image], image_parity);
        for (int tap = 0; tap < K * K; tap++) {
          mbarrier_wait(&s.weights_full[slot], parity);
          fence_async_proxy();
          const uint64_t a = matrix_descriptor(images + image * H::kBytes +
                                               ((group * 2 + tap / K) * H::kW + tap % K) * 128),
                         b = matrix_descriptor(weights + slot * kWeightBytes);
          const int onto = chunk + tap > 0;
          wgmma_fence();
#pragma unroll
          for (int k = 0; k < kChannels / 16; k++)
#pragma unroll
            for (int m = 0; m < 2; m++)
              wgmma_m64k16<T, kOutputs>(acc[m], a + uint64_t(m * H::kW * 128 + k * 32) / 16,
                                        b + uint64_t(k * 32) / 16, k > 0 ? 1 : onto);
          wgmma_commit();
          wgmma_wait<1>();
          if (lane == 0 && done >= 0) {
            mbarrier_arrive(&s.weights_empty[done]);
            if (done_image >= 0) mbarrier_arrive(&s.image_empty[done_image]);
          }
          done = slot, done_image = tap == K * K - 1 ? image : -1;
          if (++slot == job.stages) slot = 0, parity ^= 1;
        }
        if (++image == H::kImages) image = 0, image_parity ^= 1;
      }
      wgmma_wait<0>();
      if (lane == 0) {
        mbarrier_arrive(&s.weights_empty[done]);
        mbarrier_arrive(&s.image_empty[done_image]);
      }
      finish<T>(op, job, tile_at(job, i), n0, acc, partial ? s.units[round][tid / 32] : nullptr);
      if (partial) {
        named_barrier(1, kConsumers);
        if (tid < kSumUnits)
          for (int warp = 0; warp < kConsumers / 32; warp++) {
            sum += double(s.units[round][warp][tid].sum);
            square += double(s.units[round][warp][tid].square);
          }
        round ^= 1;  // the next tile's sums go where nobody reads any more
      }
    }
    if (partial && tid < 32) {
      s.total[tid] = {sum, square};
      __syncwarp();
      if (tid < kOutputs / group_size) {
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

template <int K>
int stages_for(int smem_bytes) {
  return min(kMostStages, (smem_bytes - kSmemHead - Halo<K>::kImages * Halo<K>::kBytes) / kWeightBytes);
}

template <class T, int K>
void launch_k(const Conv2d<Tensor>& op, const GroupStats<Tensor>* stats, Stream& stream, Rows rows) {
  const DeviceInfo& device = stream.device();
  Job job{
      rows.begin, rows.end, op.y.w, (op.y.w + kColumns - 1) / kColumns, 0, stages_for<K>(device.smem_bytes),
      rows.upward};
  job.tiles = job.tiles_x * ((job.end - job.begin + kRows - 1) / kRows);
  const int blocks_y = op.w.cout / kOutputs, blocks = max(1, min(job.tiles, device.num_sms / blocks_y));
  auto* partial = stats ? static_cast<GroupSum*>(stream.workspace()) : nullptr;
  launch(conv2d_wide<T, K>,
         {.grid = {unsigned(blocks), unsigned(blocks_y)},
          .block = kThreads,
          .smem_bytes = size_t(kSmemHead + Halo<K>::kImages * Halo<K>::kBytes + job.stages * kWeightBytes),
          .stream = &stream,
          .early = true},
         op, job, partial, stats ? op.w.cout / stats->groups : kOutputs);
  if (stats) add_up_group_sums(partial, blocks, *stats, rows.begin > 0, stream);
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

const char* wide_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (device.sm != 90) return "needs sm_90";
  if ((op.w.k != 3 && op.w.k != 1) || op.stride != 1 || op.up > 2)
    return "needs k 1 or 3, stride 1, up 1 or 2";
  if (op.x.dtype == DType::f32 || op.w.dtype != op.x.dtype)
    return "needs a 16-bit x and weights of its dtype";
  if (op.w.cin % kChannels || op.w.cout % kOutputs)
    return "needs multiples of 64 channels to multiples of 128";
  if (op.x.n != 1 || op.pad_end) return "needs one image, padded on all sides";
  if (op.shortcut.present()) return "sums no shortcut";
  if (op.act != Act::none && op.act != Act::relu && op.act != Act::lrelu)
    return "has ReLU and LeakyReLU only";
  if (op.x.px % 8 || op.x.row % 8 || reinterpret_cast<uintptr_t>(op.x.data) % 16)
    return "needs pixels on multiples of 16 bytes";
  if (!vector_epilogue(op, op.x.dtype)) return "needs y and addends of x's dtype on multiples of 16 bytes";
  if (reinterpret_cast<uintptr_t>(op.w.w) % 16) return "needs weights on a multiple of 16 bytes";
  if (stages_for<3>(device.smem_bytes) < 2) return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const Conv2dVariant kConv2dWide = {"wgmma-wide", wide_declines, launch_wide};

bool wide_sums_groups_of(int channels) { return channels % kSumUnit == 0 && kOutputs % channels == 0; }

void launch_wide_with_sums(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream,
                           Rows rows) {
  launch_any(op, &stats, stream, rows);
}

}  // namespace ups::cuda
