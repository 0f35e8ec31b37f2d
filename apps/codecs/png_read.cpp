// PNG -> 1..4 channels of 8 or 16 bits through libpng. Palette becomes RGB, tRNS becomes alpha, 1-, 2- and
// 4-bit gray becomes 8-bit; interlaced files are read whole.
#include <png.h>

#include <bit>
#include <csetjmp>
#include <cstring>

#include "apps/codecs/image_io.h"
#include "apps/codecs/png_chunks.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

struct Reader {
  std::string_view bytes;
  size_t at = 0;
  char error[256] = "";
};

void on_read(png_structp png, png_bytep out, size_t n) {
  Reader* r = static_cast<Reader*>(png_get_io_ptr(png));
  if (n > r->bytes.size() - r->at) png_error(png, "the file ends too early");
  memcpy(out, r->bytes.data() + r->at, n);
  r->at += n;
}

void on_error(png_structp png, png_const_charp message) {
  Reader* r = static_cast<Reader*>(png_get_error_ptr(png));
  snprintf(r->error, sizeof r->error, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

struct Session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  int passes = 1;
  ~Session() { png_destroy_read_struct(&png, &info, nullptr); }
};

// Steps of libpng, each under setjmp: objects with destructors live in the caller, never here.
bool read_header(Session& s) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  png_set_user_limits(s.png, 1 << 30, 1 << 30);
  png_set_chunk_malloc_max(s.png, 64 << 20);
  png_read_info(s.png, s.info);
  return true;
}

bool set_transforms(Session& s) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  png_set_expand(s.png);  // palette -> RGB, gray < 8 -> 8, tRNS -> alpha
  if (std::endian::native == std::endian::little) png_set_swap(s.png);
  s.passes = png_set_interlace_handling(s.png);
  png_read_update_info(s.png, s.info);
  return true;
}

// As png_read_image does, which wants a pointer for each row: eight times the memory of a picture one pixel
// wide.
bool read_rows(Session& s, Image& image) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  for (int pass = 0; pass < s.passes; pass++)
    for (int y = 0; y < image.height; y++) png_read_row(s.png, image.row(y), nullptr);
  png_read_end(s.png, nullptr);
  return true;
}

}  // namespace

Image decode_png(std::string_view bytes, const std::string& name) {
  Reader reader{bytes};
  Session s;
  s.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (s.png) s.info = png_create_info_struct(s.png);
  if (!s.info) fail(kMemory, name, ": cannot allocate a PNG reader");
  png_set_read_fn(s.png, &reader, on_read);
  auto damaged = [&] { fail(kIo, name, ": is a damaged PNG (", reader.error, ")"); };

  // libpng allocates what a chunk claims before it reads it.
  if (!png_chunks_fit(bytes)) fail(kIo, name, ": is a damaged PNG (the file ends too early)");
  if (!read_header(s)) damaged();
  int64_t width = png_get_image_width(s.png, s.info), height = png_get_image_height(s.png, s.info);
  // Deflate expands at most 1032:1, and a byte holds up to eight 1-bit pixels.
  int bits = png_get_bit_depth(s.png, s.info) * png_get_channels(s.png, s.info);
  check_plausible(width, height, bytes.size(), int64_t(1032) * 8 / bits + 1, name);

  if (!set_transforms(s)) damaged();
  int depth = png_get_bit_depth(s.png, s.info);
  Image image = allocate_image(int(width), int(height), png_get_channels(s.png, s.info),
                               depth == 16 ? UPS_U16 : UPS_U8);
  if (png_get_rowbytes(s.png, s.info) != image.row_bytes()) {
    fail(kIo, name, ": is a PNG of an unexpected pixel format");
  }
  if (!read_rows(s, image)) damaged();
  image.meta = png_metadata(bytes);
  return image;
}

}  // namespace ups::apps
