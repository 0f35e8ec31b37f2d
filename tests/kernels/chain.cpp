// run_chain against the same convolutions one by one, which the tests of conv2d compare with the definition.
#include <cstdlib>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"
#include "tests/reference/conv2d.h"
#include "tests/testing.h"

using namespace ups;

namespace {

// A dense block (Wang et al. 2018): `growing` convolutions of `grow` channels on `first`, then one of `last`.
struct DenseBlock {
  int h, w, first, grow, growing, last;
  std::vector<float> buffer, y, bias;
  std::vector<std::vector<float>> weights;
  std::vector<Conv2d<Tensor>> ops;

  DenseBlock(int h, int w, int first, int grow, int growing, int last, testing::Random& random)
      : h(h), w(w), first(first), grow(grow), growing(growing), last(last) {
    const int wide = first + grow * growing;
    buffer = random.normals(size_t(h) * w * wide), y.resize(size_t(h) * w * last);
    bias = random.normals(std::max(grow, last));
    const Tensor x = dense_f32(buffer.data(), h, w, wide);
    for (int i = 0; i <= growing; i++) {
      const int cin = first + grow * i, cout = i < growing ? grow : last;
      weights.push_back(random.normals(size_t(9) * cin * cout, 1 / std::sqrt(9.0f * cin)));
      Conv2d<Tensor> op;
      op.x = x.channels(0, cin);
      op.y = i < growing ? x.channels(cin, grow) : dense_f32(y.data(), h, w, last);
      op.w = {i, cout, 3, cin, DType::f32, weights.back().data(), bias.data(), nullptr};
      if (i < growing) op.act = Act::lrelu, op.slope = 0.2f;
      if (i == growing && first == last) op.scale = 0.2f, op.add = {x.channels(0, last), 1};
      ops.push_back(op);
    }
  }
};

}  // namespace

TEST_CASE("a dense block run as a chain equals its convolutions bit for bit", "[kernels][chain]") {
  UPS_RANDOM(random);
  Pool one(1), two(2), three(3);
  cpu::Scratch scratch;
  struct Size {
    int h, w;
  };
  const std::string isa = cpu::isa_name();
  for (const std::string& name : cpu::isa_available()) {
    cpu::isa_force(name);
    // V of the whole image; odd sizes; wavefronts
    for (Size s :
         {Size{24, 24}, {13, 50}, {random.integer(9, 40), random.integer(9, 40)}, {150, 130}, {41, 420}}) {
      if (name != isa && s.h * s.w > 3000) continue;
      DenseBlock b(s.h, s.w, 64, 32, 4, 64, random);
      INFO(name << " " << s.h << " x " << s.w);
      REQUIRE(cpu::chain_length(b.ops) == 5);
      cpu::Context single{one, scratch};
      for (const Conv2d<Tensor>& op : b.ops) cpu::run(op, single);
      const std::vector<float> y = b.y, buffer = b.buffer;
      for (Pool* pool : {&one, &two, &three}) {
        // Poison every slice that the chain writes.
        for (size_t i = 0; i < b.buffer.size(); i++)
          if (i % 192 >= 64) b.buffer[i] = NAN;
        std::fill(b.y.begin(), b.y.end(), NAN);
        cpu::Context context{*pool, scratch};
        cpu::run_chain(b.ops, context);
        CHECK(b.y == y);
        CHECK(b.buffer == buffer);
      }
    }
  }
  cpu::isa_force(isa);
}

TEST_CASE("chain_length counts the convolutions that share their input", "[kernels][chain]") {
  UPS_RANDOM(random);
  DenseBlock b(32, 32, 32, 16, 3, 32, random);
  CHECK(cpu::chain_length(b.ops) == 4);
  std::vector<Conv2d<Tensor>> ops = b.ops;
  ops.push_back(ops[0]);  // a new block starts
  CHECK(cpu::chain_length(ops) == 4);
  ops = b.ops;
  ops[2].x.data = static_cast<float*>(ops[2].x.data) + 4;
  CHECK(cpu::chain_length(ops) == 2);
  ops = b.ops;
  ops[1].stride = 2;
  CHECK(cpu::chain_length(ops) == 1);
  CHECK(cpu::chain_length({}) == 0);
  setenv("UPSCALE_VARIANT", "conv2d=direct", 1);
  CHECK(cpu::chain_length(b.ops) == 0);
  unsetenv("UPSCALE_VARIANT");
}
