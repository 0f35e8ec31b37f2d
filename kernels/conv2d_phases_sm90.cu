// Conv2d (kernels/ops.h) for Hopper: a 3x3 convolution of an image enlarged twice, as four of 2x2.
//
//   Three taps in a row of the enlarged image fall on two pixels of the image: for each parity (py, px) of
//   an output pixel the convolution is one of 2x2 taps, whose weights are sums of those of 3x3: 16 products
//   per four outputs instead of 36. Zeros around the enlarged image are zeros around the image.
//   A block owns N = 64 output channels and walks down columns of 64 pixels of the image (128 outputs); four
//   warps load rows of it by cp.async into a ring. Of two warpgroups one makes the even columns of the
//   output, the other the odd ones. As in conv2d_sm90.cu a row is multiplied by the weights of all output
//   rows it touches in one wgmma: row r touches 2 r - 1 .. 2 r + 2, so 4 N columns. Then the pair of rows
//   2 r - 1, 2 r is complete and the sums move up by two rows. Upward, pair r + 1 is.
//   128 sums per thread leave no room for a copy of the finished ones: the warpgroups take turns, one
//   multiplies while the other stores. The turn passes when one wgmma of the row is still under way.
//   Shared memory per wgmma: 2 KB of image + 8 KB of weights for 128 cycles of tensor core.
#include "kernels/conv2d_variants.h"
#include "kernels/device/copy.cuh"
#include "kernels/device/sweep.cuh"

namespace ups::cuda {
namespace {

constexpr int kOutputs = 64, kRowsTouched = 4, kSums = kRowsTouched * kOutputs;  // sums: columns of a wgmma
constexpr int kPixels = 64, kPixelsRead = kPixels + 2;                           // of a row of the image
constexpr int kRowBytes = (kPixelsRead * 128 + 1023) / 1024 * 1024;
constexpr int kMostStages = 16;

// Units of work: pair p of rows is 2 p - 1 and 2 p of the output; rows [begin, end) of it are stored.
struct PairJob {
  Columns<kPixels> pairs;
  int begin, end;
};

struct Smem {
  alignas(8) uint64_t full[kMostStages], empty[kMostStages], turn[2];
  // then stages [66 pixels][64 channels], then weights [px][dx][cin / 8][4 N: pair, row of it][8]
};
constexpr int kSmemHead = 1024;
static_assert(sizeof(Smem) <= kSmemHead);

constexpr int weight_bytes(int cin) { return 4 * cin * kSums * 2; }

// Which taps of three fall together: the output rows from 2 r - 1 on, `touched` = 0 .. 3, meet row r with
// their taps {2}, {1, 2}, {0, 1} and {0}.
__device__ __forceinline__ constexpr int first_tap(int touched) { return touched < 2 ? 2 - touched : 0; }
__device__ __forceinline__ constexpr int last_tap(int touched) { return touched < 2 ? 2 : 3 - touched; }

// Sums of the weights of 8 input channels and one output, from [tap][cout_pad][16] (kernels/pack.h) to
// [px][dx][..][4 N][8]. Sums are made in f32 and rounded once.
template <class T>
__device__ __forceinline__ void sum_taps(char* to, const T* from, int tap_elements, int plane_elements,
                                         bool upward) {
  Vec16 taps[9];
#pragma unroll
  for (int i = 0; i < 9; i++) taps[i] = *reinterpret_cast<const Vec16*>(from + i * tap_elements);
#pragma unroll
  for (int column = 0; column < 4; column++) {  // px * 2 + dx
    // Even columns have taps {0} and {1, 2} on their two pixels, odd ones {0, 1} and {2}: as rows do.
    const int as_row = column == 0 ? 3 : column == 1 ? 1 : column == 2 ? 2 : 0;
#pragma unroll
    for (int row = 0; row < kRowsTouched; row++) {
      Vec16 sums;
#pragma unroll
      for (int word = 0; word < 4; word++) {
        float v[2] = {0, 0};
#pragma unroll
        for (int ky = first_tap(row); ky <= last_tap(row); ky++)
#pragma unroll
          for (int kx = first_tap(as_row); kx <= last_tap(as_row); kx++) {
            const uint32_t two = taps[ky * 3 + kx].v[word];
            v[0] += to_float(T{uint16_t(two)});
            v[1] += to_float(T{uint16_t(two >> 16)});
          }
        sums.v[word] = pack2<T>(v[0], v[1]);
      }
      const int place = upward ? row ^ 2 : row;  // the pair that is complete first lies first
      *reinterpret_cast<Vec16*>(to + (column * plane_elements + place * kOutputs * 8) * 2) = sums;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) conv2d_phases(Conv2d<Tensor> op, PairJob job) {
  Smem& s = shared<Smem>();
  char* const ring = reinterpret_cast<char*>(&s) + kSmemHead;
  char* const weights = ring + job.pairs.stages * kRowBytes;
  const int cin = op.w.cin, chunks = (cin + kChannels - 1) / kChannels;
  const int tid = int(threadIdx.x), n0 = int(blockIdx.y) * kOutputs;
  int unit = int(blockIdx.x) * job.pairs.units_per_block;
  const int last_unit = min(job.pairs.units(), unit + job.pairs.units_per_block);
  // After which row of the image a pair is complete; the pairs counted y - 1 and y touch the row for y.
  const auto row_for = [&](int y) { return job.pairs.row(y) - (job.pairs.upward ? 1 : 0); };

  if (tid == 0) {
    init_ring(s.full, s.empty, job.pairs.stages, kProducers);
    for (int i = 0; i < 2; i++) mbarrier_init(&s.turn[i], kConsumers / 2 / 32);
    mbarrier_init_fence();
  }
  __syncthreads();
  let_next_start();

  if (tid >= kConsumers) {  // load
    registers_release<56>();
    wait_for_previous();
    const int t = tid - kConsumers, lane_unit = t % kUnits, first_px = t / kUnits;
    constexpr int kStep = kProducers / kUnits, kRounds = (kPixelsRead + kStep - 1) / kStep;
    const T* const x = static_cast<const T*>(op.x.data) + lane_unit * 8;
    int slot = 0;
    unsigned parity = 1;  // the first round finds empty slots
    while (unit < last_unit) {
      const Segment segment = segment_at(job.pairs, unit, last_unit);
      unit += segment.rows;
      for (int y = segment.y - 1; y < segment.y + segment.rows; y++) {
        const int r = row_for(y);
        if (r < 0 || r >= op.x.h) continue;
        const T* const row = x + r * op.x.row;
        for (int chunk = 0; chunk < chunks; chunk++) {
          mbarrier_wait(&s.empty[slot], parity);
          // The swizzle of wgmma: a pixel's units are permuted by its number modulo 8, which kStep keeps.
          char* const to = ring + slot * kRowBytes + first_px * 128 + (lane_unit ^ (first_px & 7)) * 16;
          const bool exists = chunk * kChannels + lane_unit * 8 < cin;
#pragma unroll
          for (int i = 0; i < kRounds; i++) {
            const int at = first_px + i * kStep, px = segment.x - 1 + at;
            const bool inside = px >= 0 && px < op.x.w;
            if (exists && at < kPixelsRead)
              copy_async<16>(to + i * kStep * 128, inside ? row + px * op.x.px + chunk * kChannels : x,
                             inside ? 16 : 0);
          }
          copy_arrive(&s.full[slot]);
          if (++slot == job.pairs.stages) slot = 0, parity ^= 1;
        }
      }
    }
  } else {  // multiply
    registers_take<224>();
    constexpr int N = kOutputs;
    float bias[N / 4], slopes[N / 4];  // of this thread's channels
#pragma unroll
    for (int i = 0; i < N / 4; i++) {
      const int c = n0 + i / 2 * 8 + tid % 4 * 2 + i % 2;
      bias[i] = op.w.bias ? op.w.bias[c] : 0.0f;
      slopes[i] = op.act == Act::prelu   ? op.w.slope[c]
                  : op.act == Act::lrelu ? op.slope
                  : op.act == Act::relu  ? 0.0f
                                         : 1.0f;
    }
    const int cout_pad = (op.w.cout + 15) / 16 * 16;
    for (int i = tid; i < cin / 8 * N; i += kConsumers) {  // weights: no kernel writes them
      const int half = i % 2, co = i / 2 % N, block = i / 2 / N;
      sum_taps(weights + ((block * 2 + half) * kSums + co) * 16,
               static_cast<const T*>(op.w.w) + (int64_t(block) * 9 * cout_pad + n0 + co) * 16 + half * 8,
               cout_pad * 16, cin * kSums, job.pairs.upward);
    }
    fence_async_proxy();
    named_barrier(1, kConsumers);
    wait_for_previous();
    const int px = tid / 128, lane = tid % 32;  // warpgroup: even or odd columns of the output
    // Those, as an image half as wide.
    Conv2d<Tensor> own = op;
    own.y.data = static_cast<T*>(op.y.data) + px * op.y.px;
    own.y.px = 2 * op.y.px;
    const uint64_t b_step = uint64_t(2 * kSums * 16) >> 4, b_dx = uint64_t(cin / 8 * kSums * 16) >> 4;
    const uint64_t b_first = plane_descriptor(weights, kSums * 16) + px * 2 * b_dx;
    float acc[kSums / 2];  // two rows of the pair that will be complete, two of the next
    int slot = 0;
    unsigned parity = 0, turn = px ^ 1;  // the first warpgroup finds it its turn

    while (unit < last_unit) {
      const Segment segment = segment_at(job.pairs, unit, last_unit);
      unit += segment.rows;
#pragma unroll
      for (int i = 0; i < kSums / 2; i++) acc[i] = bias[i % (N / 2) / 4 * 2 + i % 2];
      for (int y = segment.y - 1; y < segment.y + segment.rows; y++) {
        const int r = row_for(y);
        if (r >= 0 && r < op.x.h) {
          const int first_slot = slot;
          int step = 0;  // 16 channels, a quarter of a stage
          uint64_t a = 0, b = b_first;
          mbarrier_wait(&s.turn[px], turn);
          turn ^= 1;
          do {
            if (step % 4 == 0) {
              mbarrier_wait(&s.full[slot], parity);
              fence_async_proxy();
              a = matrix_descriptor(ring + slot * kRowBytes) + uint64_t(px * 128) / 16;
              if (++slot == job.pairs.stages) slot = 0, parity ^= 1;
            }
            wgmma_fence();
#pragma unroll
            for (int dx = 0; dx < 2; dx++) {
              wgmma_m64k16<T, kSums>(acc, a + uint64_t(dx * 128) / 16, b + dx * b_dx);
              wgmma_commit();
            }
            a += 32 / 16, b += b_step;
          } while (++step < cin / 16);
          wgmma_wait<1>();
          if (lane == 0) mbarrier_arrive(&s.turn[px ^ 1]);
          wgmma_wait<0>();
          if (lane == 0)
            for (int i = first_slot; i != slot; i = i + 1 == job.pairs.stages ? 0 : i + 1)
              mbarrier_arrive(&s.empty[i]);
        }
        if (y >= segment.y) {
#pragma unroll
          for (int row = 0; row < 2; row++) {
            const int out_y = 2 * job.pairs.row(y) - 1 + row;
            float done[N / 2];
#pragma unroll
            for (int i = 0; i < N / 2; i++) done[i] = acc[row * (N / 2) + i];
            if (out_y >= job.begin && out_y < job.end)
              finish_row<T, N, true>(own, op.x.w, out_y, segment.x, n0, done, slopes);
          }
        }
#pragma unroll
        for (int i = 0; i < kSums / 4; i++) acc[i] = acc[i + kSums / 4];
#pragma unroll
        for (int i = kSums / 4; i < kSums / 2; i++) acc[i] = bias[i % (N / 2) / 4 * 2 + i % 2];
      }
    }
  }
}

int stages_for(const Conv2d<Tensor>& op, int smem_bytes) {
  return min(kMostStages, (smem_bytes - kSmemHead - weight_bytes(op.w.cin)) / kRowBytes);
}

void launch_phases(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  const DeviceInfo& device = stream.device();
  PairJob job{
      {(rows.begin + 1) / 2, rows.end / 2 + 1, op.x.w, 0, stages_for(op, device.smem_bytes), rows.upward},
      rows.begin,
      rows.end};
  divide(job.pairs, device, op.w.cout / kOutputs);
  launch(op.x.dtype == DType::f16 ? conv2d_phases<half_t> : conv2d_phases<bf16_t>,
         {.grid = {unsigned(job.pairs.blocks()), unsigned(op.w.cout / kOutputs)},
          .block = kThreads,
          .smem_bytes = size_t(kSmemHead + job.pairs.stages * kRowBytes + weight_bytes(op.w.cin)),
          .stream = &stream,
          .early = true},
         op, job);
}

const char* phases_decline(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = sweeps_decline(op, device)) return reason;
  if (op.up != 2) return "needs up 2";
  if (op.w.cout % kOutputs) return "needs outputs in multiples of 64";
  if (op.add.t.data || op.add2.t.data || op.scale != 1) return "has no addends and no scale";
  if (stages_for(op, device.smem_bytes) <= (op.w.cin + kChannels - 1) / kChannels)
    return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const Conv2dVariant kConv2dPhases = {"wgmma-phases", phases_decline, launch_phases};

}  // namespace ups::cuda
