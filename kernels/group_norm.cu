// GroupStats and GroupNorm (kernels/ops.h). All sums are made in one order, so results repeat from run to
// run.
//
// Statistics, memory-bound: each block takes an equal share of the pixels, 8 channels per thread and access.
//   A thread sums 16 pixels in f32 and those sums in double; the block's sums by group go to the workspace,
//   and a second kernel adds up the blocks. Convolutions leave such sums too (kernels/device/group_sums.cuh).
// Normalisation: 8 channels per thread, which keeps their factors for all of its pixels.
// Tensors whose channels are no multiple of 8 take plain kernels: a block per group, a thread per element.
#include <algorithm>

#include "kernels/device/epilogue.cuh"
#include "kernels/device/group_sums.cuh"
#include "kernels/device/run.h"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

struct Sums {
  double sum[kBlock], square[kBlock];
};
// Adds up what the threads of a block have, by a tree; thread 0 finds it in place 0.
template <unsigned Threads>
__device__ __forceinline__ void add_up(Sums& s, const GroupSum& mine) {
  const int tid = int(threadIdx.x);
  s.sum[tid] = mine.sum, s.square[tid] = mine.square;
  __syncthreads();
  for (int half = int(Threads) / 2; half; half /= 2) {
    if (tid < half) s.sum[tid] += s.sum[tid + half], s.square[tid] += s.square[tid + half];
    __syncthreads();
  }
}

// --- 8 channels per thread ------------------------------------------------------------------------------
constexpr int kMostVectorChannels = 8 * int(kBlock), kRun = 16;

// Eight channels from element `at` of t.
__device__ __forceinline__ void load_eight(const Tensor& t, int64_t at, float (&v)[8]) {
  if (t.dtype == DType::f32) {
    const Vec16* from = reinterpret_cast<const Vec16*>(static_cast<const float*>(t.data) + at);
    const Vec16 lo = from[0], hi = from[1];
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] = float_of_bits(lo.v[i]), v[4 + i] = float_of_bits(hi.v[i]);
    return;
  }
  const Vec16 raw = *reinterpret_cast<const Vec16*>(static_cast<const half_t*>(t.data) + at);
  const bool half = t.dtype == DType::f16;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const uint16_t bits = uint16_t(raw.v[i / 2] >> (i % 2 * 16));
    v[i] = half ? to_float(half_t{bits}) : to_float(bf16_t{bits});
  }
}
__device__ __forceinline__ void store_eight(const Tensor& t, int64_t at, const float (&v)[8]) {
  if (t.dtype == DType::f32) {
    Vec16* to = reinterpret_cast<Vec16*>(static_cast<float*>(t.data) + at);
#pragma unroll
    for (int half = 0; half < 2; half++)
      to[half] = {{bits_of_float(v[4 * half]), bits_of_float(v[4 * half + 1]), bits_of_float(v[4 * half + 2]),
                   bits_of_float(v[4 * half + 3])}};
    return;
  }
  Vec16 out;
  const bool half = t.dtype == DType::f16;
#pragma unroll
  for (int i = 0; i < 4; i++)
    out.v[i] = half ? pack2<half_t>(v[2 * i], v[2 * i + 1]) : pack2<bf16_t>(v[2 * i], v[2 * i + 1]);
  *reinterpret_cast<Vec16*>(static_cast<half_t*>(t.data) + at) = out;
}

// Pixels [first, last), counted over rows without gaps, in equal shares by block.
struct Share {
  int64_t first, last;
};
__device__ __forceinline__ Share share_of(int64_t first, int64_t last) {
  const int64_t each = (last - first + gridDim.x - 1) / gridDim.x, at = first + blockIdx.x * each;
  return {at, at + each < last ? at + each : last};
}

struct ChannelSums {
  double sum[kBlock * 8], square[kBlock * 8];  // [thread][8 channels]
};

__global__ void __launch_bounds__(kBlock)
    group_stats_vector(GroupStats<Tensor> op, int64_t first, int64_t last, GroupSum* partial) {
  ChannelSums& s = shared<ChannelSums>();
  const int tid = int(threadIdx.x), units = op.x.c / 8, lanes = int(kBlock) / units;
  const Share share = share_of(first, last);
  double sum[8] = {}, square[8] = {};
  if (tid < lanes * units) {
    const int unit = tid % units;
    for (int64_t p = share.first + tid / units; p < share.last; p += int64_t(kRun) * lanes) {
      float run_sum[8] = {}, run_square[8] = {};
      for (int j = 0; j < kRun; j++) {
        const int64_t pixel = p + j * lanes;
        if (pixel >= share.last) break;
        float v[8];
        load_eight(op.x, pixel * op.x.px + unit * 8, v);
#pragma unroll
        for (int i = 0; i < 8; i++) run_sum[i] += v[i], run_square[i] += v[i] * v[i];
      }
#pragma unroll
      for (int i = 0; i < 8; i++) sum[i] += double(run_sum[i]), square[i] += double(run_square[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; i++) s.sum[tid * 8 + i] = sum[i], s.square[tid * 8 + i] = square[i];
  __syncthreads();
  const int size = op.x.c / op.groups;
  for (int group = tid; group < op.groups; group += int(kBlock)) {
    GroupSum all{0, 0};
    for (int lane = 0; lane < lanes; lane++)
      for (int c = group * size; c < (group + 1) * size; c++)
        all.sum += s.sum[lane * op.x.c + c], all.square += s.square[lane * op.x.c + c];
    partial[int64_t(blockIdx.x) * op.groups + group] = all;
  }
}

// A block per group: its threads take every kAddBlock-th of `count` partial sums, and add up by a tree.
constexpr unsigned kAddBlock = 128;
__global__ void add_group_sums(const GroupSum* partial, int count, double* out, bool onto) {
  Sums& s = shared<Sums>();
  const int tid = int(threadIdx.x), group = int(blockIdx.x), groups = int(gridDim.x);
  GroupSum all{0, 0};
  for (int i = tid; i < count; i += int(kAddBlock)) {
    const GroupSum one = partial[int64_t(i) * groups + group];
    all.sum += one.sum, all.square += one.square;
  }
  add_up<kAddBlock>(s, all);
  if (tid == 0) {
    out[2 * group] = (onto ? out[2 * group] : 0) + s.sum[0];
    out[2 * group + 1] = (onto ? out[2 * group + 1] : 0) + s.square[0];
  }
}

struct Moments {
  float mean, scale;  // 1 / sqrt(variance + eps)
};
__device__ __forceinline__ Moments moments_of(const GroupNorm<Tensor>& op, int group) {
  const double* stats = static_cast<const double*>(op.stats.data) + 2 * group;
  const double n = double(op.x.h) * op.x.w * (op.x.c / op.groups), mean = stats[0] / n;
  double variance = stats[1] / n - mean * mean;
  if (variance < 0) variance = 0;
  return {float(mean), float(1 / sqrt(variance + double(op.eps)))};
}

struct GroupMoments {
  Moments of[kMostVectorChannels];
};

__global__ void __launch_bounds__(kBlock)
    group_norm_vector(GroupNorm<Tensor> op, int64_t first, int64_t last) {
  GroupMoments& s = shared<GroupMoments>();
  const int tid = int(threadIdx.x), units = op.x.c / 8, lanes = int(kBlock) / units;
  for (int group = tid; group < op.groups; group += int(kBlock)) s.of[group] = moments_of(op, group);
  __syncthreads();
  if (tid >= lanes * units) return;  // no barrier follows
  const int c = tid % units * 8, size = op.x.c / op.groups;
  float mean[8], scale[8], shift[8];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const Moments m = s.of[(c + i) / size];
    mean[i] = m.mean, scale[i] = m.scale * static_cast<const float*>(op.w.w)[c + i];
    shift[i] = op.w.bias[c + i];
  }
  const Share share = share_of(first, last);
  for (int64_t p = share.first + tid / units; p < share.last; p += lanes) {
    float v[8];
    load_eight(op.x, p * op.x.px + c, v);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      v[i] = (v[i] - mean[i]) * scale[i] + shift[i];
      if (op.act == Act::silu)
        v[i] = v[i] / (1 + expf(-v[i]));
      else if (op.act == Act::relu)
        v[i] = v[i] < 0 ? 0 : v[i];
    }
    store_eight(op.y, p * op.y.px + c, v);
  }
}

// Whether a tensor has whole 16-byte pieces of 8 channels and rows without gaps.
bool vectors(const Tensor& t) {
  return t.c % 8 == 0 && t.c <= kMostVectorChannels && t.px % 8 == 0 && t.row == t.w * t.px &&
         reinterpret_cast<uintptr_t>(t.data) % 16 == 0;
}

// Blocks for `pixels` of c channels: a few for each multiprocessor, and work enough in each.
int blocks_for(int64_t pixels, int c, const DeviceInfo& device) {
  const int64_t lanes = int(kBlock) / (c / 8);
  return int(std::clamp<int64_t>(pixels / (2 * kRun * lanes), 1, 4 * device.num_sms));
}

// --- Plain ----------------------------------------------------------------------------------------------

__global__ void group_stats(GroupStats<Tensor> op, int begin, int end) {
  Sums& s = shared<Sums>();
  const int tid = int(threadIdx.x), group = int(blockIdx.x), size = op.x.c / op.groups;
  const int64_t count = int64_t(end - begin) * op.x.w * size;
  GroupSum all{0, 0};
  for (int64_t i = tid; i < count; i += kBlock) {
    const int64_t pixel = i / size;
    const int64_t at =
        (begin + pixel / op.x.w) * op.x.row + pixel % op.x.w * op.x.px + group * size + i % size;
    const double v = load_element(op.x, at);
    all.sum += v, all.square += v * v;
  }
  add_up<kBlock>(s, all);
  if (tid == 0) {
    double* out = static_cast<double*>(op.y.data) + 2 * group;
    out[0] = (begin ? out[0] : 0) + s.sum[0];
    out[1] = (begin ? out[1] : 0) + s.square[0];
  }
}

__global__ void group_norm(GroupNorm<Tensor> op, int begin, int rows) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, row = int64_t(op.y.w) * op.y.c;
  if (i >= row * rows) return;
  const int y = begin + int(i / row), x = int(i % row) / op.y.c, c = int(i % row) % op.y.c;
  const Moments m = moments_of(op, c / (op.x.c / op.groups));
  const float v = load_element(op.x, y * op.x.row + x * op.x.px + c),
              scale = m.scale * static_cast<const float*>(op.w.w)[c];
  store_element(op.y, y * op.y.row + x * op.y.px + c,
                activate(op.act, (v - m.mean) * scale + op.w.bias[c], 0));
}

// What run(GroupNorm) and run(GroupStats) ask of x and the statistics.
void verify(const Tensor& x, const Tensor& stats, int groups) {
  check(x.data && x.n == 1 && x.h >= 1 && x.w >= 1 && groups >= 1 && x.c % groups == 0, Code::device,
        "group_norm: got x [", x.n, ", ", x.h, ", ", x.w, ", ", x.c, "] and ", groups,
        " groups, expected one image of a multiple of the groups");
  check(stats.data && stats.dtype == DType::f32 && stats.c == 4 * groups, Code::device,
        "group_norm: got statistics of ", stats.c, " elements, expected 4 for each of ", groups, " groups");
}

}  // namespace

void add_up_group_sums(const GroupSum* partial, int count, const GroupStats<Tensor>& op, bool onto,
                       Stream& stream) {
  launch(add_group_sums,
         {.grid = {unsigned(op.groups)}, .block = kAddBlock, .smem_bytes = sizeof(Sums), .stream = &stream},
         partial, count, static_cast<double*>(op.y.data), onto);
}

void run(const GroupStats<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.x, op.y, op.groups);
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.x.h ? rows.end : op.x.h;
  if (begin >= end) return;
  if (vectors(op.x)) {
    auto* partial = static_cast<GroupSum*>(stream.workspace());
    const int64_t pixels = int64_t(end - begin) * op.x.w;
    const int most = int(Stream::kWorkspaceBytes / (sizeof(GroupSum) * size_t(op.groups)));
    const int blocks = std::min(most, blocks_for(pixels, op.x.c, stream.device()));
    launch(
        group_stats_vector,
        {.grid = {unsigned(blocks)}, .block = kBlock, .smem_bytes = sizeof(ChannelSums), .stream = &stream},
        op, int64_t(begin) * op.x.w, int64_t(end) * op.x.w, partial);
    return add_up_group_sums(partial, blocks, op, begin > 0, stream);
  }
  launch(group_stats,
         {.grid = {unsigned(op.groups)}, .block = kBlock, .smem_bytes = sizeof(Sums), .stream = &stream}, op,
         begin, end);
}

void run(const GroupNorm<Tensor>& op, Stream& stream, Rows rows) {
  verify(op.x, op.stats, op.groups);
  check(op.y.data && op.y.n == 1 && op.y.extent() == op.x.extent() && op.y.c == op.x.c && op.w.w &&
            op.w.bias && op.w.cout == op.x.c,
        Code::device, "group_norm: got y [", op.y.h, ", ", op.y.w, ", ", op.y.c, "] and ", op.w.cout,
        " parameters, expected the size and the channels of x");
  const int begin = rows.begin > 0 ? rows.begin : 0, end = rows.end < op.y.h ? rows.end : op.y.h;
  if (begin >= end) return;
  if (vectors(op.x) && vectors(op.y)) {
    const int64_t pixels = int64_t(end - begin) * op.y.w;
    launch(group_norm_vector,
           {.grid = {unsigned(blocks_for(pixels, op.x.c, stream.device()))},
            .block = kBlock,
            .smem_bytes = sizeof(GroupMoments),
            .stream = &stream},
           op, int64_t(begin) * op.x.w, int64_t(end) * op.x.w);
    return;
  }
  const int64_t count = int64_t(end - begin) * op.y.w * op.y.c;
  launch(group_norm, {.grid = {unsigned((count + kBlock - 1) / kBlock)}, .block = kBlock, .stream = &stream},
         op, begin, end - begin);
}

}  // namespace ups::cuda
