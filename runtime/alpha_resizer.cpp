// Pixels of c channels become ones of 2 c - 1 on their way through the resizer: colours times alpha, alpha,
// and the colours as they are, for where nothing is visible.
#include "runtime/alpha_resizer.h"

#include <algorithm>

namespace ups {
namespace {

constexpr int kRows = 64;  // weighed at a time

bool weighs(Extent in, Extent out, int c) { return c % 2 == 0 && !(in == out); }

void weigh(const float* in, int c, int64_t pixels, float* out) {
  for (; pixels > 0; pixels--, in += c, out += 2 * c - 1) {
    const float a = out[c - 1] = in[c - 1];
    for (int k = 0; k < c - 1; k++) out[k] = in[k] * a, out[c + k] = in[k];
  }
}

void unweigh(const float* in, int c, int64_t pixels, float* out) {
  // Below this alpha nobody can see the colour, and dividing by it would magnify noise.
  constexpr float kInvisible = 1e-4f;
  for (; pixels > 0; pixels--, in += 2 * c - 1, out += c) {
    const float a = out[c - 1] = in[c - 1];
    for (int k = 0; k < c - 1; k++) out[k] = a > kInvisible ? in[k] / a : in[c + k];
  }
}

}  // namespace

AlphaResizer::AlphaResizer(Extent in, Extent out, int c, Filter filter)
    : c_(c),
      in_w_(in.w),
      out_w_(out.w),
      weighed_(weighs(in, out, c)),
      resizer_(in.h, in.w, out.h, out.w, weighed_ ? 2 * c - 1 : c, filter) {
  if (weighed_) in_.resize(size_t(kRows) * size_t(in.w) * size_t(2 * c - 1));
}

size_t AlphaResizer::bytes() const { return resizer_.bytes() + 2 * in_.size() * sizeof(float); }

void AlphaResizer::push(const float* rows, int n, Pool& pool, const RowSink& sink) {
  if (!weighed_) return resizer_.push(rows, n, pool, sink);
  for (int y = 0; y < n; y += kRows) {
    const int count = std::min(n - y, kRows);
    weigh(rows + y * in_w_ * c_, c_, count * in_w_, in_.data());
    resizer_.push(in_.data(), count, pool, [&](int at, int done, const float* weighed) {
      out_.resize(size_t(done) * size_t(out_w_) * size_t(c_));
      unweigh(weighed, c_, done * out_w_, out_.data());
      sink(at, done, out_.data());
    });
  }
}

}  // namespace ups
