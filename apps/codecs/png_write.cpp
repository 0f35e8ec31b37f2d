// Image -> PNG (PNG 1.2).
#include <libdeflate.h>
#include <zlib.h>

#include <cstring>

#include "apps/cancel.h"
#include "apps/codecs/image_io.h"
#include "apps/codecs/png_chunks.h"
#include "apps/codecs/png_strips.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

void put_u32(uint8_t* p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = uint8_t(v >> (24 - 8 * i));
}

void write_chunk(OutputFile& file, const char* type, const void* data, size_t bytes) {
  uint8_t head[8], tail[4];
  put_u32(head, uint32_t(bytes));
  memcpy(head + 4, type, 4);
  uint32_t crc = libdeflate_crc32(0, head + 4, 4);
  if (bytes) crc = libdeflate_crc32(crc, data, bytes);  // of a null pointer libdeflate returns 0
  put_u32(tail, crc);
  file.write(head, 8);
  if (bytes) file.write(data, bytes);
  file.write(tail, 4);
}

void write_header(OutputFile& file, const Image& image) {
  static const uint8_t kColourType[5] = {0, 0, 4, 2, 6};
  file.write("\x89PNG\r\n\x1a\n", 8);
  uint8_t header[13] = {};
  put_u32(header, uint32_t(image.width));
  put_u32(header + 4, uint32_t(image.height));
  header[8] = image.depth == UPS_U16 ? 16 : 8;
  header[9] = kColourType[image.channels];
  write_chunk(file, "IHDR", header, sizeof header);
}

}  // namespace

void encode_png(OutputFile& file, const Image& image, int level, int threads) {
  if (image.depth == UPS_F32) fail(kIo, "PNG: got f32 pixels, expected 8 or 16 bits");
  write_header(file, image);
  for (const auto& c : png_chunks_of(image.meta))
    write_chunk(file, c.type.c_str(), c.data.data(), c.data.size());

  PngStrips strips(image, level, threads);
  uint32_t adler = 1;
  for (int i = 0; i < strips.count(); i++) {
    PngStrip strip = strips.take(i);
    throw_if_cancelled();
    adler = uint32_t(adler32_combine(adler, strip.adler, z_off_t(strip.raw_bytes)));
    auto& data = strip.deflated;
    if (i == 0) data.insert(data.begin(), {0x78, 0x9c});  // zlib header: deflate, 32 KiB window
    if (i == strips.count() - 1) {
      data.resize(data.size() + 4);
      put_u32(data.data() + data.size() - 4, adler);
    }
    write_chunk(file, "IDAT", data.data(), data.size());
  }
  write_chunk(file, "IEND", nullptr, 0);
}

}  // namespace ups::apps
