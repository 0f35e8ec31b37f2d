// run(Conv2d) against the double-precision definition: shapes, epilogues, rows, threads, instruction sets.
#include "kernels/error.h"
#include "tests/kernels/conv2d_case.h"
#include "tests/kernels/conv2d_machine.h"

using namespace ups;
using testing::ConvCase;
using testing::ConvSpec;
using testing::Machine;
using testing::pick;

namespace {

ConvSpec random_spec(testing::Random& random) {
  ConvSpec s;
  s.h = random.integer(0, 3) ? random.integer(1, 40) : random.integer(1, 3);
  s.w = random.integer(0, 3) ? random.integer(1, 70) : random.integer(1, 3);
  s.cin = pick(random, {1, 3, 4, 10, 12, 16, 32, 48, 64, 96});
  s.cout = pick(random, {1, 2, 3, 4, 10, 12, 16, 24, 32, 48, 64, 70});
  s.k = pick(random, {1, 3, 3, 3, 5});
  s.stride = random.integer(0, 4) ? 1 : 2;
  s.up = pick(random, {1, 1, 1, 2, 2, 3});
  if (random.integer(0, 3) == 0) {
    s.shuffle = random.integer(2, 4);
    s.cout = s.shuffle * s.shuffle * random.integer(1, 4);
    s.add_group = random.integer(0, 1) ? s.shuffle * s.shuffle : 1;
  }
  s.act = Act(random.integer(0, 5));
  s.f16 = random.integer(0, 1), s.bias = random.integer(0, 3);
  s.adds = random.integer(0, 2);
  if (random.integer(0, 1)) s.x_extra = random.integer(1, 40), s.y_extra = random.integer(1, 40);
  if (random.integer(0, 1)) s.scale = random.uniform(-1, 1);
  s.act_last = random.integer(0, 3) == 0, s.pad_end = random.integer(0, 4) == 0;
  return s;
}

void check_case(ConvCase& c, const std::vector<double>& expected, Machine& machine) {
  const int out_h = c.op.y.h / c.spec.shuffle;
  INFO(c.describe());
  c.clear();
  cpu::run(c.op, machine.context);
  bool untouched = false;
  const double error = c.worst_error(expected, 0, out_h, &untouched);
  CHECK(error <= c.tolerance());
  CHECK(untouched);
}

}  // namespace

TEST_CASE("conv2d equals its definition on random shapes with every instruction set", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  const std::string isa = cpu::isa_name();
  Machine machine(2);
  for (int i = 0; i < 120; i++) {
    ConvCase c(random_spec(random), random);
    const std::vector<double> expected = c.expected();  // takes most of the time, and is the same for all
    for (const std::string& name : cpu::isa_available()) {
      cpu::isa_force(name);
      check_case(c, expected, machine);
    }
  }
  cpu::isa_force(isa);
}

TEST_CASE("conv2d equals its definition on the shapes of ESRGAN networks", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(2);
  struct Shape {
    int cin, cout, k, up, shuffle;
  };
  for (const Shape& s : {Shape{3, 64, 3, 1, 1},
                         {64, 32, 3, 1, 1},
                         {96, 32, 3, 1, 1},
                         {192, 64, 3, 1, 1},
                         {64, 64, 3, 1, 1},
                         {64, 64, 3, 2, 1},
                         {64, 3, 3, 1, 1},
                         {64, 48, 3, 1, 4},
                         {12, 64, 3, 1, 1},
                         {64, 256, 3, 1, 2},
                         {64, 64, 1, 1, 1}}) {
    for (bool f16 : {false, true}) {
      ConvSpec spec{.h = random.integer(20, 34), .w = random.integer(20, 34), .cin = s.cin, .cout = s.cout};
      spec.k = s.k, spec.up = s.up, spec.shuffle = s.shuffle, spec.act = Act::lrelu, spec.f16 = f16;
      ConvCase c(spec, random);
      check_case(c, c.expected(), machine);
    }
  }
}

TEST_CASE("conv2d with many channels before a pixel shuffle equals its definition, whole and in parts",
          "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(3);
  const std::string isa = cpu::isa_name();
  for (const std::string& each : cpu::isa_available()) {
    cpu::isa_force(each);
    for (int i = 0; i < 6; i++) {
      const int r = i % 2 ? 3 : 2;
      ConvSpec spec{.h = random.integer(24, 33), .w = random.integer(24, 33), .cin = 16, .cout = r * r * 32};
      spec.shuffle = r, spec.act = i < 4 ? Act::prelu : Act::relu, spec.f16 = i % 3 == 0;
      spec.y_extra = random.integer(0, 3), spec.scale = 0.5f, spec.adds = i == 5, spec.act_last = i == 2;
      ConvCase c(spec, random);
      check_case(c, c.expected(), machine);
      const std::vector<float> whole = c.y;
      c.clear();
      cpu::run(c.op, machine.context, {0, 20});  // these tiles are sorted by phase, those of the rest are not
      cpu::run(c.op, machine.context, {20, spec.h});
      CHECK(c.y == whole);
    }
  }
  cpu::isa_force(isa);
}

TEST_CASE("conv2d is bit-identical for 1 to 4 threads and for any split into row ranges",
          "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine one(1), two(2), three(3), four(4);
  for (int i = 0; i < 40; i++) {
    ConvSpec spec = random_spec(random);
    if (i % 2) spec.k = 3, spec.stride = 1, spec.up = 1, spec.cin = 64, spec.cout = 64, spec.shuffle = 1;
    ConvCase c(spec, random);
    INFO(c.describe());
    cpu::run(c.op, one.context);
    const std::vector<float> expected = c.y;
    for (Machine* machine : {&two, &three, &four}) {
      c.clear();
      cpu::run(c.op, machine->context);
      CHECK(c.y == expected);
    }
  }
}

TEST_CASE("conv2d of a row range writes those rows and reads only the rows they need", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(2);
  for (int i = 0; i < 60; i++) {
    ConvSpec spec = random_spec(random);
    spec.h += 12;
    if (i % 3 == 0) spec.k = 3, spec.stride = 1, spec.up = 1, spec.cin = 32, spec.cout = 32, spec.shuffle = 1;
    ConvCase c(spec, random);
    const std::vector<double> expected = c.expected();
    const int out_h = c.op.y.h / spec.shuffle;
    const int begin = random.integer(0, out_h - 1), end = random.integer(begin + 1, out_h);
    // Rows outside the receptive field are poisoned: a value that depends on one becomes NaN.
    const int before = c.op.pad(), after = spec.k - 1 - before;
    const int first = std::max(0, begin * spec.stride - before) / spec.up;
    const int last = std::min(spec.h * spec.up - 1, (end - 1) * spec.stride + after) / spec.up;
    const std::vector<float> strip = c.cut_rows(first, last);
    INFO(c.describe() << " rows " << begin << ".." << end);
    cpu::run(c.op, machine.context, {begin, end});
    bool untouched = false;
    const double error = c.worst_error(expected, begin, end, &untouched);
    CHECK(error <= c.tolerance());
    CHECK(untouched);
  }
}

TEST_CASE("conv2d handles a batch of images", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(2);
  ConvSpec spec{.h = 9, .w = 13, .cin = 16, .cout = 32};
  ConvCase c(spec, random);
  cpu::run(c.op, machine.context);
  const std::vector<float> single = c.y;
  std::vector<float> x2 = c.x, y2(2 * c.y.size());
  x2.insert(x2.end(), c.x.begin(), c.x.end());
  Conv2d<Tensor> op = c.op;
  op.x.data = x2.data(), op.y.data = y2.data(), op.x.n = op.y.n = 2;
  cpu::run(op, machine.context);
  CHECK(std::equal(single.begin(), single.end(), y2.begin()));
  CHECK(std::equal(single.begin(), single.end(), y2.begin() + single.size()));
}

TEST_CASE("NaN and infinity reach at least every output they touch", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(2);
  for (float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    for (Act act : {Act::none, Act::relu, Act::lrelu, Act::gelu, Act::silu}) {
      ConvSpec spec{.h = 14, .w = 15, .cin = 64, .cout = 64};
      spec.act = act;
      ConvCase c(spec, random);
      const int y = random.integer(0, 13), x = random.integer(0, 14);
      c.op.x.at(y, x)[random.integer(0, 63)] = bad;
      const std::vector<double> expected = reference::conv2d(c.op, c.wide);
      INFO(c.describe() << " value " << bad << " at " << y << ", " << x);
      cpu::run(c.op, machine.context);
      int lost = 0;
      for (size_t i = 0; i < expected.size(); i++)
        lost += !std::isfinite(expected[i]) && std::isfinite(c.y[i]);
      CHECK(lost == 0);
    }
  }
}

TEST_CASE("conv2d refuses operands that do not fit, in a sentence", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(1);
  ConvCase c(ConvSpec{}, random);
  Conv2d<Tensor> op = c.op;
  op.w.cin = 63;
  CHECK_THROWS_WITH(cpu::run(op, machine.context), Catch::Contains("64 channels, the weight expects 63"));
  op = c.op;
  op.y.h = 7;
  CHECK_THROWS_WITH(cpu::run(op, machine.context), Catch::Contains("y is"));
}

TEST_CASE("pack_conv_weight turns OIHW into k, k, cin, cout", "[kernels][conv2d]") {
  const int cout = 2, cin = 3, k = 3;
  std::vector<float> oihw(cout * cin * k * k), packed(oihw.size());
  for (size_t i = 0; i < oihw.size(); i++) oihw[i] = float(i);
  cpu::pack_conv_weight(oihw.data(), packed.data(), DType::f32, cout, cin, k);
  for (int o = 0; o < cout; o++)
    for (int i = 0; i < cin; i++)
      for (int t = 0; t < k * k; t++)
        CHECK(packed[(t * cin + i) * cout + o] == oihw[(o * cin + i) * k * k + t]);
}

TEST_CASE("variant_name is a function of the shape, and UPSCALE_VARIANT overrides it", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  const auto variant = [&](ConvSpec s) { return std::string(cpu::variant_name(ConvCase(s, random).op)); };
  CHECK(variant({.h = 32, .w = 32, .cin = 64, .cout = 64}) == "winograd_f4");
  CHECK(variant({.h = 32, .w = 32, .cin = 64, .cout = 32, .up = 2}) == "winograd_f4");
  CHECK(variant({.h = 64, .w = 64, .cin = 64, .cout = 64}) == "winograd_f6");
  CHECK(variant({.h = 129, .w = 128, .cin = 64, .cout = 64}) == "winograd_f4");  // waits for memory
  CHECK(variant({.h = 64, .w = 64, .cin = 192, .cout = 192}) == "winograd_f4");  // may be normalised
  CHECK(variant({.h = 64, .w = 64, .cin = 192, .cout = 192, .act = Act::relu}) == "winograd_f8");
  CHECK(variant({.h = 4, .w = 4, .cin = 64, .cout = 64}) == "direct");  // U would cost more than it saves
  CHECK(variant({.h = 32, .w = 32, .cin = 3, .cout = 64}) == "direct");
  CHECK(variant({.h = 32, .w = 32, .cin = 64, .cout = 3}) == "direct");
  CHECK(variant({.h = 32, .w = 32, .cin = 64, .cout = 64, .k = 1}) == "gemm");
  CHECK(variant({.h = 32, .w = 32, .cin = 64, .cout = 64, .stride = 2}) == "direct");

  ConvCase c({.h = 32, .w = 32, .cin = 64, .cout = 64}, random);
  setenv("UPSCALE_VARIANT", "other=x,conv2d=direct", 1);
  CHECK(std::string(cpu::variant_name(c.op)) == "direct");
  Machine machine(2);
  check_case(c, c.expected(), machine);
  setenv("UPSCALE_VARIANT", "conv2d=fft", 1);
  CHECK_THROWS_WITH(cpu::variant_name(c.op),
                    Catch::Contains("expected direct, winograd_f4, winograd_f6, winograd_f8 or gemm"));
  unsetenv("UPSCALE_VARIANT");
}

TEST_CASE("strips that begin at multiples of four rows give the whole image's bits", "[kernels][conv2d]") {
  UPS_RANDOM(random);
  Machine machine(2);
  ConvCase c({.h = 37, .w = 30, .cin = 64, .cout = 64, .adds = 2}, random);
  cpu::run(c.op, machine.context);
  const std::vector<float> whole = c.y;
  c.clear();
  for (int y = 0; y < 37; y += 12) cpu::run(c.op, machine.context, {y, std::min(y + 12, 37)});
  CHECK(c.y == whole);
}
