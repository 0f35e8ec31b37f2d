// WindowAttention (kernels/ops.h) on tensor cores: windows and key patches of any size that fits into shared
// memory (SwinIR 8, HAT 16 and 24, DAT 8 x 32), heads of at most 32 channels.
//
// A block serves one head of one window. All its keys and values are loaded once, half a warp per key, as
// rows of DP = 16 or 32 channels padded with zeros; a key outside of the image is a row of zeros. The
// position bias of the head and a word per key (windows.cuh) lie beside them. A warp then takes 16 queries at
// a time and runs over the keys in steps of 64, without barriers: scores start as bias + mask, softmax is the
// streaming one (maximum and sum so far, Milakov and Gimelshein 2018) in registers, p v accumulates in
// registers. Neighbouring queries read neighbouring places of the bias, or the same: no bank conflicts.
#include "kernels/device/windows.cuh"
#include "kernels/window_attention.h"

namespace ups::cuda {
namespace {

constexpr int kMostWarps = 8, kStep = 64;  // keys per step

struct Job {
  int grid_w = 0;  // windows per row
  int keys = 0;    // rounded up to whole steps
  bool words_x, words_y;
};

// A query: its pixel, the side of the seams it lies on, and what brings a key's place to key minus query.
struct Query {
  int y, x, side, place;
  bool exists;
};

struct Memory {
  alignas(16) unsigned char bytes[16];  // then: keys, values, offsets, words, bias
};

constexpr size_t smem_bytes(int keys, int places, int dp) {
  return size_t(keys) * (2 * dp * 2 + sizeof(int64_t) + sizeof(int)) + size_t(places) * sizeof(float);
}

template <class T, int DP>
__global__ void __launch_bounds__(32 * kMostWarps, 2)
    window_attention_mma(WindowAttention<Tensor> op, Job job) {
  T* keys = reinterpret_cast<T*>(shared<Memory>().bytes);
  T* values = keys + job.keys * DP;
  int64_t* offsets = reinterpret_cast<int64_t*>(values + job.keys * DP);
  int* words = reinterpret_cast<int*>(offsets + job.keys);
  float* table = reinterpret_cast<float*>(words + job.keys);

  const int lane = lane_index(), warp = warp_index(), group = lane / 4, pair = lane % 4;
  const int threads = int(blockDim.x), tid = int(threadIdx.x), n = int(blockIdx.y);
  const int head = int(blockIdx.x) % op.heads, window = int(blockIdx.x) / op.heads;
  const int window_y = window / job.grid_w * op.window.h, window_x = window % job.grid_w * op.window.w;
  const Extent grid = op.grid();
  const int d = op.d, width = op.x.c / 3, bias_w = op.window.w + op.keys.w - 1;
  const T* x = static_cast<const T*>(op.x.data) + n * op.x.image + op.first + head * d;

  // Where keys are; -1: outside of the image.
  const int first_y = window_y - (op.keys.h - op.window.h) / 2;
  const int first_x = window_x - (op.keys.w - op.window.w) / 2;
  const bool own = op.keys == op.window;
  for (int key = tid; key < job.keys; key += threads) {
    const int ky = key / op.keys.w, kx = key % op.keys.w, ry = first_y + ky, rx = first_x + kx;
    offsets[key] = -1, words[key] = kAbsent;
    if (ky >= op.keys.h) continue;
    int side = 0;
    if (own) side = beyond_seam(ry, op.shift.h, grid.h) * 2 + beyond_seam(rx, op.shift.w, grid.w);
    words[key] = key_word(ky * bias_w + kx, side);
    if (ry < 0 || rx < 0 || ry >= grid.h || rx >= grid.w) continue;
    const int y = unrolled(ry, op.shift.h, grid.h), x_at = unrolled(rx, op.shift.w, grid.w);
    if (y < op.x.h && x_at < op.x.w) offsets[key] = y * op.x.row + x_at * op.x.px;
  }
  for (int i = tid; i < op.bias.cin; i += threads)
    table[i] = static_cast<const float*>(op.bias.w)[int64_t(head) * op.bias.cin + i];
  __syncthreads();

  // Two channels per thread, DP / 2 threads per key; whole warps, because lengths are sums over them.
  constexpr int kThreadsPerKey = DP / 2;
  const int ch = tid % kThreadsPerKey * 2;
#pragma unroll 4
  for (int key = tid / kThreadsPerKey; key < job.keys; key += threads / kThreadsPerKey) {
    const T* pixel = offsets[key] < 0 ? nullptr : x + offsets[key];
    uint32_t k = load_pair(pixel ? pixel + width : nullptr, ch, d, job.words_x);
    const uint32_t v = load_pair(pixel ? pixel + 2 * width : nullptr, ch, d, job.words_x);
    if (op.cosine) {
      float squares = low<T>(k) * low<T>(k) + high<T>(k) * high<T>(k);
#pragma unroll
      for (int mask = 1; mask < kThreadsPerKey; mask *= 2) squares += shuffle_xor(squares, mask);
      const float inverse = 1.0f / fmaxf(sqrtf(squares), 1e-12f);
      k = pack2<T>(low<T>(k) * inverse, high<T>(k) * inverse);
    }
    *reinterpret_cast<uint32_t*>(keys + key_unit<DP>(key, ch / 8) + ch % 8) = k;
    *reinterpret_cast<uint32_t*>(values + key_unit<DP>(key, ch / 8) + ch % 8) = v;
  }
  __syncthreads();

  const int queries = op.window.h * op.window.w;
  auto query_at = [&](int t) {
    const int qy = t / op.window.w, qx = t % op.window.w, ry = window_y + qy, rx = window_x + qx;
    Query p{unrolled(ry, op.shift.h, grid.h), unrolled(rx, op.shift.w, grid.w), 0, 0, false};
    p.exists = t < queries && p.y < op.x.h && p.x < op.x.w;
    if (own) p.side = beyond_seam(ry, op.shift.h, grid.h) * 2 + beyond_seam(rx, op.shift.w, grid.w);
    if (p.exists) p.place = (op.window.h - 1 - qy) * bias_w + op.window.w - 1 - qx;
    return p;
  };
#pragma unroll 1
  for (int first = warp * 16; first < queries; first += threads / 2) {
    uint32_t q[DP / 16][4];
    int place[2], side[2];
    {
      const T* pixel[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const Query p = query_at(first + group + 8 * half);
        side[half] = p.side, place[half] = p.place;
        pixel[half] = p.exists ? x + p.y * op.x.row + p.x * op.x.px : nullptr;
      }
      load_tokens(q, pixel, d, job.words_x);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float scale = op.scale;
      if (op.cosine) {
        float squares = 0;
#pragma unroll
        for (int kb = 0; kb < DP / 16; kb++)
#pragma unroll
          for (int i = half; i < 4; i += 2)
            squares += low<T>(q[kb][i]) * low<T>(q[kb][i]) + high<T>(q[kb][i]) * high<T>(q[kb][i]);
        scale = op.bias.bias[head] / fmaxf(sqrtf(quad_sum(squares)), 1e-12f);
      }
      scale *= kLog2e;
#pragma unroll
      for (int kb = 0; kb < DP / 16; kb++)
#pragma unroll
        for (int i = half; i < 4; i += 2)
          q[kb][i] = pack2<T>(low<T>(q[kb][i]) * scale, high<T>(q[kb][i]) * scale);
    }

    float o[DP / 8][4], largest[2] = {kNoKey, kNoKey}, total[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < DP / 8; i++)
#pragma unroll
      for (int e = 0; e < 4; e++) o[i][e] = 0;
#pragma unroll 1
    for (int step = 0; step < job.keys; step += kStep) {
      float s[kStep / 8][4];
#pragma unroll
      for (int i = 0; i < kStep / 8; i++) {
        const Words key = *reinterpret_cast<const Words*>(words + step + i * 8 + 2 * pair);
#pragma unroll
        for (int half = 0; half < 2; half++) {
          s[i][2 * half] = first_logit(table, place[half], side[half], key.v[0]);
          s[i][2 * half + 1] = first_logit(table, place[half], side[half], key.v[1]);
        }
      }
      add_scores<T, DP>(s, q, keys + step * DP);
      float before[2] = {largest[0], largest[1]};
      row_maxima(s, largest);
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float shrink = exp2_fast(before[half] - largest[half]);
        total[half] *= shrink;
#pragma unroll
        for (int i = 0; i < DP / 8; i++) o[i][2 * half] *= shrink, o[i][2 * half + 1] *= shrink;
      }
      exponentials(s, largest, total);
      add_values<T, DP>(o, s, values + step * DP);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float inverse = 1.0f / quad_sum(total[half]);
      const Query p = query_at(first + group + 8 * half);
      T* out = p.exists
                   ? static_cast<T*>(op.y.data) + n * op.y.image + p.y * op.y.row + p.x * op.y.px + head * d
                   : nullptr;
#pragma unroll
      for (int i = 0; i < DP / 8; i++)
        store_pair(out, i * 8 + 2 * pair, d, job.words_y, o[i][2 * half] * inverse,
                   o[i][2 * half + 1] * inverse);
    }
  }
}

// --- Launch ------------------------------------------------------------------------------------------------
int padded_dim(const WindowAttention<Tensor>& op) { return op.d <= 16 ? 16 : 32; }
int padded_keys(const WindowAttention<Tensor>& op) {
  return (op.keys.h * op.keys.w + kStep - 1) / kStep * kStep;
}
bool even(int v) { return v % 2 == 0; }

template <class T, int DP>
void launch_mma(const WindowAttention<Tensor>& op, Stream& stream) {
  const Extent grid = op.grid();
  Job job;
  job.grid_w = grid.w / op.window.w;
  job.keys = padded_keys(op);
  // A head begins at first + head * d.
  job.words_x = moves_words(op.x) && even(op.d) && even(op.first);
  job.words_y = moves_words(op.y) && even(op.d);
  const int warps = min(kMostWarps, (op.window.h * op.window.w + 15) / 16);
  launch(
      window_attention_mma<T, DP>,
      {.grid = {unsigned(job.grid_w) * unsigned(grid.h / op.window.h) * unsigned(op.heads), unsigned(op.x.n)},
       .block = unsigned(warps) * 32,
       .smem_bytes = smem_bytes(job.keys, op.bias.cin, DP),
       .stream = &stream},
      op, job);
}

void launch_any(const WindowAttention<Tensor>& op, Stream& stream, Rows) {
  if (op.x.dtype == DType::f16)
    padded_dim(op) == 16 ? launch_mma<half_t, 16>(op, stream) : launch_mma<half_t, 32>(op, stream);
  else
    padded_dim(op) == 16 ? launch_mma<bf16_t, 16>(op, stream) : launch_mma<bf16_t, 32>(op, stream);
}

const char* declines(const WindowAttention<Tensor>& op, const DeviceInfo& device) {
  if (device.sm < 80) return "needs sm_80 or newer";
  if (op.x.dtype == DType::f32 || op.y.dtype != op.x.dtype) return "needs x and y of one 16-bit type";
  if (op.d > 32) return "needs heads of at most 32 channels";
  if (smem_bytes(padded_keys(op), op.bias.cin, padded_dim(op)) > size_t(device.smem_bytes))
    return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const WindowAttentionVariant kWindowAttentionMma = {"mma", declines, launch_any};

}  // namespace ups::cuda
