// Images of which only some rows are in memory, encoded while they are computed.
#include <thread>

#include "apps/codecs/image_io.h"
#include "apps/codecs/png_strips.h"
#include "apps/failure.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

namespace {

// Fills the rows of `image`, a window at a time, with those of `whole`; false if nobody wanted them.
bool produce(const Image& whole, uint8_t* window, int rows, RowsReady& ready) {
  bool wanted = true;
  for (int y = 0; y < whole.height && wanted; y++) {
    wanted = ready.claim(y + 1 - rows);
    if (!wanted) break;
    std::copy_n(whole.row(y), whole.row_bytes(), window + whole.row_bytes() * size_t(y % rows));
    ready.advance(y + 1);
  }
  ready.end(nullptr, 0);
  return wanted;
}

}  // namespace

TEST_CASE("an image that passes through a window is the same file", "[apps][streaming]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  for (Format format : {Format::png, Format::tiff}) {
    if (!can_write(format)) continue;
    Image whole = allocate_image(3001, 500, 3, UPS_U8);
    for (size_t i = 0; i < whole.bytes(); i++) whole.pixels[i] = uint8_t(i % 251 + (i / 9000) % 5);
    const EncodeOptions options{.threads = 3};
    const int strip = format == Format::png ? png_strip_rows(whole.row_bytes(), 500)
                                            : tiff_strip_rows(whole.row_bytes(), 500);
    for (int rows : {strip + 2, strip * 3 + 64}) {
      Image passing = allocate_image(3001, 500, 3, UPS_U8, rows);
      REQUIRE(passing.window == rows);
      const auto ready = std::make_shared<RowsReady>();
      passing.pending.state = ready;
      std::thread producer(
          [&, pixels = passing.pixels.get()] { CHECK(produce(whole, pixels, rows, *ready)); });
      const std::string path = folder / (std::string("o.") + (format == Format::png ? "png" : "tif"));
      OutputFile file(path);
      write_image(file, format, std::move(passing), options);
      producer.join();
      const Image back = read_image(path);
      CHECK(std::equal(back.pixels.get(), back.pixels.get() + back.bytes(), whole.pixels.get()));
    }
  }
}

TEST_CASE("a producer is told when nobody wants its image any more", "[apps][streaming]") {
  Image whole = allocate_image(10, 50, 1, UPS_U8);
  std::fill_n(whole.pixels.get(), whole.bytes(), uint8_t(7));
  const auto ready = std::make_shared<RowsReady>();
  std::thread producer;
  bool wanted = true;
  {
    Image passing = allocate_image(10, 50, 1, UPS_U8, 8);
    passing.pending.state = ready;
    producer =
        std::thread([&, pixels = passing.pixels.get()] { wanted = produce(whole, pixels, 8, *ready); });
    passing.pending.wait(8);
  }  // an encoder that failed
  producer.join();
  CHECK_FALSE(wanted);
}

TEST_CASE("large images are held in part, small ones as a whole", "[apps][streaming]") {
  CHECK(rows_held(Format::png, 3000, 9000, {}) == 0);
  const int rows = rows_held(Format::png, 15000, 60000, {.threads = 2});
  CHECK((rows > 2 * png_strip_rows(60000, 15000) && rows < 400));
  CHECK(rows_held(Format::jpeg, 15000, 60000, {}) == 0);
}
