// run_chain: a dense block as one computation.
//
// Small images: V of each channel slice is computed once, by the convolution that first reads it, and kept
// for all later ones; U of all layers once. Large ones, whose V would leave the caches: steps of a few tile
// rows, where convolution k runs k tile rows behind the first (its last slice needs one tile row more below),
// so that a step's pixels are still in cache when the next convolution reads them; each convolution with its
// own V.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/conv2d_parts.h"
#include "kernels/cpu/conv2d_winograd.h"
#include "kernels/cpu/denormals.h"
#include "kernels/cpu/isa_ready.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

constexpr int kMaxLanes = 16;            // slices begin at a multiple of every ISA's vector
constexpr int64_t kMaxVBytes = 5 << 20;  // of a whole image; at 7 MB recomputing V was measured faster
constexpr int64_t kMaxUBytes = 8 << 20;  // of all layers
constexpr int kStepTiles = 512;          // per step: their pixels stay in cache
constexpr int kThreadTiles = 48;  // at least, so that many threads have equal work; their caches add up

// Both read the same pixels.
bool same_image(const Tensor& a, const Tensor& b) {
  return a.data == b.data && a.n == b.n && a.h == b.h && a.w == b.w && a.image == b.image && a.row == b.row &&
         a.px == b.px;
}

bool eligible(const Conv2d<Tensor>& op) {
  return op.x.data && op.y.data && op.w.k == 3 && op.stride == 1 && op.up == 1 && op.shuffle == 1 &&
         op.w.cin % kMaxLanes == 0 && std::strcmp(variant_name(op), "winograd_f4") == 0;
}

// `next` reads what `op` read and the slice that `op` wrote right behind it.
bool continues(const Conv2d<Tensor>& op, const Conv2d<Tensor>& next) {
  const Tensor behind = op.x.channels(op.w.cin, op.w.cout);
  return same_image(behind, op.y) && same_image(op.x, next.x) && next.w.cin == op.w.cin + op.w.cout;
}

// All layers' U and epilogues.
struct Layers {
  std::span<const Conv2d<Tensor>> ops;
  std::vector<WinogradArgs> args;
  std::vector<int> weight_items{0};
  int64_t floats = 0;

  Layers(std::span<const Conv2d<Tensor>> ops, int lanes) : ops(ops) {
    for (const Conv2d<Tensor>& op : ops) {
      WinogradArgs a = make_winograd(op, {0, op.x.h});
      a.co_end = a.cout;
      a.u_xi = int64_t(a.cin) * 2 * lanes + kXiGap, a.u_block = kWinogradXi * a.u_xi;
      weight_items.push_back(weight_items.back() + winograd_weight_items(a, lanes));
      floats += a.u_block * ceil_div(a.cout, 2 * lanes) + 2 * round_up(a.cout, kCoutPad);
      args.push_back(a);
    }
  }
  // Returns the memory behind its own.
  float* prepare(float* memory, Context& context) {
    const WinogradKernels& kernels = winograd_kernels();
    for (WinogradArgs& a : args) a.u = memory, memory += a.u_block * ceil_div(a.cout, 2 * kernels.lanes);
    for (size_t layer = 0; layer < args.size(); layer++) {
      args[layer].epilogue = make_epilogue(ops[layer], memory);
      memory += 2 * round_up(args[layer].cout, kCoutPad);
    }
    context.pool.for_each(weight_items.back(), [&](int item, int) {
      int layer = 0;
      while (item >= weight_items[layer + 1]) layer++;
      kernels.weights(args[layer], item - weight_items[layer]);
    });
    return memory;
  }
  void aim(WinogradArgs& a, int layer, int image) const {
    a.x = static_cast<const float*>(ops[layer].x.data) + image * ops[layer].x.image;
    aim_epilogue(a.epilogue, ops[layer], image);
  }
};

// Calls fn(layer, rows) for range after range of rows of each layer, so that every slice is complete before
// it is read.
template <class Fn>
void each_range(std::span<const Conv2d<Tensor>> ops, int tile_rows, int step, Fn&& fn) {
  const int layers = int(ops.size());
  for (int row = 0; row < tile_rows + layers - 1; row += step) {
    for (int layer = 0; layer < layers; layer++) {
      const int begin = std::max(0, row - layer), end = std::min(tile_rows, row + step - layer);
      if (begin < end) fn(layer, Rows{begin * 4, std::min(end * 4, ops[layer].x.h)});
    }
  }
}

void run_wavefront(Layers& layers, Context& context, int tile_rows, int step) {
  struct Call {
    int layer;
    WinogradArgs a;
    WinogradBlocks blocks;
  };
  const int threads = context.pool.threads(), tile_step = winograd_kernels().tile_step;
  std::vector<Call> calls;
  int64_t room = 0;  // of a thread
  each_range(layers.ops, tile_rows, step, [&](int layer, Rows rows) {
    WinogradArgs a = make_winograd(layers.ops[layer], rows);
    const WinogradBlocks blocks(a, tile_step, threads);
    room = std::max(room, blocks.thread_floats);
    calls.push_back({layer, a, blocks});
  });
  float* memory = static_cast<float*>(context.scratch.get((layers.floats + threads * room) * sizeof(float)));
  float* per_thread = layers.prepare(memory, context);
  for (int image = 0; image < layers.ops[0].x.n; image++)
    for (Call& call : calls) {
      WinogradArgs& a = call.a;
      const WinogradArgs& layer = layers.args[call.layer];
      a.u = layer.u, a.u_xi = layer.u_xi, a.u_block = layer.u_block, a.co_end = layer.co_end;
      a.epilogue = layer.epilogue;
      layers.aim(a, call.layer, image);
      run_winograd_blocks(a, call.blocks, context, per_thread);
    }
}

}  // namespace

int chain_length(std::span<const Conv2d<Tensor>> ops) {
  if (ops.empty() || !eligible(ops[0])) return 0;
  size_t length = 1;
  while (length < ops.size() && eligible(ops[length]) && continues(ops[length - 1], ops[length])) length++;
  return int(length);
}

void run_chain(std::span<const Conv2d<Tensor>> ops, Context& context) {
  check(!ops.empty() && chain_length(ops) == int(ops.size()), Code::device, "run_chain: got ", ops.size(),
        " convolutions that do not form a chain (see chain_length)");
  for (const Conv2d<Tensor>& op : ops) check_conv2d(op);
  isa_ready();
  const WinogradKernels& kernels = winograd_kernels();
  const int layers = int(ops.size()), lanes = kernels.lanes, threads = context.pool.threads();
  const int channels = ops.back().w.cin;
  const int tile_rows = ceil_div(ops[0].x.h, 4), tiles_x = ceil_div(ops[0].x.w, 4);

  // A row of tiles is split into blocks of at most 12, as equal as register tiles allow.
  const int units = ceil_div(tiles_x, kernels.tile_step);
  const int blocks = ceil_div(units, 12 / kernels.tile_step);
  const int block_tiles = ceil_div(units, blocks) * kernels.tile_step;
  const int64_t v_xi = int64_t(block_tiles) * channels + kXiGap, block_floats = kWinogradXi * v_xi;
  Layers all(ops, lanes);
  const bool few = tile_rows * blocks < 2 * threads;
  if (tile_rows * blocks * block_floats * int64_t(sizeof(float)) > kMaxVBytes || few ||
      all.floats * int64_t(sizeof(float)) > kMaxUBytes) {
    const int step = std::max(2, std::max(kStepTiles, kThreadTiles * threads) / tiles_x);
    if (all.floats * int64_t(sizeof(float)) <= kMaxUBytes)
      return run_wavefront(all, context, tile_rows, step);
    return each_range(ops, tile_rows, step, [&](int layer, Rows rows) { run(ops[layer], context, rows); });
  }

  for (WinogradArgs& a : all.args) a.v_tile = channels, a.v_xi = v_xi;
  // The last register tile of a block may read past it.
  const int64_t v_floats = tile_rows * blocks * block_floats + 12 * channels;
  const int64_t m_floats = winograd_m_floats(block_tiles, lanes);
  const int64_t thread_floats = round_up(int(m_floats + int64_t(kWinogradXi) * channels), 64);
  float* memory = static_cast<float*>(
      context.scratch.get((all.floats + threads * thread_floats + v_floats) * sizeof(float)));
  float* per_thread = all.prepare(memory, context);
  float* v = per_thread + threads * thread_floats;
  for (int image = 0; image < ops[0].x.n; image++) {
    for (int layer = 0; layer < layers; layer++) {
      WinogradArgs& a = all.args[layer];
      all.aim(a, layer, image);
      const int known = layer == 0 ? 0 : all.args[layer - 1].cin;  // channels whose V earlier layers computed
      context.pool.for_each(tile_rows * blocks, [&](int item, int thread) {
        const FlushDenormals flush;
        const int row = item / blocks, block = item % blocks;
        float* m = per_thread + thread * thread_floats;
        float* vb = v + item * block_floats;
        const int first = units * block / blocks * kernels.tile_step;
        const int last = std::min(tiles_x, units * (block + 1) / blocks * kernels.tile_step);
        const int tile = row * tiles_x + first;
        kernels.input(a, tile, last - first, known, a.cin, vb, m + m_floats);
        kernels.output(a, tile, last - first, vb, m);
      });
    }
  }
}

}  // namespace ups::cpu
