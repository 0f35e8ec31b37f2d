// AttentionSublayer (kernels/sublayer_ops.h) in one kernel on tensor cores, for windows of at most 64 pixels
// that attend to themselves: x is read, y is written, and nothing in between leaves the chip.
//
// A block has 1, 2 or 4 windows; two warps share one, 32 tokens each (four warps and 16 tokens where 32 would
// fill the registers, beyond 192 channels). A warp loads its tokens as fragments, normalises them in
// registers and keeps them there. Weights then stream past all warps in chunks of one head's k, v or q (32
// outputs x all inputs, up to 16 KB), by cp.async, two or three chunks in flight; what a warp reads of a
// chunk serves all of its tokens, 128 bytes of shared memory per mma:
//   k, v    products go to shared memory (the window's warps read them)
//   q       stays in registers; then the scores of 16 x 64 pairs start as position bias + mask, computed from
//           coordinates; softmax in registers; p v goes to the warp's rows of `attended`
//   proj    chunks of 32 outputs; + bias + residual, stored
// One barrier per chunk does everything: it also says that k and v of the head are written (before q's chunk)
// and that all have read those of the head before (before k's chunk).
// Head dimensions are padded to DP = 16 or 32 by rows of zeros that the copies make: products there are zero.
// Behind the projection (Swin v2) the norm works on the warp's rows of `attended`, which are free by then.
//
// Shared memory: rows of `attended` are a multiple of 32 bytes plus 16, so 8 rows lie in 8 groups of 4 banks;
// for stages, keys and values see tokens.cuh and windows.cuh.
#include "kernels/device/windows.cuh"
#include "kernels/sublayers.h"

namespace ups::cuda {
namespace {

constexpr int kWindowTokens = 64;
[[maybe_unused]] constexpr int kMostThreads = 256;  // the emulator has no launch bounds
// Rows of 16 tokens that a warp owns: two, unless their fragments would fill the registers.
constexpr int rows_of(int kb) { return kb > 12 ? 1 : 2; }

struct Job {
  int windows = 1, stages = 2;     // of a block
  int blocks = 0;                  // of 16 channels, of what the warps hold: x, then attended
  int grid_w = 0, count = 0;       // windows per row, in all
  int row = 0;                     // elements per row of attended
  bool words_x, words_y, words_r;  // pairs of channels move as words
};

struct alignas(8) Words {
  int v[2];
};

struct Memory {
  alignas(16) unsigned char bytes[16];  // then: keys' words, keys, values, attended, stages
};

constexpr size_t words_bytes(const Job& job) { return size_t(job.windows) * kWindowTokens * sizeof(int); }
constexpr size_t keys_bytes(const Job& job, int dp) { return size_t(job.windows) * kWindowTokens * dp * 2; }
constexpr size_t attended_bytes(const Job& job) { return size_t(job.windows) * kWindowTokens * job.row * 2; }
constexpr size_t stage_elements(const Job& job) { return size_t(job.blocks) * 32 * 16; }
constexpr size_t smem_bytes(const Job& job, int dp) {
  return words_bytes(job) + 2 * keys_bytes(job, dp) + attended_bytes(job) +
         size_t(job.stages) * stage_elements(job) * 2;
}

// Where token `t` of a window lies. null beyond the window.
struct Place {
  int y, x, side;  // of the image; side of the seams
  bool exists;
};
__device__ __forceinline__ Place place_of(const AttentionSublayer<Tensor>& op, int window_y, int window_x,
                                          int t, bool exists) {
  const int ry = window_y * op.window.h + t / op.window.w, rx = window_x * op.window.w + t % op.window.w;
  const int side = beyond_seam(ry, op.shift.h, op.x.h) * 2 + beyond_seam(rx, op.shift.w, op.x.w);
  return {unrolled(ry, op.shift.h, op.x.h), unrolled(rx, op.shift.w, op.x.w), side,
          exists && t < op.window.h * op.window.w};
}

template <class T>
__device__ __forceinline__ const T* pixel_of(const Tensor& t, int n, const Place& p) {
  return p.exists ? static_cast<const T*>(t.data) + n * t.image + p.y * t.row + p.x * t.px : nullptr;
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
  T* stages = attended + size_t(job.windows) * kWindowTokens * job.row;

  const int lane = lane_index(), warp = warp_index(), group = lane / 4, pair = lane % 4;
  const int local = warp / kWindowWarps,
            first = warp % kWindowWarps * 16 * M;  // window of the block, token of it
  const int window = int(blockIdx.x) * job.windows + local, n = int(blockIdx.y);
  const bool exists = window < job.count;
  const int window_y = window / job.grid_w, window_x = window % job.grid_w;
  const int tokens = op.window.h * op.window.w, bias_w = 2 * op.window.w - 1;
  const int c = op.x.c, heads = op.heads, d = op.d;
  int* words = all_words + local * kWindowTokens;
  T* keys = all_keys + local * kWindowTokens * DP;
  T* values = all_values + local * kWindowTokens * DP;
  T* mine = attended + (local * kWindowTokens + first) * job.row;  // 16 M rows

  // Chunks: k, v, q of each head, then 32 outputs of proj each.
  const int chunks = 3 * heads + (c + 31) / 32;
  auto load = [&](int chunk) {
    T* stage = stages + chunk % job.stages * stage_elements(job);
    if (chunk < 3 * heads)
      copy_rows(stage, op.qkv, 0, job.blocks, (chunk % 3 + 1) % 3 * c + chunk / 3 * d, d, DP);
    else if (chunk < chunks)
      copy_rows(stage, op.proj, 0, job.blocks, (chunk - 3 * heads) * 32, c - (chunk - 3 * heads) * 32, 32);
    copy_commit();
  };
  for (int chunk = 0; chunk < job.stages - 1; chunk++) load(chunk);
  // Returns the chunk when it has arrived for all; all are done with the stage that is loaded next.
  auto arrive = [&](int chunk) -> const T* {
    if (job.stages == 3)
      copy_wait<1>();
    else
      copy_wait<0>();
    __syncthreads();
    load(chunk + job.stages - 1);
    return stages + chunk % job.stages * stage_elements(job);
  };

  // Of this lane's tokens:
  int query[M][2], side[M][2];
  uint32_t a[M][KB][4];
#pragma unroll
  for (int m = 0; m < M; m++) {
    const T* pixel[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int t = first + m * 16 + group + 8 * half;
      const Place p = place_of(op, window_y, window_x, t, exists);
      pixel[half] = pixel_of<T>(op.x, n, p);
      side[m][half] = p.side;
      const int qy = t / op.window.w, qx = t % op.window.w;
      query[m][half] = p.exists ? (op.window.h - 1 - qy) * bias_w + op.window.w - 1 - qx : 0;
    }
    load_tokens(a[m], pixel, c, job.words_x);
    if (op.norm_at == NormAt::before) normalise_tokens<T>(a[m], op.norm, c, op.eps);
  }
  if (lane < 16 * M) {
    const int t = first + lane;
    const Place p = place_of(op, window_y, window_x, t, exists);
    words[t] = t < tokens ? key_word(t / op.window.w * bias_w + t % op.window.w, p.side) : kAbsent;
  }
  const int spare = job.blocks * 16 - c;
  for (int i = lane; i < 16 * M * spare; i += 32)  // what follows the last channel is multiplied too
    mine[i % (16 * M) * job.row + c + i / (16 * M)] = T{0};

  uint32_t q[M][DP / 16][4];
#pragma unroll 1
  for (int chunk = 0; chunk < 3 * heads; chunk++) {
    const int head = chunk / 3, part = (chunk % 3 + 1) % 3;  // 1 k, 2 v, 0 q
    const T* stage = arrive(chunk);
    float sum[M][DP / 8][4];
#pragma unroll
    for (int i = 0; i < DP / 8; i++) {
      const int ch = i * 8 + 2 * pair;
      const float* bias = op.qkv.bias ? op.qkv.bias + part * c + head * d : nullptr;
      const float left = value_or_zero(bias, ch, d), right = value_or_zero(bias, ch + 1, d);
#pragma unroll
      for (int m = 0; m < M; m++) sum[m][i][0] = sum[m][i][2] = left, sum[m][i][1] = sum[m][i][3] = right;
    }
    multiply<T>(sum, a, stage, job.blocks, DP);
#pragma unroll
    for (int m = 0; m < M; m++) {
      float factor[2] = {1, 1};
      if (op.cosine && part != 2) inverse_lengths(sum[m], factor);
      if (part == 0) {
        const float scale = (op.cosine ? op.bias.bias[head] : op.scale) * kLog2e;
        factor[0] *= scale, factor[1] *= scale;
      }
#pragma unroll
      for (int i = 0; i < DP / 8; i++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[m][i][e] *= factor[e / 2];
      if (part != 0) {
        T* to = part == 1 ? keys : values;
#pragma unroll
        for (int i = 0; i < DP / 8; i++)
#pragma unroll
          for (int half = 0; half < 2; half++)
            *reinterpret_cast<uint32_t*>(to + key_unit<DP>(first + m * 16 + group + 8 * half, i) + 2 * pair) =
                pack2<T>(sum[m][i][2 * half], sum[m][i][2 * half + 1]);
      } else {
#pragma unroll
        for (int i = 0; i < DP / 16; i++) pack_block<T>(q[m][i], sum[m][2 * i], sum[m][2 * i + 1]);
      }
    }
    if (part != 0) continue;

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
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float inverse = 1.0f / quad_sum(total[half]);
        T* to = mine + (m * 16 + group + 8 * half) * job.row + head * d;
#pragma unroll
        for (int i = 0; i < DP / 8; i++)
          store_pair(to, i * 8 + 2 * pair, d, d % 2 == 0, o[i][2 * half] * inverse,
                     o[i][2 * half + 1] * inverse);
      }
    }
  }

  auto load_attended = [&] {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int kb = 0; kb < KB; kb++)
        if (kb < job.blocks)
          ldmatrix_x4(a[m][kb], mine + (m * 16 + lane % 16) * job.row + kb * 16 + lane / 16 * 8);
  };
  __syncwarp();
  load_attended();
  __syncwarp();
  const T* residual[M][2];
  T* out[M][2];
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const Place p = place_of(op, window_y, window_x, first + m * 16 + group + 8 * half, exists);
      residual[m][half] = pixel_of<T>(op.residual, n, p);
      out[m][half] = const_cast<T*>(pixel_of<T>(op.y, n, p));
    }
#pragma unroll 1
  for (int chunk = 3 * heads; chunk < chunks; chunk++) {
    const T* stage = arrive(chunk);
    const int first_out = (chunk - 3 * heads) * 32;
    float sum[M][4][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int ch = first_out + i * 8 + 2 * pair;
      const float left = value_or_zero(op.proj.bias, ch, c), right = value_or_zero(op.proj.bias, ch + 1, c);
#pragma unroll
      for (int m = 0; m < M; m++) sum[m][i][0] = sum[m][i][2] = left, sum[m][i][1] = sum[m][i][3] = right;
    }
    multiply<T>(sum, a, stage, job.blocks, 32);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int ch = first_out + i * 8 + 2 * pair;
          const float left = sum[m][i][2 * half], right = sum[m][i][2 * half + 1];
          if (op.norm_at == NormAt::after) {
            store_pair(mine + (m * 16 + group + 8 * half) * job.row, ch, job.blocks * 16, true, left, right);
            continue;
          }
          const uint32_t r = load_pair(residual[m][half], ch, c, job.words_r);
          store_pair(out[m][half], ch, c, job.words_y, left + low<T>(r), right + high<T>(r));
        }
  }
  copy_wait<0>();
  if (op.norm_at != NormAt::after) return;  // no barrier follows for anyone

  __syncwarp();
  load_attended();
#pragma unroll
  for (int m = 0; m < M; m++) {
    const Moments moments[2] = {moments_of<T>(a[m], 0, c, op.eps), moments_of<T>(a[m], 1, c, op.eps)};
#pragma unroll
    for (int kb = 0; kb < KB; kb++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int ch = channel_of(kb, i);
        const uint32_t r = load_pair(residual[m][i % 2], ch, c, job.words_r);
        store_pair(out[m][i % 2], ch, c, job.words_y,
                   normalised(low<T>(a[m][kb][i]), moments[i % 2], op.norm, ch, c) + low<T>(r),
                   normalised(high<T>(a[m][kb][i]), moments[i % 2], op.norm, ch + 1, c) + high<T>(r));
      }
  }
}

// --- Launch ------------------------------------------------------------------------------------------------
// Windows and stages that keep the most tokens on a multiprocessor: two windows if two such blocks fit, else
// as many as fit into one.
Job job_for(const AttentionSublayer<Tensor>& op, const DeviceInfo& device) {
  Job job;
  job.blocks = blocks_of(op.qkv.cin);
  job.row = job.blocks * 16 + 8;
  const int dp = op.d <= 16 && job.blocks <= 4 ? 16 : 32;
  const size_t most = size_t(device.smem_bytes);
  job.windows = 2, job.stages = 3;
  if (2 * (smem_bytes(job, dp) + 1024) <= most) return job;
  for (job.windows = job.blocks > 12 ? 2 : 4; job.windows >= 1; job.windows /= 2)
    for (job.stages = 3; job.stages >= 2; job.stages--)
      if (smem_bytes(job, dp) <= most) return job;
  job.windows = 0;
  return job;
}

template <class T, int KB, int DP>
void launch_mma(const AttentionSublayer<Tensor>& op, Stream& stream) {
  Job job = job_for(op, stream.device());
  job.grid_w = op.x.w / op.window.w;
  job.count = op.x.h / op.window.h * job.grid_w;
  job.words_x = moves_words(op.x), job.words_y = moves_words(op.y), job.words_r = moves_words(op.residual);
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
  if (device.sm < 80) return "needs sm_80 or newer";
  for (const Tensor* t : {&op.x, &op.residual, &op.y})
    if (t->dtype == DType::f32 || t->dtype != op.x.dtype) return "needs x, residual and y of one 16-bit type";
  if (op.qkv.dtype != op.x.dtype || op.proj.dtype != op.x.dtype) return "needs weights of x's dtype";
  if (!(op.keys == op.window) || op.window.pixels() > kWindowTokens)
    return "needs windows of at most 64 pixels that attend to themselves";
  if (op.proj.cin != op.qkv.cin) return "needs as many channels in all heads as in x";
  if (op.d > 32 || op.qkv.cin > 256) return "needs heads of at most 32 channels, 256 in all";
  if (job_for(op, device).windows == 0) return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const AttentionSublayerVariant kAttentionSublayerMma = {"mma", declines, launch_any};

}  // namespace ups::cuda
