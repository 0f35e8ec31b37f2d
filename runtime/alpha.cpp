// Looking at alpha; bleeding colours under it.
#include "runtime/alpha.h"

#include <algorithm>
#include <cstring>

namespace ups {
namespace {

// Calls f(first pixel of a row as T*, row) for every row until it returns false.
template <class T, class F>
bool rows_of(const Image& image, F&& f) {
  for (int y = 0; y < image.h; y++)
    if (!f(reinterpret_cast<const T*>(image.row(y)), y)) return false;
  return true;
}

template <class F>
auto with_type(Depth depth, F&& f) {
  if (depth == Depth::u8) return f(uint8_t{});
  if (depth == Depth::u16) return f(uint16_t{});
  return f(float{});
}

float as_float(const void* value, Depth depth) {
  float v;
  to_float(value, depth, &v, 1);
  return v;
}

template <class T>
std::vector<std::byte> bled_as(const Image& image, Wrap wrap) {
  const int w = image.w, h = image.h, c = image.c, colours = c - 1;
  std::vector<std::byte> bytes(size_t(image.extent().pixels()) * c * sizeof(T));
  T* out = reinterpret_cast<T*>(bytes.data());
  std::vector<bool> known(size_t(image.extent().pixels()));
  std::vector<int64_t> ring, next;  // pixels without a colour that have a neighbour with one
  for (int y = 0; y < h; y++) {
    const T* in = reinterpret_cast<const T*>(image.row(y));
    std::copy(in, in + int64_t(w) * c, out + int64_t(y) * w * c);
    for (int x = 0; x < w; x++) known[size_t(int64_t(y) * w + x)] = in[int64_t(x) * c + colours] > 0;
  }
  const auto neighbours = [&](int64_t at, auto&& f) {
    const int y = int(at / w), x = int(at % w);
    for (int dy = -1; dy <= 1; dy++)
      for (int dx = -1; dx <= 1; dx++) {
        int ny = y + dy, nx = x + dx;
        if (wrap.y) ny = wrapped(ny, h);
        if (wrap.x) nx = wrapped(nx, w);
        if ((dy || dx) && ny >= 0 && ny < h && nx >= 0 && nx < w) f(int64_t(ny) * w + nx);
      }
  };
  for (int64_t at = 0; at < int64_t(known.size()); at++) {
    if (known[size_t(at)]) continue;
    bool edge = false;
    neighbours(at, [&](int64_t n) { edge = edge || known[size_t(n)]; });
    if (edge) ring.push_back(at);
  }
  std::vector<bool> waiting(known.size());  // is in a ring already
  for (int64_t at : ring) waiting[size_t(at)] = true;
  for (; !ring.empty(); ring.swap(next)) {
    next.clear();
    for (int64_t at : ring) {
      double sum[3] = {};
      int count = 0;
      neighbours(at, [&](int64_t n) {
        if (known[size_t(n)]) {
          for (int k = 0; k < colours; k++) sum[k] += double(out[n * c + k]);
          count++;
        } else if (!waiting[size_t(n)]) {
          waiting[size_t(n)] = true;
          next.push_back(n);
        }
      });
      for (int k = 0; k < colours; k++)
        out[at * c + k] = std::is_same_v<T, float> ? T(sum[k] / count) : T(sum[k] / count + 0.5);
    }
    for (int64_t at : ring) known[size_t(at)] = true;
  }
  return bytes;
}

}  // namespace

std::optional<float> constant_alpha(const Image& image) {
  const int a = image.c - 1, px = image.c;
  const size_t bytes = size_t(depth_bytes(image.depth));
  const std::byte* first = image.row(0) + a * bytes;
  const bool same = with_type(image.depth, [&](auto type) {
    using T = decltype(type);
    return rows_of<T>(image, [&](const T* row, int) {
      for (int x = 0; x < image.w; x++)
        if (std::memcmp(row + int64_t(x) * px + a, first, sizeof(T)) != 0) return false;
      return true;
    });
  });
  if (!same) return {};
  return as_float(first, image.depth);
}

bool has_transparent_pixels(const Image& image) {
  return !with_type(image.depth, [&](auto type) {
    using T = decltype(type);
    return rows_of<T>(image, [&](const T* row, int) {
      for (int x = 0; x < image.w; x++)
        if (!(row[int64_t(x) * image.c + image.c - 1] > 0)) return false;
      return true;
    });
  });
}

std::optional<std::pair<float, float>> two_values(const Image& image) {
  if (image.c != 1) return {};
  return with_type(image.depth, [&](auto type) -> std::optional<std::pair<float, float>> {
    using T = decltype(type);
    const T a = *reinterpret_cast<const T*>(image.row(0));
    T b = a;
    const bool two = rows_of<T>(image, [&](const T* row, int) {
      for (int x = 0; x < image.w; x++) {
        if (row[x] == a || row[x] == b) continue;
        if (b != a) return false;
        b = row[x];
      }
      return true;
    });
    if (!two) return {};
    const float low = as_float(&a, image.depth), high = as_float(&b, image.depth);
    return std::minmax({low, high});
  });
}

std::vector<std::byte> bled(const Image& image, Wrap wrap) {
  return with_type(image.depth, [&](auto type) { return bled_as<decltype(type)>(image, wrap); });
}

int64_t bled_bytes(const Image& image) {
  // The copy; two bits per pixel; rings, which are short but for contrived pictures.
  return image.extent().pixels() * (image.c * depth_bytes(image.depth)) + image.extent().pixels() / 4;
}

}  // namespace ups
