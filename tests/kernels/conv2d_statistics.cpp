// A convolution that takes the statistics of its output along: the bits of both one after the other.
#include <cstring>

#include "tests/kernels/conv2d_case.h"

using namespace ups;
using namespace ups::testing;

namespace {

// Runs `spec` both ways, in strips of any multiple of 4 rows and with any number of threads.
void check_statistics(const ConvSpec& spec, int groups, bool along, Random& random) {
  ConvCase c(spec, random);
  const int h = c.op.y.h;
  INFO(c.describe() << " groups " << groups);
  std::vector<double> apart(2 * size_t(groups)), both(apart.size());
  const auto on = [&](std::vector<double>& stats) {
    return GroupStats<Tensor>{c.op.y, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 4 * groups),
                              groups};
  };
  std::vector<float> expected;
  {
    Pool pool(1);
    cpu::Scratch scratch;
    cpu::Context context{pool, scratch};
    cpu::run(c.op, context);
    cpu::run(on(apart), context);
    expected = c.y;
  }
  REQUIRE(cpu::makes_statistics(c.op, on(both)) == along);
  for (int threads : {1, 3})
    for (int strip : {(h + 3) / 4 * 4, 8, 4}) {
      if (!along) continue;
      INFO("threads " << threads << " strips of " << strip);
      Pool pool(threads);
      cpu::Scratch scratch;
      cpu::Context context{pool, scratch};
      c.clear();
      std::fill(both.begin(), both.end(), NAN);
      for (int y = 0; y < h; y += strip) cpu::run(c.op, on(both), context, {y, std::min(h, y + strip)});
      CHECK(std::memcmp(both.data(), apart.data(), both.size() * sizeof(double)) == 0);
      CHECK(c.y == expected);
    }
}

}  // namespace

TEST_CASE("a convolution takes statistics along, to the same bits", "[kernels][conv2d][statistics]") {
  UPS_RANDOM(random);
  for (const std::string& isa : cpu::isa_available()) {
    cpu::isa_force(isa);
    // Winograd: widths of whole chunks, and those whose last chunk is cut or lies partly outside.
    check_statistics({.h = 30, .w = 48, .cin = 32, .cout = 64}, 32, true, random);
    check_statistics({.h = 21, .w = 32, .cin = 24, .cout = 96, .adds = 1, .y_extra = 5}, 3, true, random);
    check_statistics({.h = 9, .w = 1018, .cin = 16, .cout = 20}, 5, true, random);
    check_statistics({.h = 10, .w = 32, .cin = 16, .cout = 44, .up = 2, .act = Act::silu}, 4, true, random);
    check_statistics({.h = 16, .w = 36, .cin = 32, .cout = 32}, 8, false, random);  // too much outside
    // Squares that are denormal.
    check_statistics({.h = 8, .w = 16, .cin = 16, .cout = 16, .scale = 1e-21f}, 4, true, random);
    // Direct: first layers and the downsampling ones.
    check_statistics({.h = 19, .w = random.integer(3, 130), .cin = 3, .cout = 32}, 32, true, random);
    check_statistics(
        {.h = 38, .w = 2 * random.integer(8, 60), .cin = 16, .cout = 48, .stride = 2, .pad_end = true}, 16,
        true, random);
    // Not taken along: matrix products and what is not an image of its own.
    check_statistics({.h = 12, .w = 16, .cin = 32, .cout = 32, .k = 1}, 4, false, random);
    check_statistics({.h = 12, .w = 16, .cin = 16, .cout = 64, .shuffle = 2}, 4, false, random);
  }
  cpu::isa_force(cpu::isa_available().front());
}

TEST_CASE("statistics of part of a row of chunks are refused", "[kernels][conv2d][statistics]") {
  UPS_RANDOM(random);
  ConvCase c({.h = 16, .w = 16, .cin = 16, .cout = 16}, random);
  std::vector<double> stats(8);
  const GroupStats<Tensor> op{c.op.y, dense_f32(reinterpret_cast<float*>(stats.data()), 1, 1, 16), 4};
  Pool pool(1);
  cpu::Scratch scratch;
  cpu::Context context{pool, scratch};
  CHECK_THROWS_WITH(cpu::run(op, context, {2, 8}), Catch::Contains("expected multiples of 4"));
  CHECK_THROWS_WITH(cpu::run(c.op, op, context, {0, 6}), Catch::Contains("expected multiples of 4"));
}
