// AVIF <-> gray, RGB or RGBA of 8 or 16 bits through libavif, with ICC, EXIF, XMP and the coded colour space.
#include <avif/avif.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "apps/codecs/exif.h"
#include "apps/codecs/image_io.h"
#include "apps/codecs/pixel_format.h"
#include "apps/failure.h"
#include "apps/quiet_library.h"

namespace ups::apps {
namespace {

struct Destroyer {
  void operator()(avifDecoder* d) const { avifDecoderDestroy(d); }
  void operator()(avifEncoder* e) const { avifEncoderDestroy(e); }
  void operator()(avifImage* i) const { avifImageDestroy(i); }
};

std::string text(const avifRWData& d) { return {reinterpret_cast<const char*>(d.data), d.size}; }

// HEIF's rotation (irot, anti-clockwise, first) and mirroring (imir) as an EXIF orientation.
int orientation(const avifImage& image) {
  const int turns = image.transformFlags & AVIF_TRANSFORM_IROT ? image.irot.angle : 0;
  static constexpr int kTurned[4] = {1, 8, 3, 6};
  if (!(image.transformFlags & AVIF_TRANSFORM_IMIR)) return kTurned[turns & 3];
#if AVIF_VERSION >= 1000000
  const bool left_right = image.imir.axis == 1;
#else
  const bool left_right = image.imir.mode == 1;
#endif
  static constexpr int kMirrored[4] = {2, 7, 4, 5};  // turned, then left and right exchanged
  static constexpr int kFlipped[4] = {4, 5, 2, 7};   // turned, then top and bottom exchanged
  return (left_right ? kMirrored : kFlipped)[turns & 3];
}

// Colours that are neither sRGB nor unspecified are described as in PNG's cICP (ITU-T H.273 code points).
void keep_code_points(const avifImage& in, Metadata& m) {
  const int primaries = in.colorPrimaries, transfer = in.transferCharacteristics;
  const bool usual = (primaries == 1 || primaries == 2) && (transfer == 13 || transfer == 2 || transfer == 1);
  if (usual || !m.icc.empty()) return;
  m.chunks.push_back({"cICP", {char(primaries), char(transfer), 0, 1}});
}

[[noreturn]] void damaged(const std::string& name, avifResult why) {
  if (why == AVIF_RESULT_OUT_OF_MEMORY) fail(kMemory, name, ": not enough memory to decode the AVIF");
  fail(kIo, name, ": is a damaged or unreadable AVIF (", avifResultToString(why), ")");
}

// [pixels, 3 or 4] -> [pixels, channels]: gray from RGB, gray and alpha from RGBA.
template <class T>
Image gray_of(const Image& in, int channels) {
  Image out = allocate_image(in.width, in.height, channels, in.depth);
  const T* s = reinterpret_cast<const T*>(in.pixels.get());
  T* d = reinterpret_cast<T*>(out.pixels.get());
  for (size_t i = 0, n = size_t(in.width) * in.height; i < n; i++, s += in.channels, d += channels) {
    d[0] = s[0];
    if (channels == 2) d[1] = s[3];
  }
  return out;
}

}  // namespace

Image decode_avif(std::string_view bytes, const std::string& name) {
  const QuietLibrary quiet;
  std::unique_ptr<avifDecoder, Destroyer> decoder(avifDecoderCreate());
  if (!decoder) fail(kMemory, name, ": not enough memory to decode the AVIF");
  decoder->maxThreads = 2;
  decoder->strictFlags = AVIF_STRICT_DISABLED;  // files without pixi or with a loose alpha item are common
  avifResult rc =
      avifDecoderSetIOMemory(decoder.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (rc == AVIF_RESULT_OK) rc = avifDecoderParse(decoder.get());
  if (rc != AVIF_RESULT_OK) damaged(name, rc);
  const avifImage& in = *decoder->image;
  check_plausible(in.width, in.height, bytes.size(), kMostPixelsPerByte, name);
  rc = avifDecoderNextImage(decoder.get());
  if (rc != AVIF_RESULT_OK) damaged(name, rc);
  check_plausible(in.width, in.height, bytes.size(), kMostPixelsPerByte, name);  // now those of the bitstream

  const bool alpha = in.alphaPlane != nullptr;
  Image image = allocate_image(int(in.width), int(in.height), alpha ? 4 : 3, in.depth > 8 ? UPS_U16 : UPS_U8);
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, &in);
  rgb.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  rgb.depth = in.depth > 8 ? 16 : 8;
  rgb.pixels = image.pixels.get();
  rgb.rowBytes = uint32_t(image.row_bytes());
  rc = avifImageYUVToRGB(&in, &rgb);
  if (rc != AVIF_RESULT_OK) damaged(name, rc);
  if (in.yuvFormat == AVIF_PIXEL_FORMAT_YUV400)
    image = in.depth > 8 ? gray_of<uint16_t>(image, alpha ? 2 : 1) : gray_of<uint8_t>(image, alpha ? 2 : 1);

  image.meta.icc = text(in.icc);
  image.meta.exif = text(in.exif);
  image.meta.xmp = text(in.xmp);
  exif_update(image.meta.exif, image.width, image.height, 0,
              0);  // HEIF: EXIF's orientation is not to be applied
  keep_code_points(in, image.meta);
  if (decoder->imageCount > 1) image.notes = "has several pictures, only the first is used";
  if (in.transformFlags & AVIF_TRANSFORM_CLAP) image.notes = "notes a crop, which is left out";
  return upright(std::move(image), orientation(in));
}

void encode_avif(OutputFile& file, const Image& image, int quality, bool lossless, int threads) {
  const QuietLibrary quiet;
  auto must = [&](bool ok, const char* why) {
    if (!ok) fail(kIo, file.path(), ": AVIF encoding failed (", why, ")");
  };
  const bool gray = image.channels <= 2, deep = image.depth != UPS_U8;
  Image colour;
  const Image* p = &image;
  if (gray) p = &(colour = colour_of_gray(image));
  const avifPixelFormat format = gray ? AVIF_PIXEL_FORMAT_YUV400 : AVIF_PIXEL_FORMAT_YUV444;
  std::unique_ptr<avifImage, Destroyer> out(avifImageCreate(p->width, p->height, deep ? 12 : 8, format));
  must(out != nullptr, "not enough memory");
  const Metadata& m = image.meta;
  out->yuvRange = AVIF_RANGE_FULL;
  out->colorPrimaries = AVIF_COLOR_PRIMARIES_BT709;
  out->transferCharacteristics = AVIF_TRANSFER_CHARACTERISTICS_SRGB;
  for (const auto& c : m.chunks) {
    if (c.type != "cICP" || c.data.size() != 4) continue;
    out->colorPrimaries = avifColorPrimaries(uint8_t(c.data[0]));
    out->transferCharacteristics = avifTransferCharacteristics(uint8_t(c.data[1]));
  }
  out->matrixCoefficients =
      lossless && !gray ? AVIF_MATRIX_COEFFICIENTS_IDENTITY : AVIF_MATRIX_COEFFICIENTS_BT601;
  auto bytes = [](const std::string& s) { return reinterpret_cast<const uint8_t*>(s.data()); };
  if (!m.icc.empty()) avifImageSetProfileICC(out.get(), bytes(m.icc), m.icc.size());
  if (!m.exif.empty()) avifImageSetMetadataExif(out.get(), bytes(m.exif), m.exif.size());
  if (!m.xmp.empty()) avifImageSetMetadataXMP(out.get(), bytes(m.xmp), m.xmp.size());
  out->transformFlags = AVIF_TRANSFORM_NONE;  // some versions derive them from EXIF; pixels stand upright
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, out.get());
  rgb.format = p->channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  rgb.depth = deep ? 16 : 8;
  rgb.pixels = p->pixels.get();
  rgb.rowBytes = uint32_t(p->row_bytes());
  avifResult rc = avifImageRGBToYUV(out.get(), &rgb);
  must(rc == AVIF_RESULT_OK, avifResultToString(rc));

  std::unique_ptr<avifEncoder, Destroyer> encoder(avifEncoderCreate());
  must(encoder != nullptr, "not enough memory");
  encoder->maxThreads = threads > 0 ? threads : 8;
  encoder->speed = 6;
#if AVIF_VERSION >= 1000000
  encoder->quality = lossless ? AVIF_QUALITY_LOSSLESS : quality;
  encoder->qualityAlpha = AVIF_QUALITY_LOSSLESS;
#else
  const int quantizer = lossless ? 0 : ((100 - quality) * 63 + 50) / 100;  // as later versions map quality
  encoder->minQuantizer = encoder->maxQuantizer = quantizer;
  encoder->minQuantizerAlpha = encoder->maxQuantizerAlpha = AVIF_QUANTIZER_LOSSLESS;
#endif
  avifRWData whole = AVIF_DATA_EMPTY;
  struct Freer {
    avifRWData* d;
    ~Freer() { avifRWDataFree(d); }
  } freer{&whole};
  rc = avifEncoderWrite(encoder.get(), out.get(), &whole);
  must(rc == AVIF_RESULT_OK, avifResultToString(rc));
  file.write(whole.data, whole.size);
}

}  // namespace ups::apps
