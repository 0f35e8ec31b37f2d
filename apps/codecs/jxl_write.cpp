// Pixels of 8 or 16 bits or float -> JPEG XL through libjxl, with ICC, EXIF and XMP.
#include <jxl/encode.h>
#include <jxl/version.h>

#include <memory>
#include <vector>

#include "apps/codecs/image_io.h"
#include "apps/codecs/jxl_threads.h"
#include "apps/failure.h"
#include "apps/quiet_library.h"

namespace ups::apps {
namespace {

struct Destroyer {
  void operator()(JxlEncoder* e) const { JxlEncoderDestroy(e); }
};

// Butteraugli distance as cjxl maps JPEG's quality.
float distance_of(int quality) {
  if (quality >= 100) return 0;
  if (quality >= 30) return 0.1f + float(100 - quality) * 0.09f;
  const float q = float(quality);
  return 53.0f / 3000 * q * q - 23.0f / 20 * q + 25;
}

}  // namespace

void encode_jxl(OutputFile& file, const Image& image, int quality, bool lossless) {
  const QuietLibrary quiet;
  JxlThreads threads;
  std::unique_ptr<JxlEncoder, Destroyer> encoder(JxlEncoderCreate(nullptr));
  if (!threads || !encoder) fail(kMemory, file.path(), ": not enough memory to encode the JPEG XL");
  auto must = [&](JxlEncoderStatus rc) {
    if (rc != JXL_ENC_SUCCESS) fail(kIo, file.path(), ": JPEG XL encoding failed");
  };
  const uint32_t width = uint32_t(image.width), height = uint32_t(image.height);
  threads.fit(width, height);
  must(JxlEncoderSetParallelRunner(encoder.get(), JxlThreads::run, &threads));

  const Metadata& m = image.meta;
  const bool gray = image.channels <= 2, alpha = image.channels % 2 == 0;
  JxlBasicInfo info;
  JxlEncoderInitBasicInfo(&info);
  info.xsize = width, info.ysize = height;
  info.bits_per_sample = image.depth == UPS_U8 ? 8 : image.depth == UPS_U16 ? 16 : 32;
  info.exponent_bits_per_sample = image.depth == UPS_F32 ? 8 : 0;
  info.num_color_channels = gray ? 1 : 3;
  if (alpha) {
    info.num_extra_channels = 1;
    info.alpha_bits = info.bits_per_sample;
    info.alpha_exponent_bits = info.exponent_bits_per_sample;
  }
  info.uses_original_profile = lossless ? JXL_TRUE : JXL_FALSE;
  must(JxlEncoderSetBasicInfo(encoder.get(), &info));
  const int level = JxlEncoderGetRequiredCodestreamLevel(encoder.get());
  if (level > 5) must(JxlEncoderSetCodestreamLevel(encoder.get(), level));
  if (!m.exif.empty() || !m.xmp.empty()) must(JxlEncoderUseBoxes(encoder.get()));

  bool profile =
      !m.icc.empty() && JxlEncoderSetICCProfile(encoder.get(), reinterpret_cast<const uint8_t*>(m.icc.data()),
                                                m.icc.size()) == JXL_ENC_SUCCESS;
  if (!profile) {
    JxlColorEncoding srgb;
    JxlColorEncodingSetToSRGB(&srgb, gray ? JXL_TRUE : JXL_FALSE);
    must(JxlEncoderSetColorEncoding(encoder.get(), &srgb));
  }
  auto add_box = [&](const char* type, const std::string& data) {
    if (data.empty()) return;
    must(JxlEncoderAddBox(encoder.get(), type, reinterpret_cast<const uint8_t*>(data.data()), data.size(),
                          JXL_FALSE));
  };
  if (!m.exif.empty()) add_box("Exif", std::string(4, '\0') + m.exif);
  add_box("xml ", m.xmp);
  if (!m.exif.empty() || !m.xmp.empty()) JxlEncoderCloseBoxes(encoder.get());

  JxlEncoderFrameSettings* settings = JxlEncoderFrameSettingsCreate(encoder.get(), nullptr);
  if (lossless)
    must(JxlEncoderSetFrameLossless(settings, JXL_TRUE));
  else
    must(JxlEncoderSetFrameDistance(settings, distance_of(quality)));
  // The search for repeated patches takes up to as much memory again, and how much cannot be foretold.
  for (JxlEncoderFrameSettingId id : {JXL_ENC_FRAME_SETTING_PATCHES, JXL_ENC_FRAME_SETTING_DOTS})
    must(JxlEncoderFrameSettingsSetOption(settings, id, 0));
  // libjxl 0.7 overflows where it predicts the bits of floats from their neighbours, and in colour
  // transforms.
  if (lossless && image.depth == UPS_F32)
    for (JxlEncoderFrameSettingId id :
         {JXL_ENC_FRAME_SETTING_MODULAR_PREDICTOR, JXL_ENC_FRAME_SETTING_MODULAR_COLOR_SPACE,
          JXL_ENC_FRAME_SETTING_PALETTE_COLORS, JXL_ENC_FRAME_SETTING_RESPONSIVE})
      must(JxlEncoderFrameSettingsSetOption(settings, id, 0));
  const JxlPixelFormat format = {uint32_t(image.channels),
                                 image.depth == UPS_F32   ? JXL_TYPE_FLOAT
                                 : image.depth == UPS_U16 ? JXL_TYPE_UINT16
                                                          : JXL_TYPE_UINT8,
                                 JXL_NATIVE_ENDIAN, 0};
  must(JxlEncoderAddImageFrame(settings, &format, image.pixels.get(), image.bytes()));
  JxlEncoderCloseInput(encoder.get());

  std::vector<uint8_t> buffer(1 << 20);
  JxlEncoderStatus rc = JXL_ENC_NEED_MORE_OUTPUT;
  while (rc == JXL_ENC_NEED_MORE_OUTPUT) {
    uint8_t* next = buffer.data();
    size_t left = buffer.size();
    rc = JxlEncoderProcessOutput(encoder.get(), &next, &left);
    file.write(buffer.data(), buffer.size() - left);
  }
  must(rc);
}

}  // namespace ups::apps
