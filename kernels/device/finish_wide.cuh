// The epilogue of conv2d_wide_sm90.cu: bias, activation and addends on sums in wgmma's order, in whole
// vectors.
#pragma once

#include "kernels/device/arithmetic.cuh"
#include "kernels/device/epilogue.cuh"
#include "kernels/device/group_sums.cuh"
#include "kernels/device/quad.cuh"

namespace ups::cuda {

// Output channels c, c + 1 of pixel (y, x) from their sums with bias.
template <class T, bool Gelu>
__device__ __forceinline__ uint32_t finish_pair(const Conv2d<Tensor>& op, bool exists, int y, int x, int c,
                                                float slope, float (&v)[2]) {
#pragma unroll
  for (int i = 0; i < 2; i++) v[i] = (Gelu ? gelu_fast(v[i]) : v[i] > 0 ? v[i] : slope * v[i]) * op.scale;
#pragma unroll
  for (int a = 0; a < 2; a++) {
    const Addend<Tensor>& add = a ? op.add2 : op.add;
    if (!add.t.data || !exists) continue;
    // c + 1 may be the first channel behind the last: pixels take whole vectors.
    const uint32_t raw = *reinterpret_cast<const uint32_t*>(static_cast<const T*>(add.t.data) +
                                                            y * add.t.row + x * add.t.px + c);
    v[0] += add.scale * to_float(T{uint16_t(raw)});
    v[1] += add.scale * to_float(T{uint16_t(raw >> 16)});
  }
  return pack2<T>(v[0], v[1]);
}

// Channels c .. c+7 of those below cout.
template <class T>
__device__ __forceinline__ void store_eight(T* at, const Vec16& eight, int c, int cout) {
  if (c + 8 <= cout) {
    *reinterpret_cast<Vec16*>(at) = eight;
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++)
    if (c + i < cout) at[i] = T{uint16_t(eight.v[i / 2] >> (i % 2 * 16))};
}

// Stores 64 pixels x N channels from n0 on for each of two rows, y0 and y0 + 1 from column x0 on, of those
// above end and left of w; and sums up by four channels what it stores, if units is not null and all N exist.
template <class T, int N, bool Gelu>
__device__ __forceinline__ void finish_wide(const Conv2d<Tensor>& op, int y0, int end, int x0, int w, int n0,
                                            const float (&acc)[2][N / 2], FloatSum* units) {
  const int lane = lane_index(), quad = lane % 4;
  const float slope = op.act == Act::lrelu ? op.slope : op.act == Act::relu ? 0.0f : 1.0f;
#pragma unroll
  for (int slice = 0; slice < N / 32; slice++) {
    const int c = n0 + slice * 32, mine = c + quad * 2;
    if (c >= op.w.cout) return;
    FloatSum sums[4] = {};
    float bias[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int at = mine + i / 2 * 8 + i % 2;
      bias[i] = op.w.bias && at < op.w.cout ? op.w.bias[at] : 0.0f;
      if (op.shortcut.w.bias && at < op.w.cout) bias[i] += op.shortcut.w.bias[at];
    }
#pragma unroll
    for (int m = 0; m < 2; m++) {
      const int y = y0 + m;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int x = x0 + warp_index() % 4 * 16 + lane / 4 + half * 8;
        const bool inside = y < end && x < w;
        uint32_t words[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const int i = (slice * 4 + j) * 4 + half * 2;
          float v[2] = {acc[m][i] + bias[j * 2], acc[m][i + 1] + bias[j * 2 + 1]};
          words[j] =
              finish_pair<T, Gelu>(op, inside && mine + j * 8 < op.w.cout, y, x, mine + j * 8, slope, v);
          if (units && inside) {
            const float lo = to_float(T{uint16_t(words[j])}), hi = to_float(T{uint16_t(words[j] >> 16)});
            sums[j].sum += lo + hi;
            sums[j].square += lo * lo + hi * hi;
          }
        }
        const Vec16 eight = transpose_quad(words);
        if (inside)
          store_eight(static_cast<T*>(op.y.data) + y * op.y.row + x * op.y.px + c + quad * 8, eight,
                      c + quad * 8, op.w.cout);
      }
    }
    if (!units) continue;
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int mask : {1, 4, 8, 16}) {
        sums[j].sum += shuffle_xor(sums[j].sum, mask);
        sums[j].square += shuffle_xor(sums[j].square, mask);
      }
      if (lane == 0 || lane == 2) units[slice * 8 + j * 2 + lane / 2] = sums[j];
    }
  }
}

}  // namespace ups::cuda
