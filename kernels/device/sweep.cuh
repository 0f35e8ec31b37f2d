// Sweeps down (or up) columns of 128 pixels, the division of work that the wgmma convolutions share which
// multiply a row of the image by all three rows of taps at once; and what becomes of a finished row.
#pragma once

#include "kernels/device/epilogue.cuh"
#include "kernels/device/quad.cuh"
#include "kernels/device/run.h"
#include "kernels/device/wgmma.cuh"

namespace ups::cuda {
namespace {

constexpr int kColumn = 128, kHalo = kColumn + 2;      // output and input pixels of a row
constexpr int kChannels = 64, kUnits = kChannels / 8;  // of a stage: a pixel is 128 bytes
constexpr int kStageBytes = (kHalo * 128 + 1023) / 1024 * 1024;
constexpr int kConsumers = 256, kProducers = 128, kThreads = kConsumers + kProducers;

// Output rows [begin, end), before any shuffle, of w pixels, in columns of kWidth: the units of work.
template <int kWidth>
struct Columns {
  int begin, end, w;
  int units_per_block, stages;
  bool upward;  // everything happens from the last row to the first; kernels count rows as if it did not
  constexpr int units() const { return (end - begin) * ((w + kWidth - 1) / kWidth); }
  constexpr int blocks() const { return (units() + units_per_block - 1) / units_per_block; }
  // The image row of a counted one.
  __device__ __forceinline__ int row(int y) const { return upward ? begin + end - 1 - y : y; }
};

using Job = Columns<kColumn>;

// Where a block stands in its work: an output row range of one column.
struct Segment {
  int x, y, rows;
};
template <int kWidth>
__device__ __forceinline__ Segment segment_at(const Columns<kWidth>& job, int unit, int last) {
  const int height = job.end - job.begin, column = unit / height, first = unit % height;
  return {column * kWidth, job.begin + first, min(height - first, last - unit)};
}

// Slots of a ring in shared memory: full after `arrivals`, empty when each consuming warp is done with it. By
// one thread.
__device__ __forceinline__ void init_ring(uint64_t* full, uint64_t* empty, int stages, int arrivals) {
  for (int i = 0; i < stages; i++) {
    mbarrier_init(&full[i], arrivals);
    mbarrier_init(&empty[i], kConsumers / 32);
  }
}

// What two neighbouring sums become before the addends. Plain kernels have none, and no scale.
template <bool Plain>
__device__ __forceinline__ float activated(float v, float slope, float scale) {
  v = v > 0 ? v : slope * v;
  return Plain ? v : v * scale;
}

// The addends of one output row, 64 pixels x N channels per warpgroup; all loads before their use.
template <class T, int N>
struct Addends {
  uint32_t raw[2][2][N / 8];  // [addend][half][8 channels]: two channels each

  __device__ __forceinline__ void load(const Conv2d<Tensor>& op, int w, int y, int x0, int c) {
#pragma unroll
    for (int a = 0; a < 2; a++) {
      const Tensor& t = a ? op.add2.t : op.add.t;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int x = x0 + half * 8;
        const bool inside = t.data && x < w;
        const T* at = static_cast<const T*>(t.data) + y * t.row + x * t.px + c;
#pragma unroll
        for (int i = 0; i < N / 8; i++)
          raw[a][half][i] = inside ? *reinterpret_cast<const uint32_t*>(at + i * 8) : 0;
      }
    }
  }
  __device__ __forceinline__ void add(const Conv2d<Tensor>& op, int half, int i, float& v0, float& v1) const {
#pragma unroll
    for (int a = 0; a < 2; a++) {
      const float scale = a ? op.add2.scale : op.add.scale;
      v0 += scale * to_float(T{uint16_t(raw[a][half][i])});
      v1 += scale * to_float(T{uint16_t(raw[a][half][i] >> 16)});
    }
  }
};

// One finished output row: this warpgroup's 64 pixels x N channels from sums in wgmma order.
template <class T, int N, bool Plain>
__device__ __forceinline__ void finish_row(const Conv2d<Tensor>& op, int w, int y, int x0, int n0,
                                           const float (&sums)[N / 2], const float (&slopes)[N / 4]) {
  const int lane = lane_index(), quad = lane % 4, first_x = x0 + warp_index() % 4 * 16 + lane / 4;
  Addends<T, N> addends;
  if constexpr (!Plain) addends.load(op, w, y, first_x, n0 + quad * 2);
  T* const out = static_cast<T*>(op.y.data) + y * op.y.row + first_x * op.y.px + n0 + quad * 8;
#pragma unroll
  for (int half = 0; half < 2; half++) {
#pragma unroll
    for (int group = 0; group < N / 32; group++) {
      uint32_t words[4];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int i = group * 4 + j;
        float v0 = activated<Plain>(sums[i * 4 + half * 2], slopes[i * 2], op.scale);
        float v1 = activated<Plain>(sums[i * 4 + half * 2 + 1], slopes[i * 2 + 1], op.scale);
        if constexpr (!Plain) addends.add(op, half, i, v0, v1);
        words[j] = pack2<T>(v0, v1);
      }
      const Vec16 eight = transpose_quad(words);
      if (first_x + half * 8 < w) *reinterpret_cast<Vec16*>(out + half * 8 * op.y.px + group * 32) = eight;
    }
  }
}

// Work for at most one block per multiprocessor and n outputs, of which op has `groups` times as many.
template <int kWidth>
void divide(Columns<kWidth>& job, const DeviceInfo& device, int groups) {
  const int units = job.units(), blocks = max(1, min((units + 3) / 4, device.num_sms / groups));
  job.units_per_block = (units + blocks - 1) / blocks;
}
inline Job divide(const Conv2d<Tensor>& op, const DeviceInfo& device, Rows rows, int n, int stages) {
  Job job{rows.begin, rows.end, op.y.w, 0, stages, rows.upward};
  divide(job, device, (op.w.cout + n - 1) / n);
  return job;
}

// What all of them need of what they read.
inline const char* sweeps_decline_input(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (device.sm != 90) return "needs sm_90";
  if (op.w.k != 3 || op.stride != 1 || op.up > 2) return "needs k 3, stride 1, up 1 or 2";
  if (op.x.dtype == DType::f32 || op.w.dtype != op.x.dtype)
    return "needs a 16-bit x and weights of its dtype";
  if (op.w.cin % 32) return "needs channels in multiples of 32";
  if (op.x.n != 1 || op.pad_end) return "needs one image, padded on all sides";
  if (op.shortcut.present()) return "sums no shortcut";
  if (op.x.px % 8 || op.x.row % 8 || reinterpret_cast<uintptr_t>(op.x.data) % 16)
    return "needs pixels on multiples of 16 bytes";
  if (op.x.px * op.x.w > (1 << 30)) return "needs rows of x of less than 2^30 elements";
  if (reinterpret_cast<uintptr_t>(op.w.w) % 16) return "needs weights on a multiple of 16 bytes";
  return nullptr;
}
// And those of whole vectors of outputs.
inline const char* sweeps_decline(const Conv2d<Tensor>& op, const DeviceInfo& device) {
  if (const char* reason = sweeps_decline_input(op, device)) return reason;
  if (op.w.cout % 32) return "needs channels in multiples of 32";
  if (op.act == Act::gelu || op.act == Act::silu) return "has no GELU and SiLU";
  if (!vector_epilogue(op, op.x.dtype)) return "needs y and addends of x's dtype on multiples of 16 bytes";
  return nullptr;
}

}  // namespace
}  // namespace ups::cuda
