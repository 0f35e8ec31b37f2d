// Whether a tile went wrong (kernels/device/picture.h CheckTile). Memory-bound: reads x and y once.
#include "kernels/device/picture.h"
#include "kernels/device/reduce.cuh"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

__device__ __forceinline__ bool finite(float v) { return v - v == 0; }  // NaN for both NaN and infinity

// Looks at one tensor, a row per block. Every writer of a flag writes 1, so order does not matter.
__global__ void look(Tensor t, int* not_finite, int* other_than_zero) {
  const int64_t at = int64_t(blockIdx.x) * t.row;
  const int count = t.w * t.c;
  bool bad = false, some = false;
  for (int i = int(threadIdx.x); i < count; i += int(kBlock)) {
    const float v = load_element(t, at + (t.px == t.c ? i : i / t.c * t.px + i % t.c));
    bad = bad || !finite(v);
    some = some || v != 0;
  }
  float seen = (some ? 1.0f : 0.0f), wrong = (bad ? 1.0f : 0.0f);
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    seen += shuffle_xor(seen, mask);
    wrong += shuffle_xor(wrong, mask);
  }
  if (lane_index() == 0) {
    if (wrong > 0 && not_finite) *not_finite = 1;
    if (seen > 0) *other_than_zero = 1;
  }
}

void look_at(const Tensor& t, int* not_finite, int* other_than_zero, Stream& stream) {
  launch(look, {.grid = {unsigned(t.h)}, .block = kBlock, .stream = &stream}, t, not_finite, other_than_zero);
}

}  // namespace

void run(const CheckTile& op, Stream& stream) {
  check(op.x.data && op.y.data && op.flags && op.x.n == 1 && op.y.n == 1, Code::device,
        "check_tile: x, y or the flags are absent");
  look_at(op.x, nullptr, &op.flags->input, stream);
  look_at(op.y, &op.flags->not_finite, &op.flags->output, stream);
}

}  // namespace ups::cuda
