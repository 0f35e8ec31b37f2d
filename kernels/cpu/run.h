// The CPU backend's kernels. One entry per operator; the ISA is chosen once per process (kernels/cpu/isa.h).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/cpu/pool.h"
#include "kernels/gate_ops.h"
#include "kernels/ops.h"
#include "kernels/sublayer_ops.h"

namespace ups::cpu {

// Aligned working memory that kernels share and grow: transforms, packed panels. One user at a time.
class Scratch {
 public:
  // At least `bytes` bytes, 64-byte aligned, contents undefined; valid until the next call.
  void* get(size_t bytes);
  size_t capacity() const { return bytes_; }

 private:
  struct Free {
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> block_;
  size_t bytes_ = 0;
};

struct Context {
  Pool& pool;
  Scratch& scratch;
};

// Half-open range of output rows, counted before the pixel shuffle. The default is all rows. Rows outside
// are not written; input rows that the range does not need are not read (they may not exist: strips).
struct Rows {
  int begin = 0, end = 1 << 30;
};

// f32 tensors only. Results do not depend on the number of threads.
void run(const Conv2d<Tensor>& op, Context& context, Rows rows = {});
void run(const PixelUnshuffle<Tensor>& op, Context& context, Rows rows = {});
void run(const Copy<Tensor>& op, Context& context, Rows rows = {});
void run(const Upsample<Tensor>& op, Context& context, Rows rows = {});
void run(const LayerNorm<Tensor>& op, Context& context, Rows rows = {});
void run(const WindowAttention<Tensor>& op, Context& context, Rows rows = {});
void run(const Affine<Tensor>& op, Context& context, Rows rows = {});
void run(const Gate<Tensor>& op, Context& context, Rows rows = {});
void run(const ChannelAttention<Tensor>& op, Context& context, Rows rows = {});
void run(const DepthwiseConv2d<Tensor>& op, Context& context, Rows rows = {});
void run(const CrossCovarianceAttention<Tensor>& op, Context& context, Rows rows = {});
// Rows of x, from a multiple of 4 to one or to the last.
void run(const GroupStats<Tensor>& op, Context& context, Rows rows = {});
// A convolution and the statistics of its output, of the same rows; the same bits as one after the other.
void run(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats, Context& context, Rows rows = {});
// Whether that takes the statistics along, which costs less than a pass of their own.
bool makes_statistics(const Conv2d<Tensor>& op, const GroupStats<Tensor>& stats);
void run(const GroupNorm<Tensor>& op, Context& context, Rows rows = {});
void run(const Attention<Tensor>& op, Context& context, Rows rows = {});
void run(const AttentionSublayer<Tensor>& op, Context& context, Rows rows = {});  // all rows
void run(const MlpSublayer<Tensor>& op, Context& context, Rows rows = {});
// The two halves of a layer, of which the second writes over the first: pixels stay in panels between them.
// From 128 channels on they round otherwise than the two alone.
void run(const AttentionSublayer<Tensor>& op, const MlpSublayer<Tensor>& mlp, Context& context);
bool joins(const AttentionSublayer<Tensor>& op, const MlpSublayer<Tensor>& mlp);
// Whether run() takes the operator in one go; else it runs the parts in memory of its own, and plans should
// hold the parts instead.
template <class T>
bool runs_whole(const AttentionSublayer<T>& op) {
  return op.keys == op.window;
}
template <class T>
bool runs_whole(const MlpSublayer<T>&) {
  return true;
}

// Scratch memory that run() takes per thread.
size_t thread_scratch_bytes(const AttentionSublayer<Tensor>& op);

// A chain is a dense block: 3x3 stride-1 convolutions in order, each reading channels [0, k_i) of one wide
// buffer and all but the last writing the slice right behind what it read, so that the input transform of a
// slice serves every later convolution.
// The length of the longest such chain at the front of `ops`; below 2 means: run them one by one.
int chain_length(std::span<const Conv2d<Tensor>> ops);
void run_chain(std::span<const Conv2d<Tensor>> ops, Context& context);

// Which algorithm run() takes for this operator: "winograd_f4", "direct", "gemm", ... A pure function
// of the operator's shape and the ISA, unless UPSCALE_VARIANT=conv2d=NAME forces one.
const char* variant_name(const Conv2d<Tensor>& op);

// OIHW weights of any float element type (converted to f32 by the caller, or kept f16) -> [k, k, cin, cout].
// `out` holds k*k*cin*cout elements of `dtype`; oihw need not be aligned.
void pack_conv_weight(const void* oihw, void* out, DType dtype, int cout, int cin, int k);
// f32 [cout, cin] weights of a linear layer within a sublayer that runs whole, as its kernels on this
// processor read them. Sets w.w and w.tile; `out` holds packed_linear_floats(w), at least cout * cin.
int64_t packed_linear_floats(const Weight& w);
void pack_linear_weight(const float* weight, float* out, Weight& w);

}  // namespace ups::cpu
