// conv2d_vendor.h: what surrounds a library's convolution.
#include "kernels/conv2d_vendor.h"
#include "kernels/device/epilogue.cuh"
#include "kernels/pack.h"

namespace ups::cuda {
namespace {

constexpr unsigned kBlock = 256;

unsigned blocks_for(int64_t threads) { return unsigned((threads + kBlock - 1) / kBlock); }

// [cin / 16][tap][cout_pad][16] (kernels/pack.h) to [cout][tap][cin], unless that was done before.
__global__ void reorder_filters(const uint16_t* packed, uint16_t* out, int cout, int cin, int taps,
                                const int* ready) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (*ready || i >= int64_t(cout) * taps * cin) return;
  const int ci = int(i % cin), tap = int(i / cin % taps), co = int(i / cin / taps);
  out[i] = packed[mma_layout(cout, cin, taps == 9 ? 3 : taps == 25 ? 5 : 1).index(tap, ci, co)];
}

// y's rows [begin, begin + rows) from sums, whose first row is `first`. Eight channels per thread.
template <class T>
__global__ void finish(Conv2d<Tensor> op, Tensor sums, int first, int begin, int rows, bool vector,
                       int* ready) {
  int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i == 0) *ready = 1;  // the kernel that reorders is done
  const int eights = op.w.cout / 8;
  if (i >= int64_t(rows) * sums.w * eights) return;
  const int co = int(i % eights) * 8;
  i /= eights;
  const int x = int(i % sums.w), y = begin + int(i / sums.w);
  const T* const from = static_cast<const T*>(sums.data) + (int64_t(y - first) * sums.w + x) * op.w.cout + co;
  float v[8];
  for (int c = 0; c < 8; c++) v[c] = to_float(from[c]);
  finish_eight<T>(op, vector, 0, y, x, co, v);
}

// The same image, of which `data` holds rows from `first` on.
Tensor dense_rows(void* data, const Tensor& like, int h, int w, int c, int first) {
  Tensor t{data, like.dtype, 1, h, w, c, 0, int64_t(w) * c, c};
  t.data = static_cast<char*>(data) - int64_t(first) * t.row * dtype_bytes(t.dtype);
  return t;
}
// Rows [begin, end) as an image of their own.
Tensor only_rows(Tensor t, int begin, int end) {
  t.data = static_cast<char*>(t.data) + int64_t(begin) * t.row * dtype_bytes(t.dtype);
  t.h = end - begin;
  return t;
}

}  // namespace

VendorBuffers::Filters VendorBuffers::filters(const Weight& w) {
  const size_t bytes = (size_t(w.cout) * size_t(w.k * w.k * w.cin) * 2 + 255) / 256 * 256;
  DeviceMemory& memory = filters_[w.w];
  if (memory.bytes() < bytes + 256) memory = DeviceMemory(stream_, bytes + 256);
  int* const ready = reinterpret_cast<int*>(static_cast<char*>(memory.data()) + bytes);
  stream_.fill(ready, 0, sizeof(int));
  stream_.synchronize();
  return {memory.data(), ready};
}

void* VendorBuffers::get(Use use, size_t bytes) {
  auto& all = others_[use];
  if (all.empty() || all.back().bytes() < bytes) {
    all.emplace_back(stream_, bytes);
    stream_.synchronize();
  }
  return all.back().data();
}

const char* vendor_conv_declines(const Conv2d<Tensor>& op) {
  if (op.x.dtype == DType::f32 || op.w.dtype != op.x.dtype)
    return "needs a 16-bit x and weights of its dtype";
  if (op.stride != 1 || op.pad_end || op.x.n != 1) return "needs stride 1 and one image, padded on all sides";
  if (op.w.cin % 8 || op.w.cout % 8) return "needs channels in multiples of 8";
  if (op.shortcut.present()) return "sums no shortcut";
  return nullptr;
}

void run_by_vendor(const Conv2d<Tensor>& op, Stream& stream, Rows rows, VendorBuffers& buffers,
                   const std::function<void(const VendorConv&, Stream&)>& convolve) {
  const int in_h = op.x.h * op.up, in_w = op.x.w * op.up, half = op.w.k / 2;
  // Rows at the seams come out wrong, for want of their neighbours, and are not used.
  const int lo = max(0, rows.begin - half), hi = min(in_h, rows.end + half);
  const size_t row_bytes = size_t(in_w) * 2;
  VendorConv conv;
  conv.k = op.w.k;
  if (op.up == 1) {
    conv.x = only_rows(op.x, lo, hi);
  } else {
    const Tensor enlarged =
        dense_rows(buffers.get(VendorBuffers::enlarged, size_t(hi - lo) * row_bytes * size_t(op.w.cin)), op.x,
                   in_h, in_w, op.w.cin, lo);
    Upsample<Tensor> upsample;
    upsample.x = op.x, upsample.y = enlarged, upsample.up = op.up;
    run(upsample, stream, {lo, hi});
    conv.x = only_rows(enlarged, lo, hi);
  }
  const auto filters = buffers.filters(op.w);
  const int taps = op.w.k * op.w.k;
  launch(reorder_filters,
         {.grid = {blocks_for(int64_t(op.w.cout) * taps * op.w.cin)}, .block = kBlock, .stream = &stream},
         static_cast<const uint16_t*>(op.w.w), static_cast<uint16_t*>(filters.data), op.w.cout, op.w.cin,
         taps, filters.ready);
  conv.filters = filters.data;
  conv.y =
      only_rows(dense_rows(buffers.get(VendorBuffers::sums, size_t(hi - lo) * row_bytes * size_t(op.w.cout)),
                           op.x, in_h, in_w, op.w.cout, lo),
                lo, hi);
  convolve(conv, stream);
  const int count = rows.end - rows.begin;
  launch(op.x.dtype == DType::f16 ? finish<half_t> : finish<bf16_t>,
         {.grid = {blocks_for(int64_t(count) * in_w * (op.w.cout / 8))}, .block = kBlock, .stream = &stream},
         op, conv.y, lo, rows.begin, count, vector_epilogue(op, op.x.dtype), filters.ready);
}

}  // namespace ups::cuda
