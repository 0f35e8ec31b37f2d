// Conv2d (kernels/ops.h) for Hopper: 3x3 with 64k input and output channels on wgmma, weights partly
// streamed.
//
//   As conv2d_sm90.cu: sweeps over columns of 128 pixels, a row of the image multiplied by all three rows of
//   taps in one wgmma of 3 N columns. Here N is 64 whatever the weights take, so that 192 -> 64 reads its
//   input once: of cin / 16 steps of weights, as many stay in shared memory as fit beside three stages of
//   image, and the others come again for every row, between those that stayed, through a ring.
//   Shared memory per wgmma: 2 KB of image + 6 KB of weights for 96 cycles of tensor core. 192 -> 64 streams
//   4 of 12 steps: per row of 128 pixels 74 KB of weights and 50 KB of image come in over 6912 cycles.
//   One thread asks the copy engine for image rows, one for weights: a step is 16 channels, which lie
//   together in kernels/pack.h, a copy the 64 outputs of a tap, a piece of the ring three taps of one column.
#include "kernels/conv2d_variants.h"
#include "kernels/device/sweep.cuh"

namespace ups::cuda {
namespace {

constexpr int kOutputs = 64;
constexpr int kTapBytes = kOutputs * 32, kPieceBytes = 3 * kTapBytes, kStepBytes = 3 * kPieceBytes;
constexpr int kImageStages = 3, kMostStages = 8, kLeastRing = 5, kMostRing = 8, kMostKept = 12;

// Which steps of weights are streamed.
struct Shares {
  int kept, streamed, ring;  // steps, steps, pieces
  // The n-th streamed step: they lie at equal distances, the last step is one of them.
  __device__ __forceinline__ int streamed_step(int n) const {
    return ((n + 1) * (kept + streamed) + streamed - 1) / streamed - 1;
  }
};

struct Smem {
  alignas(8) uint64_t full[kMostStages], empty[kMostStages], kept_full[kMostKept];
  uint64_t ring_full[kMostRing], ring_empty[kMostRing];
  // then stages [130 pixels][64 channels], then steps [kx][3 N: ky 2, 1, 0, or upward 0, 1, 2][16] that stay,
  // then the ring, of a third of a step each
};
constexpr int kSmemHead = 1024;
static_assert(sizeof(Smem) <= kSmemHead);

// The weights as an image: rows are step x tap, columns are outputs, 16 channels.
Tensor weights_as_image(const Weight& w) {
  const int cout_pad = (w.cout + 15) / 16 * 16, h = w.cin / 16 * 9;
  return {const_cast<void*>(w.w), w.dtype, 1, h, cout_pad, 16, 0, int64_t(cout_pad) * 16, 16};
}

// Asks for one column of taps of a step.
__device__ __forceinline__ void load_piece(char* to, const TensorMap& weights, int n0, int step, int kx,
                                           bool upward, uint64_t* barrier) {
#pragma unroll
  for (int ky = 0; ky < 3; ky++)
    tensor_copy(to + (upward ? ky : 2 - ky) * kTapBytes, weights, 0, n0, step * 9 + ky * 3 + kx, barrier);
}

template <class T, bool Plain>
__global__ void __launch_bounds__(kThreads, 1)
    conv2d_stream(Conv2d<Tensor> op, Job job, Shares shares, const __grid_constant__ TensorMap image,
                  const __grid_constant__ TensorMap weights) {
  Smem& s = shared<Smem>();
  char* const stages = reinterpret_cast<char*>(&s) + kSmemHead;
  char* const kept = stages + job.stages * kStageBytes;
  char* const ring = kept + shares.kept * kStepBytes;
  const int steps = shares.kept + shares.streamed, chunks = steps / 4;
  const int tid = int(threadIdx.x), n0 = int(blockIdx.y) * kOutputs;
  int unit = int(blockIdx.x) * job.units_per_block;
  const int last_unit = min(job.units(), unit + job.units_per_block);

  if (tid == 0) {
    init_ring(s.full, s.empty, job.stages, 1);
    for (int i = 0; i < shares.kept; i++) mbarrier_init(&s.kept_full[i], 1);
    for (int i = 0; i < shares.ring; i++)
      mbarrier_init(&s.ring_full[i], 1), mbarrier_init(&s.ring_empty[i], kConsumers / 32);
    mbarrier_init_fence();
  }
  __syncthreads();
  let_next_start();

  if (tid >= kConsumers) {
    registers_release<40>();
    const int warp = (tid - kConsumers) / 32, lane = tid % 32;
    if (warp == 0) {  // image rows; addends are brought to the L2 cache
      wait_for_previous();
      int slot = 0;
      unsigned parity = 1;  // the first round finds empty slots
      while (unit < last_unit) {
        const Segment segment = segment_at(job, unit, last_unit);
        unit += segment.rows;
        for (int y = segment.y - 1; y <= segment.y + segment.rows; y++) {
          const int uy = job.row(y);
          if (uy < 0 || uy >= op.x.h) continue;
          if (lane == 0)
            for (int chunk = 0; chunk < chunks; chunk++) {
              mbarrier_wait(&s.empty[slot], parity);
              mbarrier_arrive_expect(&s.full[slot], kHalo * 128);
              tensor_copy(stages + slot * kStageBytes, image, chunk * kChannels, segment.x - 1, uy,
                          &s.full[slot]);
              if (++slot == job.stages) slot = 0, parity ^= 1;
            }
          __syncwarp();
          if (y >= segment.y && y < segment.y + segment.rows)
            for (const Addend<Tensor>* add : {&op.add, &op.add2})  // needed two rows from now
              if (add->t.data)
                for (int x = segment.x + lane; x < min(segment.x + kColumn, job.w); x += 32)
                  prefetch_l2(static_cast<const T*>(add->t.data) + uy * add->t.row + x * add->t.px + n0);
        }
      }
    } else if (warp == 1 && lane == 0) {  // weights: no kernel writes them, so this need not wait for one
      int rows = 0;                       // for each of which the streamed steps are needed
      while (unit < last_unit) {
        const Segment segment = segment_at(job, unit, last_unit);
        unit += segment.rows;
        for (int y = segment.y - 1; y <= segment.y + segment.rows; y++)
          rows += job.row(y) >= 0 && job.row(y) < op.x.h;
      }
      const int pieces = rows * shares.streamed * 3;
      int piece = 0, slot = 0;
      unsigned parity = 1;
      const auto stream_piece = [&] {
        const int n = piece % (shares.streamed * 3);
        mbarrier_wait(&s.ring_empty[slot], parity);
        mbarrier_arrive_expect(&s.ring_full[slot], kPieceBytes);
        load_piece(ring + slot * kPieceBytes, weights, n0, shares.streamed_step(n / 3), n % 3, job.upward,
                   &s.ring_full[slot]);
        piece++;
        if (++slot == shares.ring) slot = 0, parity ^= 1;
      };
      for (int step = 0, n = 0; step < steps; step++) {  // in the order of use, as far as the ring goes
        if (n < shares.streamed && step == shares.streamed_step(n)) {
          n++;
          while (piece < min(pieces, min(shares.ring, 3 * n))) stream_piece();
          continue;
        }
        mbarrier_arrive_expect(&s.kept_full[step - n], kStepBytes);
        for (int kx = 0; kx < 3; kx++)
          load_piece(kept + (step - n) * kStepBytes + kx * kPieceBytes, weights, n0, step, kx, job.upward,
                     &s.kept_full[step - n]);
      }
      while (piece < pieces) stream_piece();
    }
  } else {  // multiply
    registers_take<232>();
    constexpr int N = kOutputs;
    const int c0 = n0 + tid % 4 * 2;  // this thread's first channel: two of every eight
    float bias[N / 4];
#pragma unroll
    for (int i = 0; i < N / 4; i++) bias[i] = op.w.bias ? op.w.bias[c0 + i / 2 * 8 + i % 2] : 0.0f;
    // Slopes are loaded again for every row: there are no registers to keep them in.
    const auto finish = [&](int y, int x, const float(&sums)[N / 2]) {
      const float common = op.act == Act::lrelu ? op.slope : op.act == Act::relu ? 0.0f : 1.0f;
      float slopes[N / 4];
#pragma unroll
      for (int i = 0; i < N / 4; i++)
        slopes[i] = op.act == Act::prelu ? op.w.slope[c0 + i / 2 * 8 + i % 2] : common;
      finish_row<T, N, Plain>(op, job.w, y, x, n0, sums, slopes);
    };
    wait_for_previous();
    const int group = tid / 128, lane = tid % 32;  // warpgroup: the left or the right 64 pixels
    float acc[3 * N / 2], done[N / 2];
    int slot = 0, piece = 0, done_y = -1, done_x = 0;
    unsigned parity = 0, ring_parity = 0;

    while (unit < last_unit) {
      const Segment segment = segment_at(job, unit, last_unit);
      unit += segment.rows;
#pragma unroll
      for (int i = 0; i < 3 * N / 2; i++) acc[i] = bias[i % (N / 2) / 4 * 2 + i % 2];
      for (int y = segment.y - 1; y <= segment.y + segment.rows; y++) {
        const int uy = job.row(y);
        if (uy >= 0 && uy < op.x.h) {
          uint64_t a = 0;
          int stayed = 0, credit = 0;            // steps so far; how much of a streamed step is due
          int used_piece = -1, used_stage = -1;  // by the products before, and not after
          const auto release = [&] {
            if (lane == 0 && used_piece >= 0)
              for (int i = 0; i < 3; i++) {
                mbarrier_arrive(&s.ring_empty[used_piece]);
                if (++used_piece == shares.ring) used_piece = 0;
              }
            if (lane == 0 && used_stage >= 0) mbarrier_arrive(&s.empty[used_stage]);
          };
          int step = 0;
          do {
            if (step % 4 == 0) {
              mbarrier_wait(&s.full[slot], parity);
              a = matrix_descriptor(stages + slot * kStageBytes + group * 64 * 128);
            }
            uint64_t b[3];
            int piece_now = -1;
            credit += shares.streamed;
            if (credit >= steps) {
              credit -= steps, piece_now = piece;
#pragma unroll
              for (int kx = 0; kx < 3; kx++) {
                mbarrier_wait(&s.ring_full[piece], ring_parity);
                b[kx] = step_descriptor(ring + piece * kPieceBytes);
                if (++piece == shares.ring) piece = 0, ring_parity ^= 1;
              }
            } else {
              mbarrier_wait(&s.kept_full[stayed], 0);
#pragma unroll
              for (int kx = 0; kx < 3; kx++) b[kx] = step_descriptor(kept + (stayed * 3 + kx) * kPieceBytes);
              stayed++;
            }
            wgmma_fence();
#pragma unroll
            for (int kx = 0; kx < 3; kx++) wgmma_m64k16<T, 3 * N>(acc, a + uint64_t(kx * 128) / 16, b[kx]);
            wgmma_commit();
            a += 32 / 16;
            // Behind the tensor cores' back: the output row that was complete before this input row.
            if (step == 0 && done_y >= 0) finish(done_y, done_x, done);
            wgmma_wait<1>();
            release();
            used_piece = piece_now, used_stage = step % 4 == 3 ? slot : -1;
            if (step % 4 == 3 && ++slot == job.stages) slot = 0, parity ^= 1;
          } while (++step < steps);
          wgmma_wait<0>();
          release();
        } else if (done_y >= 0) {
          finish(done_y, done_x, done);
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
    if (done_y >= 0) finish(done_y, done_x, done);
  }
}

// How weights of `steps` steps and image stages share the memory; no ring where all of them stay. streamed <
// 0: they do not fit.
struct Layout {
  Shares shares;
  int stages;
  size_t bytes() const {
    return size_t(kSmemHead + stages * kStageBytes + shares.kept * kStepBytes + shares.ring * kPieceBytes);
  }
};
Layout layout_for(int steps, int smem_bytes) {
  const int room = smem_bytes - kSmemHead, pieces = (room - kImageStages * kStageBytes) / kPieceBytes;
  if (pieces >= 3 * steps && steps <= kMostKept)
    return {{steps, 0, 0}, min(kMostStages, (room - steps * kStepBytes) / kStageBytes)};
  // A step's pieces are given back during the next one: two streamed steps in a row need two sets.
  int ring = kLeastRing, kept = min(min(steps - 1, kMostKept), (pieces - ring) / 3);
  if (2 * kept < steps) ring = 6, kept = min(kept, (pieces - ring) / 3);
  if (pieces < ring) return {{0, -1, 0}, 0};
  return {{kept, steps - kept, min(kMostRing, pieces - 3 * kept)}, kImageStages};
}

template <class T>
void launch_dtype(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  const DeviceInfo& device = stream.device();
  const Layout layout = layout_for(op.w.cin / 16, device.smem_bytes);
  const Job job = divide(op, device, rows, kOutputs, layout.stages);
  const bool plain = !op.add.t.data && !op.add2.t.data && op.scale == 1;
  launch(plain ? conv2d_stream<T, true> : conv2d_stream<T, false>,
         {.grid = {unsigned(job.blocks()), unsigned(op.w.cout / kOutputs)},
          .block = kThreads,
          .smem_bytes = layout.bytes(),
          .stream = &stream,
          .early = true},
         op, job, layout.shares, make_tensor_map(op.x, 1, kHalo),
         make_tensor_map(weights_as_image(op.w), 1, kOutputs, 16));
}

void launch_stream(const Conv2d<Tensor>& op, Stream& stream, Rows rows) {
  op.x.dtype == DType::f16 ? launch_dtype<half_t>(op, stream, rows) : launch_dtype<bf16_t>(op, stream, rows);
}

const char* stream_declines(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = sweeps_decline(op, device)) return reason;
  if (op.up != 1) return "needs up 1";
  if (op.w.cin % kChannels || op.w.cout % kOutputs) return "needs channels in multiples of 64";
  if (layout_for(op.w.cin / 16, device.smem_bytes).shares.streamed < 0)
    return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const Conv2dVariant kConv2dStream = {"wgmma-stream", stream_declines, launch_stream};

}  // namespace ups::cuda
