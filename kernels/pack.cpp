// Packs convolution weights into [cin_blocks][taps][cout_pad][16].
#include "kernels/pack.h"

#include <cmath>
#include <cstring>

#include "kernels/error.h"

namespace ups {
namespace {

uint32_t bits_of(float f) {
  uint32_t u;
  std::memcpy(&u, &f, 4);
  return u;
}

uint16_t to_f16(float f) {
  const uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  check(magnitude < 0x477ff000, Code::model, "pack: got a weight of ", f,
        ", expected one within the range of f16 (65504); run in f32");
  if (magnitude < 0x38800000)  // subnormal: units of 2^-24, ties to even
    return uint16_t(sign | uint32_t(std::nearbyint(std::abs(f) * 0x1p24f)));
  return uint16_t(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

uint16_t to_bf16(float f) {
  const uint32_t u = bits_of(f);
  return (u & 0x7fffffff) > 0x7f800000 ? 0x7fff : uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

}  // namespace

void pack_mma(const float* weights, WeightOrder order, int cout, int cin, int k, DType out_dtype, void* out) {
  const MmaLayout layout = mma_layout(cout, cin, k);
  std::memset(out, 0, layout.elements() * dtype_bytes(out_dtype));
  for (int co = 0; co < cout; co++)
    for (int ci = 0; ci < cin; ci++)
      for (int tap = 0; tap < layout.taps; tap++) {
        const size_t from = order == WeightOrder::oihw ? (size_t(co) * cin + ci) * layout.taps + tap
                                                       : (size_t(tap) * cin + ci) * cout + co;
        const size_t to = layout.index(tap, ci, co);
        if (out_dtype == DType::f32)
          static_cast<float*>(out)[to] = weights[from];
        else
          static_cast<uint16_t*>(out)[to] =
              out_dtype == DType::f16 ? to_f16(weights[from]) : to_bf16(weights[from]);
      }
}

}  // namespace ups
