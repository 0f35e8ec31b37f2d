// stb_image and stb_image_write between our Image and our OutputFile. stb trusts headers and reads zeros past
// the end, so the callers check sizes and completeness first.
#include "apps/codecs/stb_codec.h"

#include <stb_image.h>
#include <stb_image_write.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <exception>
#include <memory>

#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"

namespace ups::apps {

Image decode_with_stb(std::string_view bytes, const std::string& name, const char* format) {
  if (bytes.size() > size_t(INT_MAX)) fail(kIo, name, ": is larger than 2 GiB, too large for ", format);
  int w = 0, h = 0, c = 0;
  const stbi_uc* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(data, int(bytes.size()), &w, &h, &c, 0), stbi_image_free);
  if (!pixels) {
    const char* reason = stbi_failure_reason();
    if (reason && !strcmp(reason, "outofmem")) fail(kMemory, name, ": no memory to decode this ", format);
    fail(kIo, name, ": is a damaged ", format, " (", reason ? reason : "unknown reason", ")");
  }
  Image image = allocate_image(w, h, c, UPS_U8);
  memcpy(image.pixels.get(), pixels.get(), image.bytes());
  return image;
}

void encode_with_stb(OutputFile& file, Format format, const Image& image) {
  struct Sink {
    OutputFile& file;
    std::string buffer;
    std::exception_ptr error;       // must not fly through C code
    int32_t per_metre[2] = {0, 0};  // pixels, into the header of a BMP
    void flush() {
      for (size_t i = 0; i < 8 && per_metre[0] > 0 && buffer.size() >= 46; i++)
        buffer[38 + i] = char(per_metre[i / 4] >> 8 * (i % 4));
      per_metre[0] = 0;
      if (!error) try {
          file.write(buffer.data(), buffer.size());
        } catch (...) {
          error = std::current_exception();
        }
      buffer.clear();
    }
  } sink{file, {}, {}, {}};
  auto on_write = [](void* context, void* data, int n) {
    Sink* s = static_cast<Sink*>(context);
    s->buffer.append(static_cast<const char*>(data), size_t(n));
    if (s->buffer.size() > (1 << 20)) s->flush();
  };
  int ok = 0, w = image.width, h = image.height, c = image.channels;
  if (format == Format::tga) ok = stbi_write_tga_to_func(on_write, &sink, w, h, c, image.pixels.get());
  if (format == Format::bmp) {
    for (int i = 0; i < 2; i++)
      sink.per_metre[i] =
          int32_t(std::lround(std::min(i ? image.meta.dpi_y : image.meta.dpi_x, 1e6) / 0.0254));
    // stb_image_write has no BMP of gray + alpha: spread to RGBA.
    Image rgba;
    const Image* p = &image;
    if (c == 2) p = &(rgba = colour_of_gray(image));
    ok = stbi_write_bmp_to_func(on_write, &sink, w, h, p->channels, p->pixels.get());
  }
  sink.flush();
  if (sink.error) std::rethrow_exception(sink.error);
  if (!ok) fail(kIo, file.path(), ": encoding failed");
}

}  // namespace ups::apps
