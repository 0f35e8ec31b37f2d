// The operators of kernels/gate_ops.h: affine, gate, channel attention, depthwise convolution.
//
// All are memory-bound: one thread per output element, each element read and written once (depthwise: the
// nine reads of neighbours come from L1). Channel attention takes three launches: partial sums, each block 32
// channels of a run of pixels, 8 warps side by side that read whole 32-channel runs; the gates, one block;
// and their application. Sums are float in a fixed order; they pass through the stream's workspace.
#include "kernels/device/epilogue.cuh"
#include "kernels/device/place.cuh"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

__device__ __forceinline__ float load_at(const Tensor& t, const Place& p, int c) {
  return load_element(t, offset(t, {p.n, p.y, p.x, c}));
}
__device__ __forceinline__ void store_at(const Tensor& t, const Place& p, float v) {
  store_element(t, offset(t, p), v);
}
__device__ __forceinline__ float sigmoid(float v) { return 1 / (1 + expf(-v)); }

__global__ void affine(Affine<Tensor> op, int first_row, int rows) {
  Place p;
  if (!place(op.y, first_row, rows, p)) return;
  store_at(op.y, p, load_at(op.x, p, p.c) * op.scale[p.c] + op.shift[p.c]);
}

__global__ void gate(Gate<Tensor> op, int first_row, int rows) {
  Place p;
  if (!place(op.y, first_row, rows, p)) return;
  const float g = load_at(op.g, p, op.g.c == 1 ? 0 : p.c), f = op.sigmoid ? sigmoid(g) : g;
  float v = (load_at(op.x, p, p.c) + op.mix * g) * (f + op.shift);
  if (op.add.t.data) v += op.add.scale * load_at(op.add.t, p, p.c);
  store_at(op.y, p, v);
}

__global__ void depthwise_conv2d(DepthwiseConv2d<Tensor> op, int first_row, int rows) {
  Place p;
  if (!place(op.y, first_row, rows, p)) return;
  const int k = op.k;
  float sum = op.w.bias ? op.w.bias[p.c] : 0;
  for (int tap = 0; tap < k * k; tap++) {
    const Place from{p.n, p.y + tap / k - k / 2, p.x + tap % k - k / 2, p.c};
    if (from.y < 0 || from.x < 0 || from.y >= op.x.h || from.x >= op.x.w) continue;
    sum += load_at(op.x, from, p.c) * static_cast<const float*>(op.w.w)[int64_t(p.c) * k * k + tap];
  }
  float v = activate(op.act, sum, op.slope);
  if (op.gate.data) v *= load_at(op.gate, p, p.c);
  store_at(op.y, p, v);
}

// --- Channel attention -------------------------------------------------------------------------------------
constexpr int kWarps = 8;
struct SumMemory {
  float part[kWarps][32];
};

// partial[n, chunk, c] = sum over pixels [chunk * length, + length) of image n.
__global__ void channel_sums(Tensor x, float* partial, int length) {
  auto& shared_sums = shared<SumMemory>();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int c = int(blockIdx.x) * 32 + lane, n = int(blockIdx.z);
  const int64_t pixels = int64_t(x.h) * x.w, begin = int64_t(blockIdx.y) * length;
  const int64_t end = begin + length < pixels ? begin + length : pixels;
  float sum = 0;
  if (c < x.c)
    for (int64_t i = begin + warp; i < end; i += kWarps)
      sum += load_element(x, n * x.image + i / x.w * x.row + i % x.w * x.px + c);
  shared_sums.part[warp][lane] = sum;
  __syncthreads();
  if (warp || c >= x.c) return;
  for (int i = 1; i < kWarps; i++) sum += shared_sums.part[i][lane];
  partial[(int64_t(n) * gridDim.y + blockIdx.y) * x.c + c] = sum;
}

// s[n, c] = op.scale * sigmoid(w2 act(w1 mean + b1) + b2); s first holds the means. hidden [n, r].
__global__ void channel_gates(ChannelAttention<Tensor> op, const float* partial, int chunks, int64_t pixels,
                              float* s, float* hidden) {
  const int c = op.w1.cin, r = op.w1.cout, n = int(blockIdx.x);
  s += n * c, hidden += n * r;
  for (int i = int(threadIdx.x); i < c; i += int(blockDim.x)) {
    float sum = 0;
    for (int k = 0; k < chunks; k++) sum += partial[(int64_t(n) * chunks + k) * c + i];
    s[i] = sum / float(pixels);
  }
  __syncthreads();
  for (int j = int(threadIdx.x); j < r; j += int(blockDim.x)) {
    float sum = op.w1.bias ? op.w1.bias[j] : 0;
    for (int i = 0; i < c; i++) sum += s[i] * static_cast<const float*>(op.w1.w)[int64_t(j) * c + i];
    hidden[j] = activate(op.act, sum, 0);
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < c; i += int(blockDim.x)) {
    float sum = op.w2.bias ? op.w2.bias[i] : 0;
    for (int j = 0; j < r; j++) sum += hidden[j] * static_cast<const float*>(op.w2.w)[int64_t(i) * r + j];
    s[i] = op.scale * sigmoid(sum);
  }
}

__global__ void apply_channel_gates(ChannelAttention<Tensor> op, const float* s, int first_row, int rows) {
  Place p;
  if (!place(op.y, first_row, rows, p)) return;
  float v = load_at(op.x, p, p.c) * s[p.n * op.y.c + p.c];
  if (op.add.t.data) v += op.add.scale * load_at(op.add.t, p, p.c);
  if (op.add2.t.data) v += op.add2.scale * load_at(op.add2.t, p, p.c);
  store_at(op.y, p, v);
}

void verify(const char* what, const Tensor& t, const Tensor& y, int c) {
  check(t.data && y.data && t.n == y.n && y.n <= 65535 && t.extent() == y.extent() && t.c == c, Code::device,
        what, ": got an operand [", t.n, ", ", t.h, ", ", t.w, ", ", t.c, "], expected [", y.n, ", ", y.h,
        ", ", y.w, ", ", c, "]");
}

}  // namespace

void run(const Affine<Tensor>& op, Stream& stream, Rows rows) {
  verify("affine", op.x, op.y, op.y.c);
  check(op.y.c <= 4, Code::device, "affine: got ", op.y.c, " channels, expected at most 4");
  launch_rows(affine, op.y, stream, rows, op);
}

void run(const Gate<Tensor>& op, Stream& stream, Rows rows) {
  verify("gate", op.x, op.y, op.y.c);
  verify("gate", op.g, op.y, op.g.c == 1 ? 1 : op.y.c);
  if (op.add.t.data) verify("gate", op.add.t, op.y, op.y.c);
  launch_rows(gate, op.y, stream, rows, op);
}

void run(const DepthwiseConv2d<Tensor>& op, Stream& stream, Rows rows) {
  verify("depthwise_conv2d", op.x, op.y, op.y.c);
  if (op.gate.data) verify("depthwise_conv2d", op.gate, op.y, op.y.c);
  check(op.w.w && op.w.cout == op.y.c && op.w.cin == op.k * op.k && op.w.dtype == DType::f32 &&
            op.act != Act::prelu,
        Code::device, "depthwise_conv2d: got ", op.w.cout, " filters, expected ", op.y.c, ", without PReLU");
  launch_rows(depthwise_conv2d, op.y, stream, rows, op);
}

void run(const ChannelAttention<Tensor>& op, Stream& stream, Rows rows) {
  const int c = op.y.c, r = op.w1.cout, n = op.y.n;
  const Tensor pool = op.pool.data ? op.pool : op.x;
  verify("channel_attention", op.x, op.y, c);
  verify("channel_attention", pool, op.y, c);
  for (const Tensor& t : {op.add.t, op.add2.t})
    if (t.data) verify("channel_attention", t, op.y, c);
  check(op.w1.w && op.w2.w && op.w1.cin == c && op.w2.cin == r && op.w2.cout == c &&
            op.w1.dtype == DType::f32 && op.w2.dtype == DType::f32,
        Code::device, "channel_attention: the weights do not fit ", c, " channels");
  const int64_t pixels = pool.extent().pixels();
  const int64_t fixed = int64_t(n) * (c + r), room = int64_t(Stream::kWorkspaceBytes / sizeof(float)) - fixed;
  check(room >= int64_t(n) * c, Code::device, "channel_attention: got ", n, " images of ", c,
        " channels, expected fewer than ", Stream::kWorkspaceBytes / 8, " in all");
  int64_t chunks = (pixels + 63) / 64;
  if (chunks > 256) chunks = 256;
  if (chunks > room / (int64_t(n) * c)) chunks = room / (int64_t(n) * c);
  const int length = int((pixels + chunks - 1) / chunks);
  float* s = static_cast<float*>(stream.workspace());
  float *hidden = s + int64_t(n) * c, *partial = s + fixed;
  launch(channel_sums,
         {.grid = {unsigned((c + 31) / 32), unsigned(chunks), unsigned(n)},
          .block = 32 * kWarps,
          .smem_bytes = sizeof(SumMemory),
          .stream = &stream},
         pool, partial, length);
  launch(channel_gates, {.grid = {unsigned(n)}, .block = kBlock, .stream = &stream}, op, partial, int(chunks),
         pixels, s, hidden);
  launch_rows(apply_channel_gates, op.y, stream, rows, op, s);
}

}  // namespace ups::cuda
