// A batch over damaged pictures of every format: the real program ends in time and within memory, every whole
// picture is enlarged, every refused one costs one sentence, and no library says anything.
#include <sys/resource.h>

#include <set>
#include <sstream>

#include "tests/apps/jpeg_file.h"
#include "tests/apps/process.h"
#ifdef UPS_TIFF
#include "tests/apps/tiff_file.h"
#endif

using namespace ups::apps;
using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

Image waves(Random& r, int w, int h, int c, ups_depth depth) {
  Image image = allocate_image(w, h, c, depth);
  for (size_t i = 0; i < image.bytes(); i++) image.pixels[i] = uint8_t(i % size_t(w) * 3 + r.engine() % 9);
  if (depth == UPS_F32)
    for (size_t i = 0; i < image.bytes() / 4; i++)
      reinterpret_cast<float*>(image.pixels.get())[i] = r.uniform();
  return image;
}

std::string encoded(Image image, const std::string& name, bool lossless) {
  TemporaryFolder folder;
  OutputFile file(folder / "x");
  EncodeOptions options;
  options.lossless = lossless;
  image.meta.exif = std::string("II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\1\0\0\0\0\0\0\0", 26);
  image.meta.xmp = "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>";
  image.meta.chunks.push_back({"tEXt", std::string("Comment\0hello", 13)});
  write_image(file, format_of_path(name), std::move(image), options);
  return slurp(folder / "x");
}

// Files by the extension they are recognised with.
std::vector<std::pair<std::string, std::string>> specimens(Random& r) {
  std::vector<std::pair<std::string, std::string>> all;
  const auto add = [&](const char* extension, int channels, ups_depth depth, bool lossless) {
    if (can_write(format_of_extension(extension)))
      all.emplace_back(extension,
                       encoded(waves(r, 24, 20, channels, depth), std::string("a.") + extension, lossless));
  };
  for (const char* e : {"png", "jpg", "webp", "tif", "avif", "jxl", "bmp", "tga", "ppm", "pfm"})
    add(e, 3, UPS_U8, false);
  for (const char* e : {"webp", "avif", "jxl"}) add(e, 4, UPS_U8, true);
  for (const char* e : {"png", "tif", "avif", "jxl"}) add(e, 2, UPS_U16, false);
  for (const char* e : {"tif", "jxl", "pfm"}) add(e, 1, UPS_F32, true);
  PngFile adam7{24, 20, 4, PNG_COLOR_TYPE_PALETTE, random_bytes(r, 12 * 20)};
  for (int i = 0; i < 16; i++) adam7.palette.push_back({uint8_t(i), uint8_t(2 * i), uint8_t(3 * i)});
  adam7.palette_alpha = {0, 100}, adam7.interlaced = true;
  all.emplace_back("png", libpng_bytes(adam7));
  JpegFile progressive{24, 20, 3, JCS_RGB, JCS_YCbCr, true, random_bytes(r, 24 * 20 * 3)};
  all.emplace_back("jpg", libjpeg_bytes(progressive));
  JpegFile ink{24, 20, 4, JCS_CMYK, JCS_YCCK, false, random_bytes(r, 24 * 20 * 4)};
  ink.restart_rows = 1;
  all.emplace_back("jpg", libjpeg_bytes(ink));
  all.emplace_back(
      "gif",
      std::string("GIF89a\2\0\2\0\x80\0\0\xff\0\0\0\0\xff\x2c\0\0\0\0\2\0\2\0\0\2\3\x44\x02\x05\0\x3b", 36));
  all.emplace_back("tga", std::string("\0\1\x0a\0\0\0\0\0\0\0\0\0\x18\0\x02\0\x18\0\x97\1\2\3\x97\4\5\6", 26)
                              .replace(1, 1, "\0", 1));
  // Run lengths: a header of 40 bytes, two colours, "twelve of colour 1", end of row, end of picture.
  std::string rle =
      std::string("BM\0\0\0\0\0\0\0\0\x3e\0\0\0\x28\0\0\0\x0c\0\0\0\1\0\0\0\1\0\x08\0\1\0\0\0", 34);
  rle +=
      std::string(12, '\0') + std::string("\2\0\0\0\0\0\0\0", 8) + std::string("\0\0\0\0\x10\x20\x30\0", 8);
  all.emplace_back("bmp", rle + std::string("\x0c\1\0\0\0\1", 6));
  all.emplace_back(
      "pam", "P7\nWIDTH 3\nHEIGHT 2\nDEPTH 2\nMAXVAL 9\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n123456789012");
  all.emplace_back("ppm", "P3\n# text\n2 2\n100\n1 2 3 4 5 6 7 8 9 10 11 12\n");
  all.emplace_back("pbm", "P1\n4 2\n0110 1001\n");
#ifdef UPS_TIFF
  const TiffFile tiled{40, 30, 3, 16,  PHOTOMETRIC_RGB, PLANARCONFIG_SEPARATE, COMPRESSION_LZW,
                       -1, 16, 1, "wb"};
  all.emplace_back("tif", libtiff_bytes(tiled, random_bytes(r, 40 * 30 * 6)));
#endif
  return all;
}

}  // namespace

TEST_CASE("a batch goes on over damaged pictures of every format, in silence",
          "[apps][hostile][hostile_batch]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  fs::create_directory(folder / "in");
  std::set<std::string> whole;
  size_t damaged = 0, number = 0;
  for (const auto& [extension, bytes] : specimens(r)) {
    const auto put = [&](const std::string& kind, const std::string& content) {
      const std::string stem = std::to_string(10000 + number) + "-" + extension + "-" + kind;
      spill(folder / ("in/" + stem + "." + extension), content);
      return stem;
    };
    number++;
    whole.insert(put("whole", bytes));
    for (int k = 0; k < 50; k++, damaged += 2) {
      put("cut" + std::to_string(k), bytes.substr(0, size_t(r.integer(0, int(bytes.size()) - 1))));
      std::string bad = bytes;
      const size_t near = k % 2 ? std::min<size_t>(bad.size(), 64) : bad.size();
      for (int flips = r.integer(1, 6); flips > 0; flips--)
        bad[size_t(r.integer(0, int(near) - 1))] = char(r.engine());
      put("bad" + std::to_string(k), bad);
    }
  }
  REQUIRE(whole.size() >= 14);
  auto running = start({folder / "in", folder / "out", "-m", tiny_model(), "-s", "1", "-t", "64", "-j", "2"});
  int status = 0;
  rusage usage{};
  wait4(running->pid, &status, 0, &usage);
  // Of the processor: what else the machine does is no matter.
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  const double took = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  const std::string err = without_device_line(slurp(running->folder / "err"));
  INFO(damaged << " damaged files, " << took << " s, " << (usage.ru_maxrss >> 10) << " MiB\n"
               << err.substr(err.size() > 300 ? err.size() - 300 : 0));
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);
  for (const std::string& stem : whole) {
    INFO(stem);
    CHECK(fs::exists(folder / ("out/" + stem + ".png")));
  }
  std::istringstream lines(err);
  size_t sentences = 0;
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    // A sentence about a file: an error, or the note of one that was read in part.
    CHECK((line.rfind("upscale: ", 0) == 0 || line.rfind(folder / "in/", 0) == 0));
    sentences++;
  }
  CHECK(sentences >= damaged / 3);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(usage.ru_maxrss >> 10 <
        1024);  // a header may claim up to 2^18 pixels a byte of a file of some hundred
  CHECK(took < 120);
#endif
}
