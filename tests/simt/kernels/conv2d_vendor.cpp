// conv2d_vendor.cu with a plain loop in the place of a library; simt::Buffer's memory is the host's.
#include "kernels/conv2d_vendor.h"

#include <algorithm>

#include "tests/simt/kernels/conv_case.h"

using namespace ups;
using namespace ups::cuda;
using namespace ups::testing;

namespace {

void plain_loop(const VendorConv& c) {
  const Tensor filters{const_cast<void*>(c.filters), c.x.dtype};
  const int half = c.k / 2;
  for (int y = 0; y < c.y.h; y++)
    for (int x = 0; x < c.y.w; x++)
      for (int co = 0; co < c.y.c; co++) {
        double sum = 0;
        for (int i = 0; i < c.k; i++)
          for (int j = 0; j < c.k; j++) {
            const int sy = y + i - half, sx = x + j - half;
            if (sy < 0 || sx < 0 || sy >= c.x.h || sx >= c.x.w) continue;
            for (int ci = 0; ci < c.x.c; ci++)
              sum += double(load_element(c.x, sy * c.x.row + sx * c.x.px + ci)) *
                     double(load_element(filters, ((int64_t(co) * c.k + i) * c.k + j) * c.x.c + ci));
          }
        store_element(c.y, y * c.y.row + x * c.y.px + co, float(sum));
      }
}

}  // namespace

TEST_CASE("what surrounds a library's convolution equals the double reference", "[simt][conv2d]") {
  UPS_RANDOM(random);
  VendorBuffers buffers(test_device());
  for (int i = 0; i < rounds(16, 0); i++) {
    take_schedule(i);
    DeviceConvSpec s;
    s.k = 1 + 2 * random.integer(0, 2);
    s.h = random.integer(1, 9), s.w = random.integer(1, 14);
    s.cin = 8 * random.integer(1, 4), s.cout = 8 * random.integer(1, 5);
    s.up = random.integer(0, 3) == 0 ? 2 : 1;
    s.act = Act(random.integer(0, 3));
    s.x = s.y = s.adds_dtype = s.weight = i % 4 == 3 ? DType::bf16 : DType::f16;
    s.adds = random.integer(0, 2);
    if (random.integer(0, 1)) s.x_first = random.integer(0, 9), s.x_extra = s.x_first + 8;
    if (random.integer(0, 1)) s.y_first = random.integer(0, 2) * 8, s.y_extra = s.y_first + 8;
    if (s.cout % 16 == 0 && random.integer(0, 2) == 0) s.shuffle = 2, s.adds = 0;
    s.scale = random.integer(0, 1) ? 0.2f : 1.0f;
    const int all = DeviceConvCase::out(s.h, s);
    if (random.integer(0, 1))
      s.row_begin = random.integer(0, all - 1), s.row_end = random.integer(s.row_begin + 1, all);
    Stream stream(test_device());
    DeviceConvCase c(s, random);
    c.sums_stored_as = s.x;
    c.drop_unneeded_rows();
    c.y.memory->poison();
    INFO(c.describe());
    REQUIRE(vendor_conv_declines(c.op) == nullptr);
    // Twice, as a recording that is replayed: the filters are reordered once.
    for (int again = 0; again < 2; again++)
      run_by_vendor(c.op, stream, {s.row_begin, std::min(s.row_end, all)}, buffers,
                    [](const VendorConv& conv, Stream& on) {
                      on.synchronize();
                      plain_loop(conv);
                    });
    stream.synchronize();
    CHECK(c.verdict() == "");
  }
  take_schedule(0);
}
