// What encoding takes beside the pixels, per format. PNG, JPEG and TIFF: from what the code allocates. The
// others: what libwebp 1.2, libavif 0.11 (libaom) and libjxl 0.7 were measured to take, per pixel and at
// rest, over smooth pictures, photographs and noise of 1024 and 2048 pixels a side; they agree within 5 %.
#include <algorithm>
#include <thread>

#include "apps/codecs/image_io.h"
#include "apps/codecs/png_strips.h"

namespace ups::apps {
namespace {

constexpr double kMiB = 1 << 20;

// Gray, RGB; what transparency adds.
struct PerPixel {
  double gray, rgb, alpha;
  double of(int channels) const { return (channels <= 2 ? gray : rgb) + (channels % 2 ? 0 : alpha); }
};

double avif(int channels, bool deep, bool lossless) {
  if (deep) return (lossless ? PerPixel{31, 59, 6} : PerPixel{23.5, 39.5, 6}).of(channels);
  return (lossless ? PerPixel{18, 39, 3} : PerPixel{14, 27, 4}).of(channels);
}

double jxl(int channels, ups_depth depth, bool lossless) {
  if (depth == UPS_F32) return (lossless ? PerPixel{45, 86, 28} : PerPixel{43, 52, 22}).of(channels);
  if (depth == UPS_U16) return (lossless ? PerPixel{46, 83, 19} : PerPixel{42, 45, 18}).of(channels);
  return (lossless ? PerPixel{40, 71, 15} : PerPixel{42, 46, 16}).of(channels);
}

}  // namespace

int encoder_threads(const EncodeOptions& o) {
  return o.threads > 0 ? o.threads : int(std::max(1u, std::thread::hardware_concurrency()));
}

int64_t encoder_bytes(Format format, int width, int height, int channels, ups_depth depth,
                      const EncodeOptions& o) {
  const int64_t row = int64_t(width) * channels * Image::sample_bytes(depth), all = row * height;
  const int64_t rows = png_strip_rows(size_t(row), height), strip = row * rows;
  const int64_t threads = std::min<int64_t>(encoder_threads(o), (height + rows - 1) / rows);
  const double pixels = double(width) * height;
  switch (format) {
    case Format::png:  // per thread a strip raw and what it becomes, rows, filters, the check; strips in turn
      return std::min<int64_t>(threads * (3 * strip / 2 + 7 * row + (1 << 19)) + (threads + 1) * strip / 2,
                               2 * all + (1 << 20));
    case Format::jpeg: {  // coefficients of 16 bits, for two passes; the picture without alpha
      const int colours = channels - (channels % 2 == 0);
      return int64_t(pixels) * (2 * colours + (colours < channels ? colours : 0));
    }
    case Format::webp:
      return int64_t(pixels * (o.lossless ? PerPixel{31.5, 31.5, 0} : PerPixel{25, 24, 16}).of(channels) -
                     6 * kMiB);  // of what the network took and has given back by then
    case Format::avif:
      return int64_t(pixels * avif(channels, depth != UPS_U8, o.lossless) + 18 * kMiB);
    case Format::jxl:
      return int64_t(pixels * jxl(channels, depth, o.lossless) + 10 * kMiB);
    case Format::tiff:
      return 2 << 20;
    default:
      return 0;
  }
}

}  // namespace ups::apps
