// Conv2d (kernels/ops.h) for Hopper: 3x3 with 32k input channels on wgmma, weights resident in shared memory.
//
//   A block owns N = 32 or 64 output channels and walks down columns of 128 pixels; its weights, cin x 9 x N,
//   are loaded once. Four warps load, by cp.async, stages of one image row x 130 pixels x 64 channels into a
//   ring; two warpgroups multiply, 64 pixels each.
//   "Three vertical taps at once": an input row is multiplied by the weights of all three ky in one wgmma of
//   3 N columns, whose accumulators belong to the three output rows the input row touches. When a row of
//   input is done, the oldest output row is complete and the accumulators move up by one. So the image is
//   read three times (kx) from shared memory instead of nine, and once from L2 (plus 2 halo columns).
//   Shared memory per wgmma, N = 32: 2 KB of image + 3 KB of weights for 48 cycles of tensor core.
//   With Rows::upward the same happens upside down.
//   A row's epilogue runs while the tensor cores multiply the next row.
//   N = 8 serves last convolutions of 3 outputs or so, of any dtype: 24 columns, and an epilogue by element.
//   A pixel's 64 channels are 128 bytes, swizzled by its number: a tap's shift is a number of whole pixels,
//   to which the hardware applies the swizzle by address.
#include "kernels/conv2d_variants.h"
#include "kernels/device/copy.cuh"
#include "kernels/device/sweep.cuh"

namespace ups::cuda {
namespace {

constexpr int kMaxStages = 16;

struct Smem {
  alignas(8) uint64_t full[kMaxStages], empty[kMaxStages];
  // then stages [130 pixels][64 channels], then weights [kx][cin / 8][3 N: ky 2, 1, 0, or upward 0, 1, 2][8]
};
constexpr int kSmemHead = 1024;  // 128-byte swizzled rows begin on multiples of it

constexpr int weight_bytes(int cin, int n) { return 9 * cin * n * 2; }

constexpr int kNarrow = 8;

// A finished row, as finish_row; at most 8 outputs need not be whole vectors.
template <class T, int N, bool Plain>
__device__ __forceinline__ void finish(const Conv2d<Tensor>& op, int w, int y, int x0, int n0,
                                       const float (&sums)[N / 2], const float (&slopes)[N / 4]) {
  if constexpr (N > kNarrow) {
    finish_row<T, N, Plain>(op, w, y, x0, n0, sums, slopes);
  } else {
    const int first_x = x0 + warp_index() % 4 * 16 + lane_index() / 4, first_c = lane_index() % 4 * 2;
    float next[4] = {sums[0], sums[1], sums[2], sums[3]};
#pragma unroll 1
    for (int i = 0; i < 4; i++) {
      const int x = first_x + i / 2 * 8, co = first_c + i % 2;
      if (x < w && co < op.w.cout) finish_one(op, 0, y, x, co, next[0]);
      next[0] = next[1], next[1] = next[2], next[2] = next[3];  // registers have no index
    }
  }
}

template <class T, int N, bool Plain>
__global__ void __launch_bounds__(kThreads, 1) conv2d_wgmma(Conv2d<Tensor> op, Job job) {
  Smem& s = shared<Smem>();
  char* const ring = reinterpret_cast<char*>(&s) + kSmemHead;
  char* const weights = ring + job.stages * kStageBytes;
  const int cin = op.w.cin, chunks = (cin + kChannels - 1) / kChannels;
  const int tid = int(threadIdx.x), n0 = int(blockIdx.y) * N;
  int unit = int(blockIdx.x) * job.units_per_block;
  const int last_unit = min(job.units(), unit + job.units_per_block);
  // Rows below those that the job needs may not exist: they count as padding.
  const int in_h = min(op.x.h * op.up, job.end + 1), in_w = op.x.w * op.up;

  if (tid == 0) {
    init_ring(s.full, s.empty, job.stages, kProducers);
    mbarrier_init_fence();
  }
  __syncthreads();
  let_next_start();

  if (tid >= kConsumers) {  // load
    registers_release<56>();
    wait_for_previous();
    const int t = tid - kConsumers, lane_unit = t % kUnits, first_px = t / kUnits;
    constexpr int kStep = kProducers / kUnits, kRounds = (kHalo + kStep - 1) / kStep;
    const T* const x = static_cast<const T*>(op.x.data) + lane_unit * 8;
    int slot = 0;
    unsigned parity = 1;  // the first round finds empty slots
    while (unit < last_unit) {
      const Segment segment = segment_at(job, unit, last_unit);
      unit += segment.rows;
      int from[kRounds];
#pragma unroll
      for (int i = 0; i < kRounds; i++) {
        const int ux = segment.x - 1 + first_px + i * kStep;
        from[i] = ux >= 0 && ux < in_w ? ux / op.up * int(op.x.px) : -1;
      }
      for (int y = segment.y - 1; y <= segment.y + segment.rows; y++) {
        const int uy = job.row(y);
        if (uy < 0 || uy >= in_h) continue;
        const T* const row = x + int64_t(uy / op.up) * op.x.row;
        if (y >= segment.y && y < segment.y + segment.rows && segment.x + t < job.w)
          for (const Addend<Tensor>* add : {&op.add, &op.add2})  // needed two rows from now
            if (add->t.data)
              prefetch_l2(static_cast<const T*>(add->t.data) + uy * add->t.row + (segment.x + t) * add->t.px +
                          n0);
        for (int chunk = 0; chunk < chunks; chunk++) {
          mbarrier_wait(&s.empty[slot], parity);
          // The swizzle of wgmma: a pixel's units are permuted by its number modulo 8, which kStep keeps.
          char* const to = ring + slot * kStageBytes + first_px * 128 + (lane_unit ^ (first_px & 7)) * 16;
          const bool exists = chunk * kChannels + lane_unit * 8 < cin;
#pragma unroll
          for (int i = 0; i < kRounds; i++) {
            if (exists && first_px + i * kStep < kHalo)
              copy_async<16>(to + i * kStep * 128, from[i] >= 0 ? row + from[i] + chunk * kChannels : x,
                             from[i] >= 0 ? 16 : 0);
          }
          copy_arrive(&s.full[slot]);
          if (++slot == job.stages) slot = 0, parity ^= 1;
        }
      }
    }
  } else {  // multiply
    registers_take<224>();
    float bias[N / 4], slopes[N / 4];  // of this thread's channels
#pragma unroll
    for (int i = 0; i < N / 4; i++) {
      const int c = n0 + i / 2 * 8 + tid % 4 * 2 + i % 2;
      bias[i] = op.w.bias && N > kNarrow ? op.w.bias[c] : 0.0f;  // narrow: finish_one adds it
      slopes[i] = N == kNarrow           ? 1.0f
                  : op.act == Act::prelu ? op.w.slope[c]
                  : op.act == Act::lrelu ? op.slope
                  : op.act == Act::relu  ? 0.0f
                                         : 1.0f;
    }
    {  // weights, from [cin / 16][tap][cout_pad][16] (kernels/pack.h)
      const T* w = static_cast<const T*>(op.w.w);
      const int cout_pad = (op.w.cout + 15) / 16 * 16, count = cin / 8 * 9 * N;
      for (int i = tid; i < count; i += kConsumers) {
        const int half = i % 2, co = i / 2 % N, tap = i / 2 / N % 9, block = i / 2 / N / 9;
        const int row = (job.upward ? tap / 3 : 2 - tap / 3) * N + co, unit8 = block * 2 + half;
        copy_async<16>(weights + ((tap % 3 * (cin / 8) + unit8) * 3 * N + row) * 16,
                       w + ((int64_t(block) * 9 + tap) * cout_pad + n0 + co) * 16 + half * 8);
      }
      copy_commit();
      copy_wait<0>();
      fence_async_proxy();
      named_barrier(1, kConsumers);
    }
    wait_for_previous();
    const int group = tid / 128;  // warpgroup: the left or the right 64 pixels
    const uint64_t b_step = uint64_t(2 * 3 * N * 16) >> 4, b_tap = uint64_t(cin / 8 * 3 * N * 16) >> 4;
    const uint64_t b_first = plane_descriptor(weights, 3 * N * 16);
    float acc[3 * N / 2], done[N / 2];
    int slot = 0, done_y = -1, done_x = 0;
    unsigned parity = 0;

    while (unit < last_unit) {
      const Segment segment = segment_at(job, unit, last_unit);
      unit += segment.rows;
#pragma unroll
      for (int i = 0; i < 3 * N / 2; i++) acc[i] = bias[i % (N / 2) / 4 * 2 + i % 2];
      for (int y = segment.y - 1; y <= segment.y + segment.rows; y++) {
        const int uy = job.row(y);
        if (uy >= 0 && uy < in_h) {
          const int first_slot = slot;
          int part = 0;  // 32 channels, half a stage
          uint64_t a = 0, b = b_first;
          do {
            if (part % 2 == 0) {
              mbarrier_wait(&s.full[slot], parity);
              fence_async_proxy();
              a = matrix_descriptor(ring + slot * kStageBytes + group * 64 * 128);
              if (++slot == job.stages) slot = 0, parity ^= 1;
            }
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < 2; k++)
#pragma unroll
              for (int kx = 0; kx < 3; kx++)
                wgmma_m64k16<T, 3 * N>(acc, a + uint64_t(kx * 128 + k * 32) / 16,
                                       b + kx * b_tap + k * b_step);
            a += 64 / 16, b += 2 * b_step;
          } while (++part < cin / 32);
          wgmma_commit();
          // Behind the tensor cores' back: the output row that was complete before this input row.
          if (done_y >= 0) finish<T, N, Plain>(op, job.w, done_y, done_x, n0, done, slopes);
          wgmma_wait<0>();
          if (tid % 32 == 0)
            for (int i = first_slot; i != slot; i = i + 1 == job.stages ? 0 : i + 1)
              mbarrier_arrive(&s.empty[i]);
        } else if (done_y >= 0) {
          finish<T, N, Plain>(op, job.w, done_y, done_x, n0, done, slopes);
        }
        done_y = -1;
        if (y > segment.y) {  // output row y - 1 has seen its three rows
          done_y = job.row(y - 1), done_x = segment.x + group * 64;
#pragma unroll
          for (int i = 0; i < N / 2; i++) done[i] = acc[i];
        }
#pragma unroll
        for (int i = 0; i < N; i++) acc[i] = acc[i + N / 2];
#pragma unroll
        for (int i = N; i < 3 * N / 2; i++) acc[i] = bias[i % (N / 2) / 4 * 2 + i % 2];
      }
    }
    if (done_y >= 0) finish<T, N, Plain>(op, job.w, done_y, done_x, n0, done, slopes);
  }
}

int stages_for(const Conv2d<Tensor>& op, int n, int smem_bytes) {
  return min(kMaxStages, (smem_bytes - kSmemHead - weight_bytes(op.w.cin, n)) / kStageBytes);
}
// 64 output channels per block where their weights leave room for a ring, else 32.
int outputs_per_block(const Conv2d<Tensor>& op, int smem_bytes) {
  return op.w.cout % 64 == 0 && stages_for(op, 64, smem_bytes) >= 2 * ((op.w.cin + 63) / 64) ? 64 : 32;
}

template <class T, int N>
void launch_n(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  const DeviceInfo& device = stream.device();
  const Job job = divide(op, device, rows, N, stages_for(op, N, device.smem_bytes));
  const bool plain = !op.add.t.data && !op.add2.t.data && op.scale == 1;
  launch(plain || N == kNarrow ? conv2d_wgmma<T, N, true> : conv2d_wgmma<T, N, N == kNarrow>,
         {.grid = {unsigned(job.blocks()), unsigned((op.w.cout + N - 1) / N)},
          .block = kThreads,
          .smem_bytes = size_t(kSmemHead + weight_bytes(op.w.cin, N) + job.stages * kStageBytes),
          .stream = &stream,
          .early = true},
         op, job);
}

void launch_wgmma(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  const bool wide = outputs_per_block(op, stream.device().smem_bytes) == 64;
  if (op.x.dtype == DType::f16)
    wide ? launch_n<half_t, 64>(op, stream, rows) : launch_n<half_t, 32>(op, stream, rows);
  else
    wide ? launch_n<bf16_t, 64>(op, stream, rows) : launch_n<bf16_t, 32>(op, stream, rows);
}

const char* wgmma_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = sweeps_decline(op, device)) return reason;
  if (stages_for(op, 32, device.smem_bytes) <= (op.w.cin + 63) / 64)
    return "needs more shared memory than the device has";
  return nullptr;
}

void launch_narrow(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  op.x.dtype == DType::f16 ? launch_n<half_t, kNarrow>(op, stream, rows)
                           : launch_n<bf16_t, kNarrow>(op, stream, rows);
}

const char* narrow_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = sweeps_decline_input(op, device)) return reason;
  if (op.w.cout > kNarrow || op.shuffle != 1) return "needs at most 8 outputs, shuffle 1";
  if (stages_for(op, kNarrow, device.smem_bytes) <= (op.w.cin + 63) / 64)
    return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const Conv2dVariant kConv2dWgmma = {"wgmma", wgmma_declines, launch_wgmma};
const Conv2dVariant kConv2dNarrow = {"wgmma-narrow", narrow_declines, launch_narrow};

}  // namespace ups::cuda
