// Pixel conversions: u8/u16/f32 <-> float, reflected tile crops, luma.
#include "kernels/convert.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/error.h"

namespace ups {
namespace {

template <class T>
constexpr float kMax = T(~T(0));

template <class T>
void decode(const T* in, float* out, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = float(in[i]) / kMax<T>;
}

// The one rounding rule. NaN fails the first comparison and becomes 0.
template <class T>
T quantise(float v) {
  v = v > 0 ? v : 0;
  v = v < 1 ? v : 1;
  return T(int(v * kMax<T> + 0.5f));
}

template <class T>
void encode(const float* in, T* out, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = quantise<T>(in[i]);
}

float value(uint8_t v) { return float(v) / kMax<uint8_t>; }
float value(uint16_t v) { return float(v) / kMax<uint16_t>; }
float value(float v) { return v; }

template <class T>
void crop_row(const T* in, int c, const ChannelMap& map, const int64_t* column, float* out, int w,
              int64_t px) {
  for (int x = 0; x < w; x++, out += px) {
    const T* pixel = in + column[x] * c;
    for (int k = 0; k < map.count; k++) out[k] = value(pixel[map.from[k]]);
  }
}

template <class T>
void store_row(const float* in, int rows_c, int count, T* out, int image_c, int w) {
  for (int x = 0; x < w; x++, in += rows_c, out += image_c)
    for (int k = 0; k < count; k++)
      if constexpr (sizeof(T) == 4)
        out[k] = in[k];
      else
        out[k] = quantise<T>(in[k]);
}

}  // namespace

void to_float(const void* in, Depth depth, float* out, int64_t count) {
  if (depth == Depth::u8)
    decode(static_cast<const uint8_t*>(in), out, count);
  else if (depth == Depth::u16)
    decode(static_cast<const uint16_t*>(in), out, count);
  else
    std::memcpy(out, in, size_t(count) * sizeof(float));
}

void from_float(const float* in, Depth depth, void* out, int64_t count) {
  if (depth == Depth::u8)
    encode(in, static_cast<uint8_t*>(out), count);
  else if (depth == Depth::u16)
    encode(in, static_cast<uint16_t*>(out), count);
  else
    std::memcpy(out, in, size_t(count) * sizeof(float));
}

int reflect_101(int64_t i, int n) {
  if (n == 1) return 0;
  const int64_t period = 2 * (int64_t(n) - 1);
  i %= period;
  if (i < 0) i += period;
  return int(i < n ? i : period - i);
}

int wrapped(int64_t i, int n) { return int(i % n + (i % n < 0 ? n : 0)); }

void crop_tile(const void* image, Extent size, int c, Depth depth, int64_t stride_bytes, int y0, int x0,
               const ChannelMap& map, const Tensor& tile, Pool& pool, Wrap wrap) {
  check(size.h >= 1 && size.w >= 1, Code::usage, "crop_tile: got an image of ", size.w, "x", size.h,
        ", expected at least 1x1");
  check(tile.dtype == DType::f32 && tile.c >= map.count, Code::usage, "crop_tile: got a tile of ", tile.c,
        " channels of ", dtype_name(tile.dtype), ", expected at least ", map.count, " of f32");
  for (int k = 0; k < map.count; k++)
    check(map.from[k] >= 0 && map.from[k] < c, Code::usage, "crop_tile: got channel ", map.from[k],
          ", expected less than ", c);
  std::vector<int64_t> column(tile.w);
  for (int x = 0; x < tile.w; x++) {
    const int64_t at = int64_t(x0) + x;
    column[x] = wrap.x ? wrapped(at, size.w) : reflect_101(at, size.w);
  }
  // A tile inside the image that takes all channels in order is a dense row.
  bool dense = x0 >= 0 && int64_t(x0) + tile.w <= size.w && map.count == c && tile.px == c;
  for (int k = 0; k < map.count; k++) dense = dense && map.from[k] == k;

  pool.for_each(tile.h, [&](int y, int) {
    const int64_t at = int64_t(y0) + y;
    const int row = wrap.y ? wrapped(at, size.h) : reflect_101(at, size.h);
    const auto* in = static_cast<const char*>(image) + row * stride_bytes;
    float* out = tile.at(y, 0);
    if (dense)
      to_float(in + int64_t(x0) * c * depth_bytes(depth), depth, out, int64_t(tile.w) * c);
    else if (depth == Depth::u8)
      crop_row(reinterpret_cast<const uint8_t*>(in), c, map, column.data(), out, tile.w, tile.px);
    else if (depth == Depth::u16)
      crop_row(reinterpret_cast<const uint16_t*>(in), c, map, column.data(), out, tile.w, tile.px);
    else
      crop_row(reinterpret_cast<const float*>(in), c, map, column.data(), out, tile.w, tile.px);
  });
}

void store_rows(const float* rows, int h, int w, int rows_c, int count, void* image, int image_c, int first_c,
                Depth depth, int64_t stride_bytes, Pool& pool) {
  check(count >= 1 && count <= rows_c && first_c >= 0 && first_c + count <= image_c, Code::usage,
        "store_rows: got channels ", first_c, " .. ", first_c + count, " from rows of ", rows_c,
        " channels, expected them within ", image_c);
  pool.for_each(h, [&](int y, int) {
    const float* in = rows + int64_t(y) * w * rows_c;
    auto* out = static_cast<char*>(image) + y * stride_bytes;
    if (count == rows_c && count == image_c)
      from_float(in, depth, out, int64_t(w) * count);
    else if (depth == Depth::u8)
      store_row(in, rows_c, count, reinterpret_cast<uint8_t*>(out) + first_c, image_c, w);
    else if (depth == Depth::u16)
      store_row(in, rows_c, count, reinterpret_cast<uint16_t*>(out) + first_c, image_c, w);
    else
      store_row(in, rows_c, count, reinterpret_cast<float*>(out) + first_c, image_c, w);
  });
}

void rgb_to_gray(const float* rgb, float* gray, int64_t pixels) {
  for (int64_t i = 0; i < pixels; i++) {
    const float r = rgb[3 * i], g = rgb[3 * i + 1], b = rgb[3 * i + 2];
    gray[i] = g + 0.299f * (r - g) + 0.114f * (b - g);
  }
}

}  // namespace ups
