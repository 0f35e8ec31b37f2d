// MlpSublayer (kernels/sublayer_ops.h) in one kernel on tensor cores: x is read, y is written, the hidden
// channels never leave the registers.
//
// A warp owns 16 tokens: it loads them as fragments, normalises them in registers, and keeps the sums of all
// outputs. Weights stream past all warps in steps of 32 hidden channels, by
// cp.async, the next step behind the arithmetic: fc1's 32 rows of all inputs, then fc2's two blocks of 16
// inputs for all outputs. The 16 x 32 sums of fc1 become, through GELU, two fragments that fc2 multiplies:
// the layouts agree, nothing is exchanged. Per step and warp (180 channels): 48 + 48 mma for 48 ldmatrix.x4,
// 256 bytes of shared memory per mma.
#include "kernels/device/arithmetic.cuh"
#include "kernels/device/tokens.cuh"
#include "kernels/sublayers.h"

namespace ups::cuda {
namespace {

constexpr int kMostWarps = 8, kHidden = 32;  // hidden channels per step

struct Job {
  int warps = kMostWarps, stages = 2;
  int blocks = 0;                 // of 16 channels of x and y
  int first_row = 0, pixels = 0;  // pixels of the rows
  bool words_x, words_y, words_add;
};

struct Memory {
  alignas(16) unsigned char bytes[16];  // then stages: [blocks][step][16] of fc1, [step / 16][16 blocks][16]
                                        // of fc2
};

constexpr size_t half_stage(const Job& job) { return size_t(job.blocks) * kHidden * 16; }
constexpr size_t smem_bytes(const Job& job) { return job.stages * 2 * half_stage(job) * 2; }

template <class T, int KB>
__global__ void __launch_bounds__(32 * kMostWarps, 1) mlp_sublayer_mma(MlpSublayer<Tensor> op, Job job) {
  T* stages = reinterpret_cast<T*>(shared<Memory>().bytes);
  const int lane = lane_index(), group = lane / 4, pair = lane % 4;
  const int n = int(blockIdx.y), c = op.x.c, hidden = op.fc1.cout;
  const int token = (int(blockIdx.x) * job.warps + warp_index()) * 16 + group;
  const int steps = (hidden + kHidden - 1) / kHidden, half_elements = int(half_stage(job));

  auto load = [&](int step) {
    if (step < steps) {
      T* stage = stages + step % job.stages * 2 * half_elements;
      copy_rows(stage, op.fc1, 0, job.blocks, step * kHidden, hidden - step * kHidden, kHidden);
      copy_rows(stage + half_elements, op.fc2, step * (kHidden / 16), kHidden / 16, 0, cout_padded(c),
                job.blocks * 16);
    }
    copy_commit();
  };
  for (int step = 0; step < job.stages - 1; step++) load(step);

  // A pixel of this lane in t; null where there is none.
  auto pixel_of = [&](const Tensor& t, int half) -> const T* {
    const int i = token + 8 * half;
    if (!t.data || i >= job.pixels) return nullptr;
    const int y = job.first_row + i / t.w, x = i % t.w;
    return static_cast<const T*>(t.data) + n * t.image + y * t.row + x * t.px;
  };
  uint32_t a[1][KB][4];
  {
    const T* pixel[2] = {pixel_of(op.x, 0), pixel_of(op.x, 1)};
    load_tokens(a[0], pixel, c, job.words_x);
    if (op.norm_at == NormAt::before) normalise_tokens<T>(a[0], op.norm, c, op.eps);
  }

  float sum[2 * KB][4];
#pragma unroll
  for (int i = 0; i < 2 * KB; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) sum[i][e] = value_or_zero(op.fc2.bias, i * 8 + 2 * pair + e % 2, c);

#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    if (job.stages == 3)
      copy_wait<1>();
    else
      copy_wait<0>();
    __syncthreads();  // step has arrived for all; all are done with the stage that is loaded next
    load(step + job.stages - 1);
    const T* stage = stages + step % job.stages * 2 * half_elements;
    float h[1][kHidden / 8][4];
#pragma unroll
    for (int i = 0; i < kHidden / 8; i++)
#pragma unroll
      for (int e = 0; e < 4; e++)
        h[0][i][e] = value_or_zero(op.fc1.bias, step * kHidden + i * 8 + 2 * pair + e % 2, hidden);
    multiply<T>(h, a, stage, job.blocks, kHidden);
    uint32_t p[kHidden / 16][4];
#pragma unroll
    for (int i = 0; i < kHidden / 8; i++)
#pragma unroll
      for (int e = 0; e < 4; e++) h[0][i][e] = gelu_fast(h[0][i][e]);  // gelu(0) = 0 beyond the last
#pragma unroll
    for (int i = 0; i < kHidden / 16; i++) pack_block<T>(p[i], h[0][2 * i], h[0][2 * i + 1]);
    const T* second = stage + half_elements;
    const int row = lane / 16 * 8 + lane % 8, unit = lane / 8 % 2;
#pragma unroll
    for (int i = 0; i < KB; i++) {
      if (i >= job.blocks) continue;
#pragma unroll
      for (int kb = 0; kb < kHidden / 16; kb++) {
        uint32_t b[4];
        ldmatrix_x4(b, second + row_unit(kb * job.blocks * 16 + i * 16 + row, unit));
        mma_m16n8k16<T>(sum[2 * i], p[kb], b[0], b[1]);
        mma_m16n8k16<T>(sum[2 * i + 1], p[kb], b[2], b[3]);
      }
    }
  }
  copy_wait<0>();

  Moments m[2] = {{0, 1}, {0, 1}};
  if (op.norm_at == NormAt::after) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float total = 0, squares = 0;
#pragma unroll
      for (int i = 0; i < 2 * KB; i++) total += sum[i][2 * half] + sum[i][2 * half + 1];  // zero beyond c
      m[half].mean = quad_sum(total) / float(c);
#pragma unroll
      for (int i = 0; i < 2 * KB; i++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const float v = sum[i][2 * half + e] - m[half].mean;
          if (i * 8 + 2 * pair + e < c) squares += v * v;
        }
      m[half].scale = 1.0f / sqrtf(quad_sum(squares) / float(c) + op.eps);
    }
#pragma unroll
    for (int i = 0; i < 2 * KB; i++)
#pragma unroll
      for (int e = 0; e < 4; e++)
        sum[i][e] = normalised(sum[i][e], m[e / 2], op.norm, i * 8 + 2 * pair + e % 2, c);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const T *x = pixel_of(op.x, half), *add = pixel_of(op.add.t, half);
    T* y = const_cast<T*>(pixel_of(op.y, half));
#pragma unroll
    for (int i = 0; i < 2 * KB; i++) {
      const int ch = i * 8 + 2 * pair;
      const uint32_t r = load_pair(x, ch, c, job.words_x), other = load_pair(add, ch, c, job.words_add);
      store_pair(y, ch, c, job.words_y, sum[i][2 * half] + low<T>(r) + op.add.scale * low<T>(other),
                 sum[i][2 * half + 1] + high<T>(r) + op.add.scale * high<T>(other));
    }
  }
}

// --- Launch ------------------------------------------------------------------------------------------------
Job job_for(const MlpSublayer<Tensor>& op, const DeviceInfo& device) {
  Job job;
  job.blocks = blocks_of(op.fc1.cin);
  for (job.stages = 3; job.stages >= 2; job.stages--)
    if (smem_bytes(job) <= size_t(device.smem_bytes)) return job;
  job.stages = 0;
  return job;
}

template <class T, int KB>
void launch_mma(const MlpSublayer<Tensor>& op, Stream& stream, Rows rows) {
  Job job = job_for(op, stream.device());
  job.first_row = rows.begin, job.pixels = (rows.end - rows.begin) * op.x.w;
  job.words_x = moves_words(op.x), job.words_y = moves_words(op.y), job.words_add = moves_words(op.add.t);
  const int tokens = job.warps * 16;
  launch(mlp_sublayer_mma<T, KB>,
         {.grid = {unsigned((job.pixels + tokens - 1) / tokens), unsigned(op.x.n)},
          .block = unsigned(job.warps) * 32,
          .smem_bytes = smem_bytes(job),
          .stream = &stream},
         op, job);
}

template <class T>
void launch_typed(const MlpSublayer<Tensor>& op, Stream& stream, Rows rows) {
  const int blocks = blocks_of(op.fc1.cin);
  if (blocks <= 4) return launch_mma<T, 4>(op, stream, rows);
  if (blocks <= 12) return launch_mma<T, 12>(op, stream, rows);
  launch_mma<T, 15>(op, stream, rows);
}

void launch_any(const MlpSublayer<Tensor>& op, Stream& stream, Rows rows) {
  op.x.dtype == DType::f16 ? launch_typed<half_t>(op, stream, rows) : launch_typed<bf16_t>(op, stream, rows);
}

const char* declines(const MlpSublayer<Tensor>& op, const DeviceInfo& device) {
  if (device.sm < 80) return "needs sm_80 or newer";
  if (op.x.dtype == DType::f32 || op.y.dtype != op.x.dtype || (op.add.t.data && op.add.t.dtype != op.x.dtype))
    return "needs x, y and addend of one 16-bit type";
  if (op.fc1.dtype != op.x.dtype || op.fc2.dtype != op.x.dtype) return "needs weights of x's dtype";
  if (op.fc1.cin > 240) return "needs at most 240 channels";
  if (op.x.extent().pixels() > (1 << 30)) return "needs images of less than 2^30 pixels";
  if (job_for(op, device).stages == 0) return "needs more shared memory than the device has";
  return nullptr;
}

}  // namespace

const MlpSublayerVariant kMlpSublayerMma = {"mma", declines, launch_any};

}  // namespace ups::cuda
