// WindowAttention (kernels/ops.h).
//
// mma: tensor cores, 16-bit types (window_attention_mma.cu).
// naive: one warp per query and head; any window, any dtype; the device's own reference. Lanes share the keys
//   for the logits, which stay in shared memory, then the channels for the sum over v.
#include "kernels/device/device.cuh"
#include "kernels/device/windows.cuh"
#include "kernels/window_attention.h"

namespace ups::cuda {
namespace {

constexpr int kWarps = 4, kMaxKeys = 1024;
constexpr float kMask = -100;

struct Smem {
  float p[kWarps][kMaxKeys];  // logits, then weights
};

// sum over c of t[a + c] * t[b + c]
__device__ __forceinline__ float dot(const Tensor& t, int64_t a, int64_t b, int d) {
  float sum = 0;
  for (int c = 0; c < d; c++) sum += load_element(t, a + c) * load_element(t, b + c);
  return sum;
}

__device__ __forceinline__ float inverse_length(const Tensor& t, int64_t a, int d) {
  return 1.0f / fmaxf(sqrtf(dot(t, a, a, d)), 1e-12f);
}

__global__ void window_attention_naive(WindowAttention<Tensor> op) {
  Smem& s = shared<Smem>();
  float* p = s.p[warp_index()];
  const int64_t item = int64_t(blockIdx.x) * kWarps + warp_index();
  const Extent grid = op.grid();
  const bool exists = item < int64_t(grid.h) * grid.w * op.heads;
  const int n = int(blockIdx.y), head = exists ? int(item % op.heads) : 0;
  const int pixel = exists ? int(item / op.heads) : 0;
  const int ry = pixel / grid.w, rx = pixel % grid.w;  // in the rolled image
  const int qy = ry % op.window.h, qx = rx % op.window.w;
  const int key_y = ry - qy - (op.keys.h - op.window.h) / 2, key_x = rx - qx - (op.keys.w - op.window.w) / 2;
  const int y = unrolled(ry, op.shift.h, grid.h), x = unrolled(rx, op.shift.w, grid.w);
  const bool active = exists && y < op.x.h && x < op.x.w;
  const int width = op.x.c / 3, keys = op.keys.h * op.keys.w;
  const int64_t base = n * op.x.image + op.first + head * op.d;
  const int64_t q = active ? base + y * op.x.row + x * op.x.px : base;
  const float* bias = static_cast<const float*>(op.bias.w) + int64_t(head) * op.bias.cin;
  const int bias_w = op.window.w + op.keys.w - 1;
  const float scale = op.cosine ? op.bias.bias[head] * inverse_length(op.x, q, op.d) : op.scale;

  // The offset of key j's pixel, or -1 outside of the image.
  auto key_at = [&](int j, int& sy, int& sx) -> int64_t {
    sy = key_y + j / op.keys.w, sx = key_x + j % op.keys.w;
    if (sy < 0 || sx < 0 || sy >= grid.h || sx >= grid.w) return -1;
    const int py = unrolled(sy, op.shift.h, grid.h), px = unrolled(sx, op.shift.w, grid.w);
    return py < op.x.h && px < op.x.w ? base + py * op.x.row + px * op.x.px : -1;
  };

  float largest = -1e30f;
  for (int j = lane_index(); active && j < keys; j += 32) {
    int sy, sx;
    const int64_t at = key_at(j, sy, sx);
    float logit = 0;
    if (at >= 0) {
      logit = dot(op.x, q, at + width, op.d) * scale;
      if (op.cosine) logit *= inverse_length(op.x, at + width, op.d);
    }
    if (op.keys == op.window && (beyond_seam(ry, op.shift.h, grid.h) != beyond_seam(sy, op.shift.h, grid.h) ||
                                 beyond_seam(rx, op.shift.w, grid.w) != beyond_seam(sx, op.shift.w, grid.w)))
      logit += kMask;
    const int by = j / op.keys.w - qy + op.window.h - 1, bx = j % op.keys.w - qx + op.window.w - 1;
    logit += bias[by * bias_w + bx];
    p[j] = logit;
    largest = fmaxf(largest, logit);
  }
  largest = warp_max(largest);
  float sum = 0;
  for (int j = lane_index(); active && j < keys; j += 32) {
    p[j] = expf(p[j] - largest);
    sum += p[j];
  }
  sum = warp_sum(sum);
  __syncthreads();
  for (int c = lane_index(); active && c < op.d; c += 32) {
    float v = 0;
    for (int j = 0; j < keys; j++) {
      int sy, sx;
      const int64_t at = key_at(j, sy, sx);
      if (at >= 0) v += p[j] * load_element(op.x, at + 2 * width + c);
    }
    store_element(op.y, n * op.y.image + y * op.y.row + x * op.y.px + head * op.d + c, v / sum);
  }
}

void launch_naive(const WindowAttention<Tensor>& op, Stream& stream, Rows) {
  const int64_t items = op.grid().pixels() * op.heads;
  launch(window_attention_naive,
         {.grid = {unsigned((items + kWarps - 1) / kWarps), unsigned(op.y.n)},
          .block = 32 * kWarps,
          .smem_bytes = sizeof(Smem),
          .stream = &stream},
         op);
}

const char* accepts_all(const WindowAttention<Tensor>&, const DeviceInfo&) { return nullptr; }

// Constant initialisation across files has no order: the table is made on first use.
std::span<const WindowAttentionVariant> table() {
  static const WindowAttentionVariant variants[] = {kWindowAttentionMma,
                                                    {"naive", accepts_all, launch_naive}};
  return variants;
}

}  // namespace

std::span<const WindowAttentionVariant> window_attention_variants() { return table(); }

const char* variant_name(const WindowAttention<Tensor>& op, const DeviceInfo& device) {
  return select(op.kName, table(), op, device).name;
}

void run(const WindowAttention<Tensor>& op, Stream& stream, Rows rows) {
  check(op.x.data && op.y.data && op.bias.w && op.bias.dtype == DType::f32 && op.x.n == op.y.n &&
            op.y.n <= 65535 && op.x.extent() == op.y.extent() && op.y.c == op.heads * op.d &&
            op.x.c % 3 == 0 && op.first >= 0 && op.first + op.y.c <= op.x.c / 3 &&
            (!op.cosine || op.bias.bias) && rows.begin <= 0 && rows.end >= op.y.h,
        Code::device, "window_attention: got x [", op.x.h, ", ", op.x.w, ", ", op.x.c, "] and y [", op.y.h,
        ", ", op.y.w, ", ", op.y.c, "], which do not belong together");
  const bool shifted = op.shift.h != 0 || op.shift.w != 0;
  check(op.window.h >= 1 && op.window.w >= 1 && op.pad >= 1 && op.grid().h % op.window.h == 0 &&
            op.grid().w % op.window.w == 0 && op.keys.h >= op.window.h && op.keys.w >= op.window.w &&
            op.keys.pixels() <= kMaxKeys && (op.keys.h - op.window.h) % 2 == 0 &&
            (op.keys.w - op.window.w) % 2 == 0 && (op.keys == op.window || !shifted) &&
            op.bias.cout == op.heads &&
            op.bias.cin == (op.window.h + op.keys.h - 1) * (op.window.w + op.keys.w - 1),
        Code::device, "window_attention: got windows of ", op.window.h, " x ", op.window.w, " and keys of ",
        op.keys.h, " x ", op.keys.w, " for an image of ", op.x.h, " x ", op.x.w,
        ", expected windows that divide it and at most ", kMaxKeys, " keys");
  select(op.kName, table(), op, stream.device()).launch(op, stream, rows);
}

}  // namespace ups::cuda
