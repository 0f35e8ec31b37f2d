// Weight layouts of the device kernels.
#pragma once

#include <cstddef>

#include "kernels/tensor.h"

namespace ups {

// Convolution weights as the tensor core kernels read them (the device's only layout; its naive kernel reads
// it too):
//   [cin_blocks][k * k][cout_pad][16]
// 16 input channels are one step of m16n8k16; all taps of a step lie together, which is what a kernel that
// keeps a halo tile of 16 channels loads at once. Input channels are padded to a multiple of 16 and outputs
// to a multiple of 16 with zeros.
struct MmaLayout {
  int cin_blocks, taps, cout_pad;
  constexpr size_t elements() const { return size_t(cin_blocks) * taps * cout_pad * 16; }
  constexpr size_t index(int tap, int ci, int co) const {
    return ((size_t(ci / 16) * taps + tap) * cout_pad + co) * 16 + ci % 16;
  }
};
constexpr MmaLayout mma_layout(int cout, int cin, int k) {
  return {(cin + 15) / 16, k * k, (cout + 15) / 16 * 16};
}

enum class WeightOrder : uint8_t {
  oihw,  // [cout, cin, k, k], PyTorch
  hwio   // [k, k, cin, cout], the CPU kernels
};

// `out` holds mma_layout(cout, cin, k).elements() elements of out_dtype, rounded to nearest even. Values
// beyond the range of f16 are an Error{Code::model}.
void pack_mma(const float* weights, WeightOrder order, int cout, int cin, int k, DType out_dtype, void* out);

}  // namespace ups
