// JPEG XL -> pixels of 8 or 16 bits or float through libjxl, with ICC, EXIF and XMP.
#include <jxl/decode.h>
#include <jxl/encode.h>  // JxlColorEncodingSetToSRGB
#include <jxl/version.h>

#include <cstring>
#include <memory>

#include "apps/codecs/exif.h"
#include "apps/codecs/image_io.h"
#include "apps/codecs/jxl_threads.h"
#include "apps/failure.h"
#include "apps/quiet_library.h"

namespace ups::apps {
namespace {

constexpr size_t kMaxBoxBytes = 64 << 20;

struct Destroyer {
  void operator()(JxlDecoder* d) const { JxlDecoderDestroy(d); }
};

struct Decoding {
  JxlThreads threads;
  std::unique_ptr<JxlDecoder, Destroyer> decoder{JxlDecoderCreate(nullptr)};
  JxlBasicInfo info{};
  Image image;
  JxlPixelFormat format{};
  std::string box, box_type;

  JxlDecoder* get() const { return decoder.get(); }

  // A metadata box arrives in pieces; what it holds goes to the image when the next event tells it is whole.
  void end_box() {
    if (box_type.empty()) return;
    size_t left = JxlDecoderReleaseBoxBuffer(get());
    box.resize(box.size() - left);
    if (box_type == "Exif" && box.size() > 4) {  // begins with the offset of the TIFF header
      uint32_t at = 0;
      for (int i = 0; i < 4; i++) at = at << 8 | uint8_t(box[size_t(i)]);
      if (at < box.size() - 4) image.meta.exif = box.substr(4 + at);
    }
    if (box_type == "xml ") image.meta.xmp = box;
    box_type.clear();
  }

  void begin_box() {
    end_box();
    JxlBoxType type;
    if (JxlDecoderGetBoxType(get(), type, JXL_TRUE) != JXL_DEC_SUCCESS) return;
    const std::string is(type, 4);
    if (is != "Exif" && is != "xml ") return;
    box_type = is;
    box.assign(64 << 10, '\0');
    JxlDecoderSetBoxBuffer(get(), reinterpret_cast<uint8_t*>(box.data()), box.size());
  }

  // False when the box is absurdly long.
  bool grow_box() {
    size_t left = JxlDecoderReleaseBoxBuffer(get()), used = box.size() - left;
    if (box.size() > kMaxBoxBytes) return false;
    box.resize(box.size() * 2);
    JxlDecoderSetBoxBuffer(get(), reinterpret_cast<uint8_t*>(box.data()) + used, box.size() - used);
    return true;
  }

  // Of a lossy picture with a profile that libjxl cannot name. It would come in linear light, of which 8 bits
  // are too few, and networks know sRGB.
  void prefer_srgb() {
    JxlColorEncoding e;
    if (info.uses_original_profile || encoding(JXL_COLOR_PROFILE_TARGET_ORIGINAL, e)) return;
    JxlColorEncodingSetToSRGB(&e, info.num_color_channels == 1);
    JxlDecoderSetPreferredColorProfile(get(), &e);  // if it cannot be, the profile of what comes is kept
  }

  bool encoding(JxlColorProfileTarget target, JxlColorEncoding& e) const {
#if JPEGXL_NUMERIC_VERSION >= JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
    return JxlDecoderGetColorAsEncodedProfile(get(), target, &e) == JXL_DEC_SUCCESS;
#else
    return JxlDecoderGetColorAsEncodedProfile(get(), &format, target, &e) == JXL_DEC_SUCCESS;
#endif
  }

  void read_profile() {
    JxlColorEncoding e;
    if (encoding(JXL_COLOR_PROFILE_TARGET_DATA, e) && e.transfer_function == JXL_TRANSFER_FUNCTION_SRGB &&
        e.white_point == JXL_WHITE_POINT_D65 &&
        (e.color_space == JXL_COLOR_SPACE_GRAY || e.primaries == JXL_PRIMARIES_SRGB))
      return;  // needs no profile
    size_t bytes = 0;
#if JPEGXL_NUMERIC_VERSION >= JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
    if (JxlDecoderGetICCProfileSize(get(), JXL_COLOR_PROFILE_TARGET_DATA, &bytes) != JXL_DEC_SUCCESS) return;
#else
    if (JxlDecoderGetICCProfileSize(get(), &format, JXL_COLOR_PROFILE_TARGET_DATA, &bytes) != JXL_DEC_SUCCESS)
      return;
#endif
    if (bytes == 0 || bytes > kMaxBoxBytes) return;
    std::string icc(bytes, '\0');
    uint8_t* data = reinterpret_cast<uint8_t*>(icc.data());
#if JPEGXL_NUMERIC_VERSION >= JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
    if (JxlDecoderGetColorAsICCProfile(get(), JXL_COLOR_PROFILE_TARGET_DATA, data, bytes) != JXL_DEC_SUCCESS)
      return;
#else
    if (JxlDecoderGetColorAsICCProfile(get(), &format, JXL_COLOR_PROFILE_TARGET_DATA, data, bytes) !=
        JXL_DEC_SUCCESS)
      return;
#endif
    image.meta.icc = std::move(icc);
  }

  // After the header: the buffer is made, so sizes are checked first.
  void read_info(size_t file_bytes, const std::string& name) {
    if (JxlDecoderGetBasicInfo(get(), &info) != JXL_DEC_SUCCESS)
      fail(kIo, name, ": is a damaged JPEG XL (no valid header)");
    check_plausible(info.xsize, info.ysize, file_bytes, kMostPixelsPerByte, name);
    for (uint32_t i = 0; i < info.num_extra_channels; i++) {
      JxlExtraChannelInfo extra;
      if (JxlDecoderGetExtraChannelInfo(get(), i, &extra) == JXL_DEC_SUCCESS &&
          extra.type == JXL_CHANNEL_BLACK)
        fail(kIo, name, ": is a CMYK JPEG XL, expected gray or RGB");
    }
    const ups_depth depth = info.exponent_bits_per_sample > 0 ? UPS_F32
                            : info.bits_per_sample > 8        ? UPS_U16
                                                              : UPS_U8;
    Metadata kept = std::move(image.meta);  // boxes may come before the codestream
    image = allocate_image(int(info.xsize), int(info.ysize),
                           int(info.num_color_channels) + (info.alpha_bits > 0), depth);
    image.meta = std::move(kept);
    format = {uint32_t(image.channels),
              depth == UPS_F32   ? JXL_TYPE_FLOAT
              : depth == UPS_U16 ? JXL_TYPE_UINT16
                                 : JXL_TYPE_UINT8,
              JXL_NATIVE_ENDIAN, 0};
    if (info.have_animation) image.notes = "is an animation, only the first picture is used";
    threads.fit(info.xsize, info.ysize);
  }
};

}  // namespace

Image decode_jxl(std::string_view bytes, const std::string& name) {
  const QuietLibrary quiet;
  Decoding d;
  auto must = [&](JxlDecoderStatus rc) {
    if (rc != JXL_DEC_SUCCESS) fail(kIo, name, ": the JPEG XL decoder cannot be set up");
  };
  if (!d.decoder || !d.threads) fail(kMemory, name, ": not enough memory to decode the JPEG XL");
  must(JxlDecoderSubscribeEvents(
      d.get(), JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FULL_IMAGE | JXL_DEC_BOX));
  must(JxlDecoderSetParallelRunner(d.get(), JxlThreads::run, &d.threads));
  must(JxlDecoderSetDecompressBoxes(d.get(), JXL_TRUE));
  must(JxlDecoderSetUnpremultiplyAlpha(d.get(), JXL_TRUE));
  must(JxlDecoderSetInput(d.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  JxlDecoderCloseInput(d.get());
  bool whole = false;
  for (bool more = true; more;) {
    switch (JxlDecoderProcessInput(d.get())) {
      case JXL_DEC_BASIC_INFO:
        d.read_info(bytes.size(), name);
        break;
      case JXL_DEC_COLOR_ENCODING:
        d.prefer_srgb();
        d.read_profile();
        break;
      case JXL_DEC_NEED_IMAGE_OUT_BUFFER: {
        size_t needed = 0;
        if (!d.image.pixels || JxlDecoderImageOutBufferSize(d.get(), &d.format, &needed) != JXL_DEC_SUCCESS ||
            needed != d.image.bytes())
          fail(kIo, name, ": is a damaged JPEG XL");
        must(JxlDecoderSetImageOutBuffer(d.get(), &d.format, d.image.pixels.get(), d.image.bytes()));
        break;
      }
      case JXL_DEC_FULL_IMAGE:
        if (d.info.have_animation) more = false;
        whole = true;
        break;
      case JXL_DEC_BOX:
        d.begin_box();
        break;
      case JXL_DEC_BOX_NEED_MORE_OUTPUT:
        if (!d.grow_box()) fail(kIo, name, ": has a metadata box of more than ", kMaxBoxBytes >> 20, " MiB");
        break;
      case JXL_DEC_SUCCESS:
        more = false;
        break;
      default:  // an error, or an end of the input before its time
        if (!whole) fail(kIo, name, ": is a damaged or truncated JPEG XL");
        more = false;
    }
  }
  if (!whole) fail(kIo, name, ": holds no picture");
  d.end_box();
  exif_update(d.image.meta.exif, d.image.width, d.image.height, 0,
              0);  // the decoder has turned the pixels already
  return std::move(d.image);
}

}  // namespace ups::apps
