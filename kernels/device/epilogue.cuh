// What happens to the sums of a convolution before they are stored:
//   y = shuffle(act(sum + bias) * scale + add.scale * add.t + add2.scale * add2.t)       (kernels/ops.h)
#pragma once

#include "kernels/device/device.cuh"
#include "kernels/ops.h"

namespace ups::cuda {

__device__ __forceinline__ float activate(Act act, float v, float slope) {
  switch (act) {
    case Act::none:
      return v;
    case Act::relu:
      return v < 0 ? 0 : v;
    case Act::lrelu:
    case Act::prelu:
      return v > 0 ? v : slope * v;
    case Act::gelu:
      return 0.5f * v * erfcf(v * -0.70710678f);
    case Act::silu:
      return v / (1 + expf(-v));
  }
  return v;
}

// Output (y, x, co) of image n before the shuffle, from its sum without bias.
__device__ __forceinline__ void finish_one(const Conv2d<Tensor>& op, int n, int y, int x, int co, float sum) {
  if (op.w.bias) sum += op.w.bias[co];
  const float slope = op.act == Act::prelu ? op.w.slope[co] : op.slope;
  float v = (op.act_last ? sum : activate(op.act, sum, slope)) * op.scale;
  if (op.add.t.data)
    v += op.add.scale *
         load_element(op.add.t, n * op.add.t.image + y * op.add.t.row + x * op.add.t.px + co / op.add.group);
  if (op.add2.t.data)
    v += op.add2.scale * load_element(op.add2.t, n * op.add2.t.image + y * op.add2.t.row + x * op.add2.t.px +
                                                     co / op.add2.group);
  if (op.act_last) v = activate(op.act, v, slope);
  const int r = op.shuffle, c = co / (r * r), i = co / r % r, j = co % r;
  store_element(op.y, n * op.y.image + (int64_t(y) * r + i) * op.y.row + (int64_t(x) * r + j) * op.y.px + c,
                v);
}

// Whether all operands of the epilogue allow 16-byte accesses to 8 channels of a 16-bit type.
inline bool vector_epilogue(const Conv2d<Tensor>& op, DType dtype) {
  auto fits = [&](const Tensor& t) {
    return t.dtype == dtype && t.px % 8 == 0 && t.row % 8 == 0 && (t.n == 1 || t.image % 8 == 0) &&
           reinterpret_cast<uintptr_t>(t.data) % 16 == 0;
  };
  return op.shuffle == 1 && !op.act_last && fits(op.y) &&
         (!op.add.t.data || (op.add.group == 1 && fits(op.add.t))) &&
         (!op.add2.t.data || (op.add2.group == 1 && fits(op.add2.t)));
}

// v += add.scale * add.t for 8 channels, by one 16-byte load.
template <class T>
__device__ __forceinline__ void add_vector(float (&v)[8], const Addend<Tensor>& add, int n, int y, int x,
                                           int co) {
  if (!add.t.data) return;
  const int64_t at = n * add.t.image + y * add.t.row + x * add.t.px + co;
  const Vec16 raw = *reinterpret_cast<const Vec16*>(static_cast<const T*>(add.t.data) + at);
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] += add.scale * to_float(T{uint16_t(raw.v[i / 2] >> (i % 2 * 16))});
}

// Outputs co .. co+7 from sums[8], which this thread owns and may overwrite; co is a multiple of 8. `vector`
// is vector_epilogue(op, dtype of T): then it returns what it stored. Loops over erf, exp and scalar stores
// stay rolled: unrolled, they were 95 % of a kernel's code and of its compile time.
template <class T>
__device__ __forceinline__ Vec16 finish_eight(const Conv2d<Tensor>& op, bool vector, int n, int y, int x,
                                              int co, float* sums) {
  if (!vector || co + 8 > op.w.cout) {
#pragma unroll 1
    for (int i = 0; i < 8; i++)
      if (co + i < op.w.cout) finish_one(op, n, y, x, co + i, sums[i]);
    return {};
  }
  const bool smooth = op.act == Act::gelu || op.act == Act::silu;
  if (smooth) {
#pragma unroll 1
    for (int i = 0; i < 8; i++)
      sums[i] = activate(op.act, sums[i] + (op.w.bias ? op.w.bias[co + i] : 0.0f), 0);
  }
  float v[8];
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] = sums[i];
  if (!smooth) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      if (op.w.bias) v[i] += op.w.bias[co + i];
      const float slope = op.act == Act::prelu ? op.w.slope[co + i] : op.act == Act::lrelu ? op.slope : 1.0f;
      v[i] = v[i] > 0 ? v[i] : slope * v[i];
      if (op.act == Act::relu) v[i] = v[i] < 0 ? 0 : v[i];
    }
  }
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] *= op.scale;
  add_vector<T>(v, op.add, n, y, x, co);
  add_vector<T>(v, op.add2, n, y, x, co);
  Vec16 out;
#pragma unroll
  for (int i = 0; i < 4; i++) out.v[i] = pack2<T>(v[2 * i], v[2 * i + 1]);
  *reinterpret_cast<Vec16*>(static_cast<T*>(op.y.data) + n * op.y.image + y * op.y.row + x * op.y.px + co) =
      out;
  return out;
}

}  // namespace ups::cuda
