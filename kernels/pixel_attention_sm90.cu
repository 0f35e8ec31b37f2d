// Attention (kernels/ops.h) for Hopper: one head of up to 512 channels on wgmma, f16 or bf16, sums in f32.
//
//   A block owns 64 queries. Keys pass in tiles of 128, in chunks of 16 KB that four warps load by cp.async
//   into a ring: of K all 128 keys x 64 channels, then of V 16 keys x 512 channels. Two warpgroups multiply:
//     scores = Q K^T   each its 64 keys, m64n64k16, both factors from shared memory;
//     softmax          as it streams; a row's maximum crosses the warpgroups, its fading factor is needed by
//                      the same threads that hold the row's sums. Weights go to shared memory in 16 bits;
//     sums += weights V  each its 256 channels of V, m64n256k16, V as it is stored: rows along k.
//   Per tile 4096 cycles of tensor core on 256 KB. The order of all sums is fixed. Channels beyond those of
//   the image are zeros.
#include "kernels/device/copy.cuh"
#include "kernels/device/quad.cuh"
#include "kernels/device/wgmma.cuh"
#include "kernels/pixel_attention_variants.h"

namespace ups::cuda {
namespace {

constexpr int kQueries = 64, kKeys = 128, kD = 512;
constexpr int kUnits = 8;  // of 8 channels in a row of 128 bytes
constexpr int kConsumers = 256, kProducers = 128, kThreads = kConsumers + kProducers;
constexpr int kStages = 8, kStageBytes = 16 << 10;
constexpr int kValueChunks = 8, kBlockBytes = kQueries * 128;  // of Q and the weights, by 64 columns
constexpr float kLowest = -1e30f;  // below every score, and 2^(kLowest - score) = 0

struct Job {
  int first, end;    // queries
  float scale_log2;  // scores are exponents of two
};

struct Smem {
  alignas(1024) char q[kD / 64 * kBlockBytes];
  char weights[kKeys / 64 * kBlockBytes];
  char stage[kStages][kStageBytes];
  alignas(8) uint64_t query_full, full[kStages], empty[kStages];
  float most[2][kQueries];
};

// Where unit `unit` of a swizzled row lies, in an array that begins on 1024 bytes.
__device__ __forceinline__ int swizzled(int row, int unit) { return row * 128 + ((unit ^ (row & 7)) * 16); }

// 16 bytes of token t from channel c on; zeros beyond tokens and channels.
template <class T>
__device__ __forceinline__ void load_unit(char* to, const Tensor& x, int image, int t, int tokens, int c) {
  const T* const data = static_cast<const T*>(x.data);
  const bool exists = t < tokens && c < x.c;
  copy_async<16>(to, exists ? data + image * x.image + t * x.px + c : data, exists ? 16 : 0);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) attention_wgmma(Attention<Tensor> op, Job job) {
  Smem& s = shared<Smem>();
  const int tid = int(threadIdx.x), query0 = job.first + int(blockIdx.x) * kQueries, image = int(blockIdx.y);
  const int tokens = op.k.h * op.k.w, key_chunks = (op.k.c + 63) / 64;
  if (tid == 0) {
    mbarrier_init(&s.query_full, kProducers);
    for (int i = 0; i < kStages; i++) {
      mbarrier_init(&s.full[i], kProducers);
      mbarrier_init(&s.empty[i], kConsumers / 32);
    }
    mbarrier_init_fence();
  }
  __syncthreads();

  if (tid >= kConsumers) {  // load
    registers_release<64>();
    const int t = tid - kConsumers, unit = t % kUnits, first = t / kUnits;
    constexpr int kStep = kProducers / kUnits;
    for (int block = 0; block < key_chunks; block++)
      for (int row = first; row < kQueries; row += kStep)
        load_unit<T>(s.q + block * kBlockBytes + swizzled(row, unit), op.x, image, query0 + row, job.end,
                     block * 64 + unit * 8);
    copy_arrive(&s.query_full);
    int slot = 0;
    unsigned parity = 1;  // the first round finds empty slots
    for (int key = 0; key < tokens; key += kKeys)
      for (int chunk = 0; chunk < key_chunks + kValueChunks; chunk++) {
        mbarrier_wait(&s.empty[slot], parity);
        char* const to = s.stage[slot];
        if (chunk < key_chunks) {
#pragma unroll 2
          for (int row = first; row < kKeys; row += kStep)
            load_unit<T>(to + swizzled(row, unit), op.k, image, key + row, tokens, chunk * 64 + unit * 8);
        } else {
#pragma unroll 2
          for (int block = 0; block < kD / 64; block++)
            load_unit<T>(to + block * kStep * 128 + swizzled(first, unit), op.v, image,
                         key + (chunk - key_chunks) * 16 + first, tokens, block * 64 + unit * 8);
        }
        copy_arrive(&s.full[slot]);
        if (++slot == kStages) slot = 0, parity ^= 1;
      }
  } else {  // multiply
    registers_take<224>();
    const int group = tid / 128, lane = tid % 32, quad = lane % 4, row0 = tid % 128 / 32 * 16 + lane / 4;
    float out[128], score[32];
#pragma unroll
    for (int i = 0; i < 128; i++) out[i] = 0;
#pragma unroll
    for (int i = 0; i < 32; i++) score[i] = 0;
    float highest[2] = {kLowest, kLowest}, total[2] = {0, 0};  // of rows row0 and + 8; own weights only
    int slot = 0, done = -1;                                   // done: slot of the product before
    unsigned parity = 0;
    // Waits for the next chunk.
    auto arrive_at = [&] {
      mbarrier_wait(&s.full[slot], parity);
      fence_async_proxy();
      return s.stage[slot];
    };
    // After a product was enqueued: the one before is finished, and its chunk no longer needed.
    auto enqueued = [&] {
      wgmma_commit();
      wgmma_wait<1>();
      if (lane == 0 && done >= 0) mbarrier_arrive(&s.empty[done]);
      done = slot;
      if (++slot == kStages) slot = 0, parity ^= 1;
    };
    mbarrier_wait(&s.query_full, 0);
    for (int key0 = 0; key0 < tokens; key0 += kKeys) {
#pragma unroll 1
      for (int chunk = 0; chunk < key_chunks; chunk++) {
        const uint64_t b = matrix_descriptor(arrive_at() + group * 64 * 128),
                       a = matrix_descriptor(s.q + chunk * kBlockBytes);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < 4; k++)
          wgmma_m64k16<T, 64>(score, a + uint64_t(k * 32) / 16, b + uint64_t(k * 32) / 16,
                              k > 0 || chunk > 0);
        enqueued();
      }
      wgmma_wait<0>();
      if (lane == 0) mbarrier_arrive(&s.empty[done]);
      done = -1;

      const int key = key0 + group * 64 + quad * 2;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float most = kLowest;
#pragma unroll
        for (int i = 0; i < 16; i++) {
          float& x = score[i / 2 * 4 + half * 2 + i % 2];
          x = key + i / 2 * 8 + i % 2 < tokens ? x * job.scale_log2 : kLowest;
          most = fmaxf(most, x);
        }
        most = quad_max(most);
        if (quad == 0) s.most[group][row0 + half * 8] = most;
      }
      named_barrier(1, kConsumers);  // also: all are done with the weights of the tile before
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = row0 + half * 8;
        const float now = fmaxf(highest[half], fmaxf(s.most[0][row], s.most[1][row]));
        const float fade = exp2f(highest[half] - now);
        highest[half] = now;
        float sum = 0;
#pragma unroll
        for (int j = 0; j < 8; j++) {
          const float w0 = exp2f(score[j * 4 + half * 2] - now),
                      w1 = exp2f(score[j * 4 + half * 2 + 1] - now);
          sum += w0 + w1;
          *reinterpret_cast<uint32_t*>(s.weights + group * kBlockBytes + swizzled(row, j) + quad * 4) =
              pack2<T>(w0, w1);
        }
        total[half] = total[half] * fade + sum;
        if (fade != 1) {  // rarely, after the first tiles
#pragma unroll
          for (int i = 0; i < 32; i++) out[i * 4 + half * 2] *= fade, out[i * 4 + half * 2 + 1] *= fade;
        }
      }
      fence_async_proxy();
      named_barrier(2, kConsumers);  // the weights are there
#pragma unroll 1
      for (int chunk = 0; chunk < kValueChunks; chunk++) {
        const uint64_t b = rows_descriptor(arrive_at() + group * 4 * 16 * 128, 16 * 128),
                       a = matrix_descriptor(s.weights + chunk / 4 * kBlockBytes + chunk % 4 * 32);
        wgmma_fence();
        wgmma_m64n256k16_rows<T>(out, a, b);
        enqueued();
      }
    }
    wgmma_wait<0>();
    named_barrier(1, kConsumers);  // the maxima have been read
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float sum = quad_sum(total[half]);
      if (quad == 0) s.most[group][row0 + half * 8] = sum;
    }
    named_barrier(2, kConsumers);
    T* const y = static_cast<T*>(op.y.data) + image * op.y.image;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = row0 + half * 8;
      const float share = 1 / (s.most[0][row] + s.most[1][row]);
#pragma unroll
      for (int i = 0; i < 8; i++) {  // 32 channels
        uint32_t words[4];
#pragma unroll
        for (int j = 0; j < 4; j++)
          words[j] =
              pack2<T>(out[(i * 4 + j) * 4 + half * 2] * share, out[(i * 4 + j) * 4 + half * 2 + 1] * share);
        const Vec16 eight = transpose_quad(words);
        const int c = group * 256 + i * 32 + quad * 8;
        if (query0 + row < job.end && c < op.y.c)
          *reinterpret_cast<Vec16*>(y + (query0 + row) * op.y.px + c) = eight;
      }
    }
  }
}

template <class T>
void launch_dtype(const Attention<Tensor>& op, Stream& stream, const Job& job) {
  launch(attention_wgmma<T>,
         {.grid = {unsigned((job.end - job.first + kQueries - 1) / kQueries), unsigned(op.x.n)},
          .block = kThreads,
          .smem_bytes = sizeof(Smem),
          .stream = &stream},
         op, job);
}

void launch_wgmma(const Attention<Tensor>& op, Stream& stream, Rows rows) {
  const Job job{rows.begin * op.x.w, rows.end * op.x.w, op.scale * 1.44269504f};
  op.x.dtype == DType::f16 ? launch_dtype<half_t>(op, stream, job) : launch_dtype<bf16_t>(op, stream, job);
}

const char* wgmma_declines(const Attention<Tensor>& op, const DeviceInfo& device) {
  if (device.sm != 90) return "needs sm_90";
  if (device.smem_bytes < int(sizeof(Smem))) return "needs more shared memory than the device has";
  if (op.x.c > kD || op.v.c > kD || op.v.c <= 128) return "needs more than 128 and at most 512 channels";
  return kAttentionMma.declines(op, device);
}

}  // namespace

const AttentionVariant kAttentionWgmma = {"wgmma", wgmma_declines, launch_wgmma};

}  // namespace ups::cuda
