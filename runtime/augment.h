// Test-time augmentation: the network sees a tile in all its mirrored and turned forms; the results, turned
// back, are averaged. Networks are not symmetric, so the mean is a little better than any one of them.
#pragma once

#include <functional>
#include <vector>

#include "kernels/cpu/pool.h"
#include "runtime/session.h"

namespace ups {

// One of the eight symmetries of the square: the picture is transposed, then mirrored.
struct Symmetry {
  bool transpose, flip_x, flip_y;
};

// The first n of: as it is, mirrored left to right; upside down, both; the same four of the transposed
// picture. n = 1, 2, 4 or 8, else Error{Code::usage}.
std::vector<Symmetry> symmetries(int n);

// to(y, x) = from(the pixel that s moves to (y, x)); f32, `to` of the turned extent, to.c channels.
void turn(const Tensor& from, Symmetry s, const Tensor& to, Pool& pool);
// to(y, x) += from(the pixel that s has moved there): turns back.
void add_turned_back(const Tensor& from, Symmetry s, const Tensor& to, Pool& pool);

// Runs a network over tiles, n times each.
class TileRunner {
 public:
  TileRunner(Session& session, Pool& pool, int n) : session_(session), pool_(pool), forms_(symmetries(n)) {}
  // `load` fills an LR tile [tile.h, tile.w, in_c] of any strides. The result is the HR tile, valid until the
  // next call. `progress` sees 0..1 of this tile.
  Tensor operator()(Extent tile, const std::function<void(const Tensor&)>& load, const Progress& progress);
  // Working bytes for tiles of that extent, the session's included.
  static int64_t bytes(Session& session, Extent tile, int n);

 private:
  Session& session_;
  Pool& pool_;
  std::vector<Symmetry> forms_;
  std::vector<float> lr_, sum_;
};

}  // namespace ups
