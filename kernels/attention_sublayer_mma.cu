// AttentionSublayer (kernels/sublayer_ops.h) in one kernel on tensor cores, for windows of at most 64 pixels
// that attend to themselves: x is read, y is written, and nothing in between leaves the chip.
//
// A block has 1, 2 or 4 windows; two warps share one, 32 tokens each (four warps and 16 tokens where 32 would
// fill the registers, beyond 192 channels). A warp loads its tokens as fragments, normalises them in
// registers and keeps them there. Weights then stream past all warps in chunks of one head's k, v or q
// (attention_sublayer.cuh), two or three chunks in flight, 128 bytes of shared memory per mma:
//   k, v    products go to shared memory (the window's warps read them)
//   q       stays in registers; then the scores of 16 x 64 pairs start as position bias + mask, computed from
//           coordinates; softmax in registers; p v goes to the warp's rows of `attended`
//   proj    chunks of 32 outputs; + bias + residual, stored
// One barrier per chunk does everything: it also says that k and v of the head are written (before q's chunk)
// and that all have read those of the head before (before k's chunk).
//
// Shared memory: rows of `attended` are a multiple of 32 bytes plus 16, so 8 rows lie in 8 groups of 4 banks;
// for stages, keys and values see tokens.cuh and windows.cuh.
#include "kernels/device/attention_sublayer.cuh"
#include "kernels/sublayers.h"

namespace ups::cuda {
namespace {

constexpr int kWindowTokens = 64;
[[maybe_unused]] constexpr int kMostThreads = 256;  // the emulator has no launch bounds
// Rows of 16 tokens that a warp owns: two, unless their fragments would fill the registers.
constexpr int rows_of(int kb) { return kb > 12 ? 1 : 2; }

struct Job : SublayerJob {
  int windows = 1;  // of a block
};

struct Memory {
  alignas(16) unsigned char bytes[16];  // then: keys' words, keys, values, attended, stages
};

constexpr size_t words_bytes(const Job& job) { return size_t(job.windows) * kWindowTokens * sizeof(int); }
constexpr size_t keys_bytes(const Job& job, int dp) { return size_t(job.windows) * kWindowTokens * dp * 2; }
constexpr size_t attended_bytes(const Job& job) { return size_t(job.windows) * kWindowTokens * job.row * 2; }
constexpr size_t smem_bytes(const Job& job, int dp) {
  return words_bytes(job) + 2 * keys_bytes(job, dp) + attended_bytes(job) +
         size_t(job.stages) * stage_elements(job) * 2;
}

template <class T, int KB, int DP>
__global__ void __launch_bounds__(kMostThreads, 1)
    attention_sublayer_mma(AttentionSublayer<Tensor> op, Job job) {
  constexpr int M = rows_of(KB), kWindowWarps = kWindowTokens / (16 * M);
  unsigned char* memory = shared<Memory>().bytes;
  int* all_words = reinterpret_cast<int*>(memory);
  T* all_keys = reinterpret_cast<T*>(memory + words_bytes(job));
  T* all_values = all_keys + size_t(job.windows) * kWindowTokens * DP;
  T* attended = all_values + size_t(job.windows) * kWindowTokens * DP;
  const Chunks<T, DP> weights{op, job, attended + size_t(job.windows) * kWindowTokens * job.row};

  const int lane = lane_index(), warp = warp_index(), pair = lane % 4;
  const int local = warp / kWindowWarps,
            first = warp % kWindowWarps * 16 * M;  // window of the block, token of it
  const int window = int(blockIdx.x) * job.windows + local, n = int(blockIdx.y);
  const bool exists = window < job.count;
  const int window_y = window / job.grid_w, window_x = window % job.grid_w;
  const int tokens = op.window.h * op.window.w, bias_w = 2 * op.window.w - 1;
  const int c = op.x.c;
  int* words = all_words + local * kWindowTokens;
  T* keys = all_keys + local * kWindowTokens * DP;
  T* values = all_values + local * kWindowTokens * DP;
  T* mine = attended + (local * kWindowTokens + first) * job.row;  // 16 M rows
  weights.begin();

  int query[M][2], side[M][2];
  uint32_t a[M][KB][4];
  load_queries<T>(a, query, side, op, job, n, window_y, window_x, first, exists, bias_w);
  if (lane < 16 * M) {
    const int t = first + lane;
    const Place p = place_of(op, window_y, window_x, t, exists);
    words[t] = t < tokens ? key_word(t / op.window.w * bias_w + t % op.window.w, p.side) : kAbsent;
  }
  clear_spare<16 * M>(mine, job, c);

  uint32_t q[M][DP / 16][4];
#pragma unroll 1
  for (int chunk = 0; chunk < 3 * op.heads; chunk++) {
    const int head = chunk / 3;
    const Part part = Part((chunk % 3 + 1) % 3);
    const T* stage = weights.arrive(chunk);
    float sum[M][DP / 8][4];
    project_head(sum, op, job, a, stage, head, part);
    if (part != Part::q) {
      store_keys(part == Part::k ? keys : values, first, sum);
      continue;
    }
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < DP / 16; i++) pack_block<T>(q[m][i], sum[m][2 * i], sum[m][2 * i + 1]);

    const float* table = static_cast<const float*>(op.bias.w) + int64_t(head) * op.bias.cin;
#pragma unroll
    for (int m = 0; m < M; m++) {
      float s[kWindowTokens / 8][4];
#pragma unroll
      for (int i = 0; i < kWindowTokens / 8; i++) {
        const Words key = *reinterpret_cast<const Words*>(words + i * 8 + 2 * pair);
#pragma unroll
        for (int half = 0; half < 2; half++) {
          s[i][2 * half] = first_logit(table, query[m][half], side[m][half], key.v[0]);
          s[i][2 * half + 1] = first_logit(table, query[m][half], side[m][half], key.v[1]);
        }
      }
      add_scores<T, DP>(s, q[m], keys);
      float largest[2] = {kNoKey, kNoKey}, total[2] = {0, 0};
      row_maxima(s, largest);
      exponentials(s, largest, total);
      float o[DP / 8][4];
#pragma unroll
      for (int i = 0; i < DP / 8; i++)
#pragma unroll
        for (int e = 0; e < 4; e++) o[i][e] = 0;
      add_values<T, DP>(o, s, values);
      store_attended(mine + m * 16 * job.row, job.row, head, op.d, o, total);
    }
  }
  project(op, job, weights, mine, a, n,
          [&](int i) { return place_of(op, window_y, window_x, first + i, exists); });
}

// --- Launch ------------------------------------------------------------------------------------------------
// Windows and stages that keep the most tokens on a multiprocessor: two windows if two such blocks fit, else
// as many as fit into one.
Job job_for(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  Job job;
  shape_tokens(job, op);
  const int dp = op.d <= 16 && job.blocks <= 4 ? 16 : 32;
  const size_t most = size_t(device.smem_bytes);
  job.windows = 2, job.stages = 3, job.ahead = 2;
  if (2 * (smem_bytes(job, dp) + 1024) <= most) return job;
  for (job.windows = job.blocks > 12 ? 2 : 4; job.windows >= 1; job.windows /= 2)
    for (job.stages = 3; job.stages >= 2; job.stages--) {
      job.ahead = job.stages - 1;
      if (smem_bytes(job, dp) <= most) return job;
    }
  job.windows = 0;
  return job;
}

template <class T, int KB, int DP>
void launch_mma(const AttentionSublayer<Tensor>& op, Stream& stream) {
  Job job = job_for(op, stream.device());
  describe_images(job, op);
  launch(attention_sublayer_mma<T, KB, DP>,
         {.grid = {unsigned((job.count + job.windows - 1) / job.windows), unsigned(op.x.n)},
          .block = unsigned(job.windows * 32 * kWindowTokens / (16 * rows_of(KB))),
          .smem_bytes = smem_bytes(job, DP),
          .stream = &stream},
         op, job);
}

template <class T>
void launch_typed(const AttentionSublayer<Tensor>& op, Stream& stream) {
  const int blocks = blocks_of(op.qkv.cin);
  if (blocks <= 4) return op.d <= 16 ? launch_mma<T, 4, 16>(op, stream) : launch_mma<T, 4, 32>(op, stream);
  if (blocks <= 12) return launch_mma<T, 12, 32>(op, stream);
  launch_mma<T, 16, 32>(op, stream);
}

void launch_any(const AttentionSublayer<Tensor>& op, Stream& stream, Rows) {
  op.x.dtype == DType::f16 ? launch_typed<half_t>(op, stream) : launch_typed<bf16_t>(op, stream);
}

const char* declines(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = declines_mma(op, device)) return reason;
  if (!(op.keys == op.window) || op.window.pixels() > kWindowTokens)
    return "needs windows of at most 64 pixels that attend to themselves";
  if (op.d > 32 || op.qkv.cin > 256) return "needs heads of at most 32 channels, 256 in all";
  if (job_for(op, device).windows == 0) return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const AttentionSublayerVariant kAttentionSublayerMma = {"mma", declines, launch_any};

}  // namespace ups::cuda
