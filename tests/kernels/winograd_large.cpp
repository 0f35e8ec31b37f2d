// Winograd with tiles of 6x6 and 8x8 pixels against the double-precision definition: shapes, epilogues, rows,
// threads, instruction sets.
#include "kernels/cpu/winograd_tile.h"
#include "tests/kernels/conv2d_case.h"
#include "tests/kernels/conv2d_machine.h"

using namespace ups;
using testing::ConvCase;
using testing::ConvSpec;
using testing::Machine;
using testing::pick;

namespace {

constexpr int kTile[] = {6, 8};

// All convolutions that can, while it lives.
struct Forced {
  explicit Forced(int tile) {
    setenv("UPSCALE_VARIANT", tile == 6 ? "conv2d=winograd_f6" : "conv2d=winograd_f8", 1);
  }
  ~Forced() { unsetenv("UPSCALE_VARIANT"); }
};

ConvSpec random_spec(testing::Random& random) {
  ConvSpec s;
  s.h = random.integer(0, 3) ? random.integer(6, 40) : random.integer(1, 5);
  s.w = random.integer(0, 3) ? random.integer(6, 40) : random.integer(1, 5);
  s.cin = pick(random, {8, 15, 16, 32, 40, 64});
  s.cout = pick(random, {1, 5, 16, 24, 32, 40, 70});
  s.up = random.integer(0, 3) ? 1 : 2;
  if (random.integer(0, 2) == 0) {
    s.shuffle = random.integer(2, 3);
    s.cout = s.shuffle * s.shuffle * pick(random, {1, 3, 16, 32});
    s.add_group = random.integer(0, 1) ? s.shuffle * s.shuffle : 1;
  }
  s.act = Act(random.integer(0, 5));
  s.f16 = random.integer(0, 1), s.bias = random.integer(0, 3);
  s.adds = random.integer(0, 2);
  if (random.integer(0, 1)) s.x_extra = random.integer(1, 20), s.y_extra = random.integer(1, 20);
  if (random.integer(0, 1)) s.scale = random.uniform(-1, 1);
  s.act_last = random.integer(0, 3) == 0;
  return s;
}

void check_rows(ConvCase& c, const std::vector<double>& expected, int begin, int end) {
  bool untouched = false;
  const double error = c.worst_error(expected, begin, end, &untouched);
  CHECK(error <= c.tolerance());
  CHECK(untouched);
}

}  // namespace

TEST_CASE("large Winograd tiles equal the definition on random shapes with every instruction set",
          "[kernels][conv2d][winograd_large]") {
  UPS_RANDOM(random);
  const std::string isa = cpu::isa_name();
  Machine one(1), three(3);
  for (int i = 0; i < 60; i++) {
    const int tile = kTile[i % 2];
    const Forced forced(tile);
    ConvCase c(random_spec(random), random);
    const std::vector<double> expected = c.expected();  // takes most of the time, and is the same for all
    for (const std::string& name : cpu::isa_available()) {
      cpu::isa_force(name);
      INFO(c.describe());
      CHECK(std::string(cpu::variant_name(c.op)) == (tile == 6 ? "winograd_f6" : "winograd_f8"));
      const int out_h = c.op.y.h / c.spec.shuffle;
      c.clear();
      cpu::run(c.op, one.context);
      check_rows(c, expected, 0, out_h);
      const std::vector<float> whole = c.y;
      c.clear();
      cpu::run(c.op, three.context);
      CHECK(c.y == whole);
      // Strips that begin at multiples of the tile give the same bits; other rows, sums in another order.
      c.clear();
      const int strip = tile * random.integer(1, 2);
      for (int y = 0; y < out_h; y += strip) cpu::run(c.op, three.context, {y, std::min(y + strip, out_h)});
      CHECK(c.y == whole);
      c.clear();
      const int begin = random.integer(0, out_h - 1), end = random.integer(begin + 1, out_h);
      cpu::run(c.op, three.context, {begin, end});
      check_rows(c, expected, begin, end);
    }
  }
  cpu::isa_force(isa);
}

TEST_CASE("large Winograd tiles of images in several parts give the bits of one thread",
          "[kernels][conv2d][winograd_large]") {
  UPS_RANDOM(random);
  Machine one(1), two(2), four(4);
  for (int tile : kTile) {
    const Forced forced(tile);
    ConvSpec spec{.h = random.integer(70, 90), .w = random.integer(80, 100), .cin = 40, .cout = 48};
    spec.adds = 2;
    ConvCase c(spec, random);
    INFO(c.describe());
    cpu::run(c.op, one.context);
    check_rows(c, c.expected(), 0, spec.h);
    const std::vector<float> whole = c.y;
    for (Machine* machine : {&two, &four}) {
      c.clear();
      cpu::run(c.op, machine->context);
      CHECK(c.y == whole);
    }
    c.clear();
    for (int y = 0; y < spec.h; y += 24) cpu::run(c.op, two.context, {y, std::min(y + 24, spec.h)});
    CHECK(c.y == whole);
  }
}

TEST_CASE("large Winograd tiles read only the rows a range needs", "[kernels][conv2d][winograd_large]") {
  UPS_RANDOM(random);
  Machine machine(2);
  for (int i = 0; i < 16; i++) {
    const Forced forced(kTile[i % 2]);
    ConvSpec spec = random_spec(random);
    spec.h += 12;
    ConvCase c(spec, random);
    const std::vector<double> expected = c.expected();
    const int out_h = spec.h * spec.up;
    const int begin = random.integer(0, out_h - 1), end = random.integer(begin + 1, out_h);
    const int first = std::max(0, begin - 1) / spec.up, last = std::min(out_h - 1, end) / spec.up;
    const std::vector<float> strip = c.cut_rows(first, last);
    INFO(c.describe() << " rows " << begin << ".." << end);
    cpu::run(c.op, machine.context, {begin, end});
    check_rows(c, expected, begin, end);
  }
}

TEST_CASE("large Winograd tiles take no more scratch than they state", "[kernels][conv2d][winograd_large]") {
  UPS_RANDOM(random);
  for (int i = 0; i < 12; i++) {
    const Forced forced(kTile[i % 2]);
    ConvSpec spec{.h = random.integer(40, 90), .w = random.integer(40, 90)};
    spec.cin = pick(random, {8, 40, 64}), spec.cout = pick(random, {16, 48, 64, 128});
    ConvCase c(spec, random);
    const int threads = random.integer(1, 5);
    Machine machine(threads);
    INFO(c.describe() << " on " << threads << " threads");
    cpu::run(c.op, machine.context);
    const size_t stated = cpu::large_winograd_scratch_bytes(c.op, machine.pool.threads());
    const size_t page = stated >= size_t(2) << 20 ? size_t(2) << 20 : 64;  // what Scratch rounds to
    CHECK(machine.scratch.capacity() <= (stated + page - 1) / page * page);
  }
}
