// WebP <-> RGB or RGBA of 8 bits through libwebp, with ICC, EXIF and XMP through libwebpmux.
#include <webp/decode.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <memory>

#include "apps/codecs/image_io.h"
#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"

namespace ups::apps {
namespace {

struct MuxCloser {
  void operator()(WebPMux* m) const { WebPMuxDelete(m); }
};
using Mux = std::unique_ptr<WebPMux, MuxCloser>;

const char* encoding_error(WebPEncodingError e) {
  return e == VP8_ENC_ERROR_OUT_OF_MEMORY || e == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY ? "not enough memory"
         : e == VP8_ENC_ERROR_PARTITION0_OVERFLOW || e == VP8_ENC_ERROR_PARTITION_OVERFLOW
             ? "the picture is too complex for the format"
             : "unknown reason";
}

}  // namespace

Image decode_webp(std::string_view bytes, const std::string& name) {
  const uint8_t* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures f;
  if (WebPGetFeatures(data, bytes.size(), &f) != VP8_STATUS_OK) {
    fail(kIo, name, ": is a damaged or truncated WebP (no valid header)");
  }
  if (f.has_animation) fail(kIo, name, ": is an animated WebP, expected a still picture");
  // A uniform picture may take a few bytes whatever its size; the format itself ends at 16383 a side.
  check_plausible(f.width, f.height, bytes.size(), int64_t(1) << 24, name);
  Image image = allocate_image(f.width, f.height, f.has_alpha ? 4 : 3, UPS_U8);
  auto decode = f.has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (!decode(data, bytes.size(), image.pixels.get(), image.bytes(), int(image.row_bytes()))) {
    fail(kIo, name, ": is a damaged or truncated WebP");
  }
  WebPData whole{data, bytes.size()};
  if (Mux mux{WebPMuxCreate(&whole, 0)}) {
    auto chunk = [&](const char* id) {
      WebPData d;
      if (WebPMuxGetChunk(mux.get(), id, &d) != WEBP_MUX_OK) return std::string();
      return std::string(reinterpret_cast<const char*>(d.bytes), d.size);
    };
    image.meta.icc = chunk("ICCP");
    image.meta.exif = chunk("EXIF");
    image.meta.xmp = chunk("XMP ");
    if (image.meta.exif.rfind(std::string("Exif\0\0", 6), 0) == 0) image.meta.exif.erase(0, 6);
  }
  return image;
}

void encode_webp(OutputFile& file, const Image& image, int quality, bool lossless) {
  Image spread;
  const Image* p = &image;
  if (p->channels <= 2) p = &(spread = colour_of_gray(image));

  WebPConfig config;
  WebPPicture picture;
  if (!WebPConfigInit(&config) || !WebPPictureInit(&picture)) {
    fail(kIo, "WebP: the library is of another version");
  }
  struct Closer {
    WebPPicture* p;
    ~Closer() { WebPPictureFree(p); }
  } closer{&picture};
  config.quality = float(quality);
  if (lossless) WebPConfigLosslessPreset(&config, 6);
  config.exact = lossless;  // colours under full transparency stay
  config.thread_level = 1;
  picture.use_argb = 1;
  picture.width = p->width, picture.height = p->height;
  WebPMemoryWriter memory;
  WebPMemoryWriterInit(&memory);
  struct Clearer {
    WebPMemoryWriter* m;
    ~Clearer() { WebPMemoryWriterClear(m); }
  } clearer{&memory};
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &memory;
  auto import = p->channels == 4 ? WebPPictureImportRGBA : WebPPictureImportRGB;
  if (!import(&picture, p->pixels.get(), int(p->row_bytes()))) fail(kMemory, "WebP: not enough memory");
  if (!WebPEncode(&config, &picture)) {
    fail(kIo, file.path(), ": WebP encoding failed (", encoding_error(picture.error_code), ")");
  }

  const Metadata& m = image.meta;
  if (m.icc.empty() && m.exif.empty() && m.xmp.empty()) return file.write(memory.mem, memory.size);
  Mux mux{WebPMuxNew()};
  WebPData frame{memory.mem, memory.size};
  bool ok = mux && WebPMuxSetImage(mux.get(), &frame, 0) == WEBP_MUX_OK;
  auto put = [&](const char* id, const std::string& s) {
    WebPData d{reinterpret_cast<const uint8_t*>(s.data()), s.size()};
    if (ok && !s.empty()) ok = WebPMuxSetChunk(mux.get(), id, &d, 0) == WEBP_MUX_OK;
  };
  put("ICCP", m.icc);
  put("EXIF", m.exif);
  put("XMP ", m.xmp);
  WebPData whole{};
  ok = ok && WebPMuxAssemble(mux.get(), &whole) == WEBP_MUX_OK;
  struct Freer {
    WebPData* d;
    ~Freer() { WebPDataClear(d); }
  } freer{&whole};
  if (!ok) fail(kIo, file.path(), ": the WebP container cannot be assembled");
  file.write(whole.bytes, whole.size);
}

}  // namespace ups::apps
