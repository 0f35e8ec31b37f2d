// Copies and conversions, some rows at a time.
#include "runtime/loop_rows.h"

namespace ups {

Collector luma(const Image& in, Pool& pool) {
  Collector out(in.extent(), 1);
  std::vector<float> rgb(size_t(in.w) * 3);
  for (int y = 0; y < in.h; y++) {
    crop_tile(in, y, 0, kFirst3, dense_f32(rgb.data(), 1, in.w, 3), pool);
    rgb_to_gray(rgb.data(), out.pixels.data() + int64_t(y) * in.w, in.w);
  }
  return out;
}

Image middle(const Image& picture, Extent kept) {
  Image out = picture;
  const int y = (picture.h - kept.h) / 2, x = (picture.w - kept.w) / 2;
  if (out.data) out.data = out.row(y) + int64_t(x) * picture.c * depth_bytes(picture.depth);
  out.h = kept.h, out.w = kept.w;
  return out;
}

RowSink middle_rows(const Step& step, int c, std::vector<float>& buffer, const RowSink& sink) {
  if (!step.crop.h) return sink;
  return [&buffer, sink, c, target = step.target, kept = step.crop](int y, int n, const float* rows) {
    const int y0 = (target.h - kept.h) / 2, x0 = (target.w - kept.w) / 2;
    const int begin = std::max(y, y0), end = std::min(y + n, y0 + kept.h);
    if (begin >= end) return;
    buffer.resize(size_t(end - begin) * kept.w * c);
    for (int i = begin; i < end; i++) {
      const float* from = rows + (int64_t(i - y) * target.w + x0) * c;
      std::copy(from, from + int64_t(kept.w) * c, buffer.data() + int64_t(i - begin) * kept.w * c);
    }
    sink(begin - y0, end - begin, buffer.data());
  };
}

void rows_of(const Image& picture, int c, Pool& pool, const RowSink& sink) {
  std::vector<float> rows(size_t(kRowsAtOnce) * picture.w * c);
  for (int y = 0; y < picture.h; y += kRowsAtOnce) {
    const int n = std::min(kRowsAtOnce, picture.h - y);
    crop_tile(picture, y, 0, first_channels(c), dense_f32(rows.data(), n, picture.w, c), pool);
    sink(y, n, rows.data());
  }
}

double mean_of(const Image& picture, Pool& pool) {
  const int colours = colours_of(picture);
  std::vector<uint8_t> bytes;
  uint64_t sum = 0;
  rows_of(picture, colours, pool, [&](int, int n, const float* rows) {
    bytes.resize(size_t(n) * picture.w * colours);
    from_float(rows, Depth::u8, bytes.data(), int64_t(bytes.size()));
    for (uint8_t b : bytes) sum += b;
  });
  return double(sum) / (double(picture.extent().pixels()) * colours);
}

}  // namespace ups
