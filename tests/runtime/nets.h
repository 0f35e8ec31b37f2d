// Tiny random networks built in memory, for tests of the runtime.
#pragma once

#include <memory>
#include <string>

#include "runtime/model.h"
#include "tests/testing.h"
#include "weights/state_dict.h"

namespace ups::testing {

// Adds KEY.weight [cout, cin, k, k] and KEY.bias with random values that keep activations of order one.
inline void add_conv(StateDict& w, Random& random, const std::string& key, int cout, int cin, int k = 3) {
  w.add_owned(key + ".weight", {cout, cin, k, k},
              random.normals(size_t(cout) * cin * k * k, 1.0f / std::sqrt(float(cin * k * k))));
  w.add_owned(key + ".bias", {cout}, random.normals(cout, 0.1f));
}

// The shape of an RRDB network in miniature: head, `blocks` residual-in-residual dense blocks, x2 tail.
inline Network tiny_rrdb(Random& random, int feat = 8, int grow = 4, int blocks = 2) {
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "first", feat, 3);
  for (int b = 0; b < blocks; b++)
    for (int r = 1; r <= 3; r++)
      for (int j = 1; j <= 3; j++)
        add_conv(*w, random, "b" + std::to_string(b) + ".r" + std::to_string(r) + ".c" + std::to_string(j),
                 j == 3 ? feat : grow, feat + (j - 1) * grow);
  add_conv(*w, random, "body", feat, feat);
  add_conv(*w, random, "up", feat, feat);
  add_conv(*w, random, "hr", feat, feat);
  add_conv(*w, random, "last", 3, feat);
  Network n;
  n.info.family = "tiny RRDB";
  n.info.scale = 2, n.info.default_scale = 2;
  n.weights = w;
  n.build = [blocks](Graph& g, Value lr) {
    const ConvOptions lrelu{.act = Act::lrelu, .slope = 0.2f};
    const Value first = g.conv2d(lr, Scope("first"));
    Value x = first;
    for (int b = 0; b < blocks; b++) {
      const Value in = x;
      for (int r = 1; r <= 3; r++) {
        const Scope s = Scope("b" + std::to_string(b)) / ("r" + std::to_string(r));
        const Value x1 = g.conv2d(x, s / "c1", lrelu);
        const Value x2 = g.conv2d(g.concat({x, x1}), s / "c2", lrelu);
        ConvOptions last{.scale = 0.2f, .add = plus(x)};
        if (r == 3) last = {.scale = 0.04f, .add = plus(x, 0.2f), .add2 = plus(in)};
        x = g.conv2d(g.concat({x, x1, x2}), s / "c3", last);
      }
    }
    x = g.conv2d(x, Scope("body"), {.add = plus(first)});
    x = g.conv2d(x, Scope("up"), {.act = Act::lrelu, .slope = 0.2f, .up = 2});
    x = g.conv2d(x, Scope("hr"), lrelu);
    return g.conv2d(x, Scope("last"));
  };
  return n;
}

// One convolution, cin -> cout: receptive field 1.
inline Network one_conv(Random& random, int cin, int cout, int scale = 1) {
  auto w = std::make_shared<StateDict>();
  add_conv(*w, random, "conv", cout * scale * scale, cin);
  Network n;
  n.info.family = "one convolution";
  n.info.scale = scale, n.info.default_scale = scale, n.info.in_c = cin, n.info.out_c = cout;
  n.weights = w;
  n.build = [scale](Graph& g, Value lr) { return g.conv2d(lr, Scope("conv"), {.shuffle = scale}); };
  return n;
}

// Repeats each pixel scale x scale times: the identity network of tests about sizes and tiles.
inline Network nearest(int channels, int scale) {
  auto w = std::make_shared<StateDict>();
  std::vector<float> eye(size_t(channels) * channels, 0.0f);
  for (int c = 0; c < channels; c++) eye[size_t(c) * channels + c] = 1;
  w->add_owned("eye.weight", {channels, channels, 1, 1}, eye);
  Network n;
  n.info.family = "nearest";
  n.info.scale = scale, n.info.default_scale = scale, n.info.in_c = channels, n.info.out_c = channels;
  n.weights = w;
  n.build = [scale](Graph& g, Value lr) { return g.conv2d(lr, Scope("eye"), {.up = scale}); };
  return n;
}

}  // namespace ups::testing
