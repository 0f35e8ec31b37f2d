// Turning tiles there and back.
#include "runtime/augment.h"

#include <algorithm>

#include "kernels/error.h"

namespace ups {
namespace {

// Calls f(pixel of the turned tile, pixel of the tile as it was) for all pixels; `turned` has extent h x w.
template <class F>
void for_pixels(const Tensor& turned, const Tensor& plain, Symmetry s, Pool& pool, F&& f) {
  pool.for_each(turned.h, [&](int y, int) {
    for (int x = 0; x < turned.w; x++) {
      int py = s.flip_y ? turned.h - 1 - y : y, px = s.flip_x ? turned.w - 1 - x : x;
      if (s.transpose) std::swap(py, px);
      f(turned.at(y, x), plain.at(py, px));
    }
  });
}

}  // namespace

std::vector<Symmetry> symmetries(int n) {
  check(n == 1 || n == 2 || n == 4 || n == 8, Code::usage, "tta: got ", n, ", expected 1, 2, 4 or 8");
  std::vector<Symmetry> all;
  for (int i = 0; i < n; i++) all.push_back({(i & 4) != 0, (i & 1) != 0, (i & 2) != 0});
  return all;
}

void turn(const Tensor& from, Symmetry s, const Tensor& to, Pool& pool) {
  for_pixels(to, from, s, pool, [c = to.c](float* t, const float* p) { std::copy(p, p + c, t); });
}

void add_turned_back(const Tensor& from, Symmetry s, const Tensor& to, Pool& pool) {
  for_pixels(from, to, s, pool, [c = to.c](const float* t, float* p) {
    for (int k = 0; k < c; k++) p[k] += t[k];
  });
}

Tensor TileRunner::operator()(Extent tile, const std::function<void(const Tensor&)>& load,
                              const Progress& progress) {
  const int n = int(forms_.size());
  if (n == 1) {
    const Plan& plan = session_.prepare(tile);
    load(plan.x);
    session_.run(progress);
    return plan.y;
  }
  const int in_c = session_.info().in_c, out_c = session_.info().out_c, scale = session_.info().scale;
  lr_.resize(size_t(tile.pixels()) * in_c);
  sum_.assign(size_t(tile.pixels()) * scale * scale * out_c, 0.0f);
  const Tensor lr = dense_f32(lr_.data(), tile.h, tile.w, in_c);
  const Tensor sum = dense_f32(sum_.data(), tile.h * scale, tile.w * scale, out_c);
  load(lr);
  for (int i = 0; i < n; i++) {
    const Symmetry s = forms_[i];
    const Plan& plan = session_.prepare(s.transpose ? Extent{tile.w, tile.h} : tile);
    turn(lr, s, plan.x, pool_);
    session_.run([&](double done) {
      if (progress) progress((i + done) / n);
    });
    add_turned_back(plan.y, s, sum, pool_);
  }
  for (float& v : sum_) v /= float(n);
  return sum;
}

int64_t TileRunner::bytes(Session& session, Extent tile, int n) {
  int64_t bytes = int64_t(session.working_bytes(tile));
  if (n == 8) bytes = std::max(bytes, int64_t(session.working_bytes({tile.w, tile.h})));
  const Info& info = session.info();
  if (n > 1) bytes += tile.pixels() * (info.in_c + int64_t(info.scale) * info.scale * info.out_c) * 4;
  return bytes;
}

}  // namespace ups
