// AttentionSublayer (kernels/sublayer_ops.h) in one kernel on tensor cores, for windows of at most 256 pixels
// and for keys from a patch around the window (HAT: 16, and 24 around 16): x is read, y is written, and
// nothing in between leaves the chip.
//
// A block has one window, a warp 32 of its tokens. They stay in registers, as fragments, until the last head;
// a head's keys and values lie in shared memory, and so do the rows of `attended` (96 KB of 180 channels),
// which take the registers' place for the projection. Weights stream past all warps as in
// attention_sublayer_mma.cu, with the same barriers. A warp runs over the keys in steps of 32, for both of
// its 16 queries at a time: scores start as position bias + mask; softmax is the streaming one (maximum and
// sum so far, Milakov and Gimelshein 2018); all it reads of weights, keys and values serves 32 tokens, 128
// bytes per mma.
//
// Keys of a patch: those of the window's own tokens come first, as above. Tokens around it belong to other
// windows. Warps load them 16 at a time, once per head, when both k's and v's weights have arrived, and
// multiply them again: 2.25 times the products of k and v for 24 around 16, instead of writing and reading
// 1080 bytes per pixel and its neighbours'. Tokens outside of the image are zero keys and values.
#include "kernels/device/attention_sublayer.cuh"
#include "kernels/sublayers.h"

namespace ups::cuda {
namespace {

constexpr int kMostTokens = 256, kStep = 32;  // of a window; keys per step
constexpr int M = 2, KB = 12, DP = 32;        // 16 tokens, blocks of 16 channels, padded channels of a head
[[maybe_unused]] constexpr int kMostThreads = kMostTokens / (16 * M) * 32;
constexpr int kEarly = 4;  // bias values that a thread fetches before it multiplies

struct Job : SublayerJob {
  int own = 0;            // rows of the window's tokens, whole warps
  int keys = 0;           // rows of all keys, whole steps
  bool complete = false;  // all of these rows are keys
  bool rows = false;      // a step is two rows of the window
};

struct Memory {
  alignas(16) unsigned char bytes[16];  // then: stages, keys, values, attended, keys' words, bias of the head
};

constexpr size_t smem_bytes(const Job& job, int places) {
  return size_t(job.stages) * stage_elements(job) * 2 + size_t(job.keys) * (2 * DP * 2 + sizeof(int)) +
         size_t(job.own) * job.row * 2 + size_t(places) * sizeof(float);
}

// Token `i` of those around the window, in its patch: above, below, then on either side.
struct Spot {
  int y, x;
  bool exists;
};
__device__ __forceinline__ Spot around(const AttentionSublayer<Tensor>& op, int i) {
  const int pad_y = (op.keys.h - op.window.h) / 2, pad_x = (op.keys.w - op.window.w) / 2;
  const int above = pad_y * op.keys.w, side = i - 2 * above;
  if (i < above) return {i / op.keys.w, i % op.keys.w, true};
  if (side < 0) return {op.window.h + i / op.keys.w, i % op.keys.w, true};
  if (side >= op.window.h * 2 * pad_x) return {0, 0, false};
  const int y = pad_y + side / (2 * pad_x), x = side % (2 * pad_x);
  return {y, x < pad_x ? x : x + op.window.w, true};
}

// Position bias of 32 queries and the 32 keys of two rows of a window that is 16 pixels wide. A warp's
// queries are two such rows as well, so `at`, the place of its first key's bias for its first query, leads to
// all others by constants, and 18 different places serve 32 pairs.
constexpr int kRow = 16, kRowBias = 2 * kRow - 1;
__device__ __forceinline__ void bias_of_rows(float (&s)[M][kStep / 8][4], const float* at) {
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int i = 0; i < kStep / 8; i++)
#pragma unroll
      for (int e = 0; e < 4; e++) s[m][i][e] = at[(i / 2 - m) * kRowBias + (i % 2 - e / 2) * 8 + e % 2];
}

template <class T, bool kAround>
__global__ void __launch_bounds__(kMostThreads, 1)
    attention_sublayer_wide_mma(AttentionSublayer<Tensor> op, Job job) {
  T* stages = reinterpret_cast<T*>(shared<Memory>().bytes);
  T* keys = stages + job.stages * stage_elements(job);
  T* values = keys + job.keys * DP;
  T* attended = values + job.keys * DP;
  int* words = reinterpret_cast<int*>(attended + job.own * job.row);
  float* table = reinterpret_cast<float*>(words + job.keys);  // in units of log 2
  const Chunks<T, DP> weights{op, job, stages};

  const int lane = lane_index(), warp = warp_index(), group = lane / 4, pair = lane % 4;
  const int threads = int(blockDim.x), tid = int(threadIdx.x);
  const int first = warp * 16 * M, window = int(blockIdx.x), n = int(blockIdx.y);
  const int window_y = window / job.grid_w, window_x = window % job.grid_w;
  const int tokens = op.window.h * op.window.w, bias_w = op.window.w + op.keys.w - 1;
  const int pad_y = (op.keys.h - op.window.h) / 2, pad_x = (op.keys.w - op.window.w) / 2;
  const int c = op.x.c;
  T* mine = attended + first * job.row;
  // Only windows at the far ends meet a seam.
  const bool masked = !job.complete || (op.shift.h > 0 && (window_y + 1) * op.window.h == op.x.h) ||
                      (op.shift.w > 0 && window_x + 1 == job.grid_w);
  weights.begin();

  int query[M][2], side[M][2];
  uint32_t a[M][KB][4];
  load_queries<T>(a, query, side, op, job, n, window_y, window_x, first, true, bias_w);
  if (kAround) {  // such windows are not shifted
#pragma unroll
    for (int m = 0; m < M; m++) side[m][0] = side[m][1] = 0;
  }
  {
    const int t = first + lane, y = t / op.window.w, x = t % op.window.w;
    const Place p = place_of(op, window_y, window_x, t, true);
    words[t] = t < tokens ? key_word((y + pad_y) * bias_w + x + pad_x, kAround ? 0 : p.side) : kAbsent;
  }
  if (kAround)
    for (int i = tid; i < job.keys - job.own; i += threads) {
      const Spot s = around(op, i);
      words[job.own + i] = s.exists ? key_word(s.y * bias_w + s.x, 0) : kAbsent;
    }
  clear_spare<16 * M>(mine, job, c);

#pragma unroll 1
  for (int head = 0; head < op.heads; head++) {
    uint32_t q[M][DP / 16][4];
    {
      float sum[M][DP / 8][4];
      const T* stage_k = weights.arrive(3 * head);
      const float* bias = static_cast<const float*>(op.bias.w) + int64_t(head) * op.bias.cin;
      float early[kEarly];
#pragma unroll
      for (int i = 0; i < kEarly; i++) early[i] = value_or_zero(bias, tid + i * threads, op.bias.cin);
      project_head(sum, op, job, a, stage_k, head, Part::k);
      store_keys(keys, first, sum);
#pragma unroll
      for (int i = 0; i < kEarly; i++)
        if (tid + i * threads < op.bias.cin) table[tid + i * threads] = early[i] * kLog2e;
      for (int i = tid + kEarly * threads; i < op.bias.cin; i += threads) table[i] = bias[i] * kLog2e;

      const T* stage_v = weights.arrive(3 * head + 1);
      project_head(sum, op, job, a, stage_v, head, Part::v);
      store_keys(values, first, sum);
      if (kAround) {
        // Three stages, one ahead: k's weights are still there.
#pragma unroll 1
        for (int at = warp * 16; at < job.keys - job.own; at += threads / 2) {
          uint32_t other[1][KB][4];
          const T* pixel[2];
#pragma unroll
          for (int half = 0; half < 2; half++) {
            const Spot s = around(op, at + group + 8 * half);
            const int y = window_y * op.window.h - pad_y + s.y, x = window_x * op.window.w - pad_x + s.x;
            const bool inside = s.exists && y >= 0 && x >= 0 && y < op.x.h && x < op.x.w;
            pixel[half] = pixel_of<T>(op.x, n, Place{y, x, 0, inside});
          }
          load_tokens(other[0], pixel, c, job.words_x);
#pragma unroll 1
          for (int part = 1; part <= 2; part++) {
            float kv[1][DP / 8][4];
            project_head(kv, op, job, other, part == 1 ? stage_k : stage_v, head, Part(part));
#pragma unroll
            for (int i = 0; i < DP / 8; i++)
#pragma unroll
              for (int e = 0; e < 4; e++)
                if (!pixel[e / 2]) kv[0][i][e] = 0;
            store_keys(part == 1 ? keys : values, job.own + at, kv);
          }
        }
      }
      project_head(sum, op, job, a, weights.arrive(3 * head + 2), head, Part::q);
#pragma unroll
      for (int m = 0; m < M; m++)
#pragma unroll
        for (int i = 0; i < DP / 16; i++) pack_block<T>(q[m][i], sum[m][2 * i], sum[m][2 * i + 1]);
    }

    float o[M][DP / 8][4], largest[M][2], total[M][2];
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int half = 0; half < 2; half++) largest[m][half] = kNoKey, total[m][half] = 0;
#pragma unroll
      for (int i = 0; i < DP / 8; i++)
#pragma unroll
        for (int e = 0; e < 4; e++) o[m][i][e] = 0;
    }
#pragma unroll 1
    for (int step = 0; step < job.keys; step += kStep) {
      float s[M][kStep / 8][4];
      if (!kAround && job.rows) {
        bias_of_rows(s, table + query[0][0] + step / kRow * kRowBias + 2 * pair);
      } else {
#pragma unroll
        for (int i = 0; i < kStep / 8; i++) {
          const Words key = *reinterpret_cast<const Words*>(words + step + i * 8 + 2 * pair);
#pragma unroll
          for (int m = 0; m < M; m++)
#pragma unroll
            for (int e = 0; e < 4; e++) s[m][i][e] = table[query[m][e / 2] + (key.v[e % 2] & 0xffffff)];
        }
      }
      if (masked) {
#pragma unroll
        for (int i = 0; i < kStep / 8; i++) {
          const Words key = *reinterpret_cast<const Words*>(words + step + i * 8 + 2 * pair);
#pragma unroll
          for (int m = 0; m < M; m++)
#pragma unroll
            for (int e = 0; e < 4; e++) s[m][i][e] = masked_logit(s[m][i][e], side[m][e / 2], key.v[e % 2]);
        }
      }
      add_scores<T, DP>(s, q, keys + step * DP);
#pragma unroll
      for (int m = 0; m < M; m++) {
        const float before[2] = {largest[m][0], largest[m][1]};
        row_maxima(s[m], largest[m]);
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const float shrink = exp2_fast(before[half] - largest[m][half]);
          total[m][half] *= shrink;
#pragma unroll
          for (int i = 0; i < DP / 8; i++) o[m][i][2 * half] *= shrink, o[m][i][2 * half + 1] *= shrink;
        }
        exponentials(s[m], largest[m], total[m]);
      }
      add_values<T, DP>(o, s, values + step * DP);
    }
#pragma unroll
    for (int m = 0; m < M; m++) store_attended(mine + m * 16 * job.row, job.row, head, op.d, o[m], total[m]);
  }
  project(op, job, weights, mine, a, n,
          [&](int i) { return place_of(op, window_y, window_x, first + i, true); });
}

// --- Launch ------------------------------------------------------------------------------------------------
int whole(int count, int step) { return (count + step - 1) / step * step; }

// stages: 0 if shared memory is too small.
Job job_for(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  Job job;
  shape_tokens(job, op);
  const int64_t tokens = op.window.pixels();
  job.own = whole(int(tokens), 16 * M);
  job.keys = job.own + whole(int(op.keys.pixels() - tokens), kStep);
  job.complete = job.own == tokens && job.keys == op.keys.pixels();
  job.rows = job.complete && op.window.w == kRow;
  const bool around = !(op.keys == op.window);
  for (job.stages = 3; job.stages >= (around ? 3 : 2); job.stages--) {
    job.ahead = around ? 1 : job.stages - 1;
    if (smem_bytes(job, op.bias.cin) <= size_t(device.smem_bytes)) return job;
  }
  job.stages = 0;
  return job;
}

template <class T, bool kAround>
void launch_mma(const AttentionSublayer<Tensor>& op, Stream& stream) {
  Job job = job_for(op, stream.device());
  describe_images(job, op);
  launch(attention_sublayer_wide_mma<T, kAround>,
         {.grid = {unsigned(job.count), unsigned(op.x.n)},
          .block = unsigned(job.own / (16 * M) * 32),
          .smem_bytes = smem_bytes(job, op.bias.cin),
          .stream = &stream},
         op, job);
}

void launch_any(const AttentionSublayer<Tensor>& op, Stream& stream, Rows) {
  const bool half = op.x.dtype == DType::f16, around = !(op.keys == op.window);
  if (half)
    around ? launch_mma<half_t, true>(op, stream) : launch_mma<half_t, false>(op, stream);
  else
    around ? launch_mma<bf16_t, true>(op, stream) : launch_mma<bf16_t, false>(op, stream);
}

const char* declines(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = declines_mma(op, device)) return reason;
  if (op.window.pixels() > kMostTokens || op.keys.pixels() > 1024)
    return "needs windows of at most 256 pixels, 1024 keys";
  if (op.d > DP || blocks_of(op.qkv.cin) > KB) return "needs heads of at most 32 channels, 192 in all";
  if (!(op.keys == op.window)) {
    if (op.norm_at == NormAt::before) return "needs keys around the window to be normalised beforehand";
    if (op.shift.h || op.shift.w || (op.keys.h - op.window.h) % 2 || (op.keys.w - op.window.w) % 2)
      return "needs keys centred on a window that is not shifted";
    if (op.y.data && op.y.data == op.x.data) return "reads keys of windows that others write";
  }
  if (job_for(op, device).stages == 0) return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const AttentionSublayerVariant kAttentionSublayerWideMma = {"wide", declines, launch_any};

}  // namespace ups::cuda
