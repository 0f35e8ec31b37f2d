// Operators that only move data: PixelUnshuffle, Copy, Upsample; and the packing of convolution weights.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/run.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

void check_pair(const char* who, const Tensor& x, const Tensor& y, int h, int w, int c) {
  check(x.data && y.data && x.dtype == DType::f32 && y.dtype == DType::f32, Code::device, who,
        ": expected f32 operands");
  check(y.n == x.n && y.h == h && y.w == w && y.c == c, Code::device, who, ": y is [", y.n, ", ", y.h, ", ",
        y.w, ", ", y.c, "], expected [", x.n, ", ", h, ", ", w, ", ", c, "]");
}

// Calls row(image, y) for each image and each row of the range that y has.
template <class Row>
void each_row(const Tensor& y, Context& context, Rows rows, Row&& row) {
  const int begin = std::max(rows.begin, 0), end = std::min(rows.end, y.h);
  if (begin >= end) return;
  for (int image = 0; image < y.n; image++)
    context.pool.for_each(end - begin, [&](int i, int) { row(image, begin + i); });
}

const float* source(const Tensor& t, int image, int y, int x) { return t.at(y, x) + image * t.image; }
float* target(const Tensor& t, int image, int y, int x) { return t.at(y, x) + image * t.image; }

// Line by line of the output: 64 bytes from as many streams.
template <class T>
void pack(const char* oihw, T* out, int cout, int cin, int k) {
  constexpr int kLine = 64 / sizeof(T);
  const int64_t filter = int64_t(cin) * k * k;  // weights of one output channel
  for (int first = 0; first < cout; first += kLine) {
    const int n = std::min(kLine, cout - first);
    for (int i = 0; i < cin; i++)
      for (int tap = 0; tap < k * k; tap++) {
        const char* from = oihw + (first * filter + int64_t(i) * k * k + tap) * sizeof(T);
        T* to = out + (int64_t(tap) * cin + i) * cout + first;
        for (int o = 0; o < n; o++) std::memcpy(to + o, from + o * filter * sizeof(T), sizeof(T));
      }
  }
}

// Which four pixels of an n-pixel axis, and their weights, make output pixel i.
struct Cubic {
  int at[4];
  float weight[4];
  Cubic(int i, int up, int n) {
    constexpr double a = -0.75;
    const double source = (i + 0.5) / up - 0.5, base = std::floor(source);
    for (int k = 0; k < 4; k++) {
      const double t = std::fabs(source - (base - 1 + k));
      weight[k] =
          float(t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a);
      at[k] = std::clamp(int(base) - 1 + k, 0, n - 1);
    }
  }
};

void upsample_cubic(const Upsample<Tensor>& op, Context& context, Rows rows) {
  each_row(op.y, context, rows, [&](int image, int y) {
    const Cubic down(y, op.up, op.x.h);
    for (int x = 0; x < op.y.w; x++) {
      const Cubic across(x, op.up, op.x.w);
      float* to = target(op.y, image, y, x);
      for (int c = 0; c < op.x.c; c++) {
        float sum = 0;
        for (int i = 0; i < 4; i++) {
          float line = 0;
          for (int j = 0; j < 4; j++)
            line += across.weight[j] * source(op.x, image, down.at[i], across.at[j])[c];
          sum += down.weight[i] * line;
        }
        to[c] = sum;
      }
    }
  });
}

}  // namespace

void run(const PixelUnshuffle<Tensor>& op, Context& context, Rows rows) {
  const int r = op.r;
  check(r >= 1 && op.x.h % r == 0 && op.x.w % r == 0, Code::device, "pixel_unshuffle: x is [", op.x.h, ", ",
        op.x.w, "], expected multiples of ", r);
  check_pair("pixel_unshuffle", op.x, op.y, op.x.h / r, op.x.w / r, op.x.c * r * r);
  each_row(op.y, context, rows, [&](int image, int y) {
    for (int x = 0; x < op.y.w; x++) {
      float* to = target(op.y, image, y, x);
      for (int i = 0; i < r; i++) {
        for (int j = 0; j < r; j++) {
          const float* from = source(op.x, image, y * r + i, x * r + j);
          for (int c = 0; c < op.x.c; c++) to[(c * r + i) * r + j] = from[c];
        }
      }
    }
  });
}

void run(const Copy<Tensor>& op, Context& context, Rows rows) {
  check_pair("copy", op.x, op.y, op.x.h, op.x.w, op.x.c);
  each_row(op.y, context, rows, [&](int image, int y) {
    for (int x = 0; x < op.y.w; x++)
      std::memcpy(target(op.y, image, y, x), source(op.x, image, y, x), op.y.c * sizeof(float));
  });
}

void run(const Upsample<Tensor>& op, Context& context, Rows rows) {
  check(op.up >= 1, Code::device, "upsample: got up ", op.up, ", expected at least 1");
  check_pair("upsample", op.x, op.y, op.x.h * op.up, op.x.w * op.up, op.x.c);
  if (op.cubic) return upsample_cubic(op, context, rows);
  each_row(op.y, context, rows, [&](int image, int y) {
    for (int x = 0; x < op.y.w; x++)
      std::memcpy(target(op.y, image, y, x), source(op.x, image, y / op.up, x / op.up),
                  op.y.c * sizeof(float));
  });
}

void pack_conv_weight(const void* oihw, void* out, DType dtype, int cout, int cin, int k) {
  const char* from = static_cast<const char*>(oihw);
  if (dtype == DType::f32)
    pack(from, static_cast<float*>(out), cout, cin, k);
  else
    pack(from, static_cast<uint16_t*>(out), cout, cin, k);
}

}  // namespace ups::cpu
