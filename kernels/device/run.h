// The CUDA kernels, one entry per operator. Tensors, weights, biases and slopes are in device memory; the
// work is enqueued on the stream and the call returns.
#pragma once

#include <span>

#include "kernels/device/stream.h"
#include "kernels/gate_ops.h"
#include "kernels/ops.h"
#include "kernels/sublayer_ops.h"
#include "kernels/variant.h"

namespace ups::cuda {

// Half-open range of output rows, counted before the pixel shuffle. Rows outside are not written; input rows
// that the range does not need are not read.
struct Rows {
  int begin = 0, end = 1 << 30;
  // Start with the last rows, where the kernel can: what the kernel before read and wrote last is still in
  // the cache. Callers alternate.
  bool upward = false;
};

// Tensors of any dtype, mixed as you like (the fast variants want f16 or bf16 inputs); op.w.w is packed by
// kernels/pack.h. Throws Error{Code::device} for impossible shapes.
void run(const Conv2d<Tensor>& op, Stream& stream, Rows rows = {});
void run(const PixelUnshuffle<Tensor>& op, Stream& stream, Rows rows = {});
// x and y must not overlap.
void run(const Copy<Tensor>& op, Stream& stream, Rows rows = {});
void run(const Upsample<Tensor>& op, Stream& stream, Rows rows = {});
void run(const LayerNorm<Tensor>& op, Stream& stream, Rows rows = {});
void run(const WindowAttention<Tensor>& op, Stream& stream, Rows rows = {});
void run(const Affine<Tensor>& op, Stream& stream, Rows rows = {});
void run(const Gate<Tensor>& op, Stream& stream, Rows rows = {});
void run(const ChannelAttention<Tensor>& op, Stream& stream, Rows rows = {});
void run(const DepthwiseConv2d<Tensor>& op, Stream& stream, Rows rows = {});
void run(const CrossCovarianceAttention<Tensor>& op, Stream& stream, Rows rows = {});
void run(const GroupStats<Tensor>& op, Stream& stream, Rows rows = {});  // rows of x
void run(const GroupNorm<Tensor>& op, Stream& stream, Rows rows = {});
void run(const Attention<Tensor>& op, Stream& stream, Rows rows = {});
// Attention: all rows at once.
void run(const AttentionSublayer<Tensor>& op, Stream& stream, Rows rows = {});
void run(const MlpSublayer<Tensor>& op, Stream& stream, Rows rows = {});

// A convolution and the statistics of what it makes, in one pass where makes_statistics() says so.
void run(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Stream& stream, Rows rows = {});
bool makes_statistics(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, const DeviceInfo& device);

// Which variant run() takes: a pure function of the operator and the device, unless
// UPSCALE_VARIANT=conv2d=NAME forces one. Throws Error{Code::device} saying why each variant declined.
const char* variant_name(const Conv2d<Tensor>& op, const DeviceInfo& device);

// Every variant, best first, for tests and measurements; the last one accepts everything.
using Conv2dVariant =
    Variant<Conv2d<Tensor>, DeviceInfo, void (*)(const Conv2d<Tensor>& op, Stream& stream, Rows rows)>;
std::span<const Conv2dVariant> conv2d_variants();

using WindowAttentionVariant =
    Variant<WindowAttention<Tensor>, DeviceInfo, void (*)(const WindowAttention<Tensor>&, Stream&, Rows)>;
std::span<const WindowAttentionVariant> window_attention_variants();
const char* variant_name(const WindowAttention<Tensor>& op, const DeviceInfo& device);
using AttentionSublayerVariant =
    Variant<AttentionSublayer<Tensor>, DeviceInfo, void (*)(const AttentionSublayer<Tensor>&, Stream&, Rows)>;
std::span<const AttentionSublayerVariant> attention_sublayer_variants();
using MlpSublayerVariant =
    Variant<MlpSublayer<Tensor>, DeviceInfo, void (*)(const MlpSublayer<Tensor>&, Stream&, Rows)>;
std::span<const MlpSublayerVariant> mlp_sublayer_variants();
const char* variant_name(const AttentionSublayer<Tensor>& op, const DeviceInfo& device);
const char* variant_name(const MlpSublayer<Tensor>& op, const DeviceInfo& device);
// Whether run() takes one kernel for all: what a plan wants to know (runtime/expand.h). Tensors and weights
// need types and shapes, but no data.
bool runs_whole(const Conv2d<Tensor>& op, const DeviceInfo& device);  // the shortcut too, without loss
bool runs_whole(const AttentionSublayer<Tensor>& op, const DeviceInfo& device);
bool runs_whole(const MlpSublayer<Tensor>& op, const DeviceInfo& device);
const char* variant_name(const Attention<Tensor>& op, const DeviceInfo& device);
using AttentionVariant =
    Variant<Attention<Tensor>, DeviceInfo, void (*)(const Attention<Tensor>& op, Stream& stream, Rows rows)>;
std::span<const AttentionVariant> attention_variants();

// --- Images <-> tiles -------------------------------------------------------------------------------------
enum class PixelDepth : uint8_t { u8, u16, f32 };

// An interleaved image in device memory: [h, w, c], rows stride_bytes apart.
struct DeviceImage {
  void* data = nullptr;
  int h = 0, w = 0, c = 0;
  PixelDepth depth = PixelDepth::u8;
  int64_t stride_bytes = 0;
};

// tile(y, x, k) = image(reflect(y0 + y), reflect(x0 + x), from[k]) / max, k < count: the rule of
// kernels/convert.h crop_tile, bit for bit for f32 tiles. Further channels of the tile become `rest`.
struct CropTile {
  DeviceImage image;
  Tensor tile;
  int y0 = 0, x0 = 0;
  int count = 3;
  int from[4] = {0, 1, 2, 3};
  float rest = 0;
};
void run(const CropTile& op, Stream& stream);

// image(y0 + y, x0 + x, first_c + k) = floor(clamp(tile(y, x, k), 0, 1) * max + 0.5), k < count; NaN gives 0.
struct StoreTile {
  Tensor tile;
  DeviceImage image;
  int y0 = 0, x0 = 0, first_c = 0, count = 3;
};
void run(const StoreTile& op, Stream& stream);

// band(y, x0 + x, k) += weight_x[x] * tile(y, x, k): joins the tiles of a row, which overlap and whose
// weights sum to 1. band: f32. weight_x [tile.w] is in device memory; null: all ones. The tile lies within
// the band. If flags are given and call the tile bad (kernels/device/picture.h), nothing is added.
struct TileFlags;
struct BlendTile {
  Tensor tile, band;
  int x0 = 0;
  const float* weight_x = nullptr;
  const TileFlags* flags = nullptr;
};
void run(const BlendTile& op, Stream& stream);

}  // namespace ups::cuda
