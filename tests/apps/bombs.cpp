// Small files that ask for much memory. The bounds are those docs/formats.md states.
#include <sys/resource.h>
#include <zlib.h>
#ifdef UPS_TIFF
#include <tiffio.h>
#endif

#include <map>

#include "apps/codecs/png_chunks.h"
#include "apps/failure.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

std::string be32(uint32_t v) { return {char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; }

std::string chunk(const std::string& type, const std::string& data) {
  std::string body = type + data;
  uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), uInt(body.size()));
  return be32(uint32_t(data.size())) + body + be32(uint32_t(crc));
}

#ifdef UPS_TIFF
// One strip of a few bytes that claims to hold the whole picture.
std::string tiff_of_one_strip(int width, int height, int samples, int bits, int photometric) {
  TemporaryFolder folder;
  TIFF* t = TIFFOpen((folder / "x.tif").c_str(), "w");
  TIFFSetField(t, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(t, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, samples);
  TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, bits);
  TIFFSetField(t, TIFFTAG_SAMPLEFORMAT, bits == 32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
  TIFFSetField(t, TIFFTAG_PHOTOMETRIC, photometric);
  TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
  TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, height);
  std::string data(2000, 'x');
  TIFFWriteRawStrip(t, 0, data.data(), tmsize_t(data.size()));
  TIFFClose(t);
  return slurp(folder / "x.tif");
}
#endif

// `bytes` zeros, a multiple of 1 MiB, deflated to a thousandth. A block that is fully flushed refers to
// nothing before it: one is compressed and repeated.
std::string deflated_zeros(size_t bytes) {
  std::string zeros(1 << 20, '\0'), block(1 << 12, '\0');
  z_stream z{};
  REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(zeros.data()), z.avail_in = uInt(zeros.size());
  z.next_out = reinterpret_cast<Bytef*>(block.data()), z.avail_out = uInt(block.size());
  REQUIRE(deflate(&z, Z_FULL_FLUSH) == Z_OK);
  block.resize(z.total_out);
  deflateEnd(&z);
  std::string out = "\x78\xda";
  for (size_t done = 0; done < bytes; done += zeros.size()) out += block;
  const uint32_t adler = uint32_t(bytes % 65521) << 16 | 1;
  return out + std::string("\3\0", 2) + be32(adler);  // an empty last block
}

std::string png(int width, int height, const std::string& before, const std::string& data) {
  const std::string header = be32(uint32_t(width)) + be32(uint32_t(height)) + std::string("\10\2\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + before + chunk("IDAT", data) + chunk("IEND", "");
}

struct Ended {
  int code;
  int64_t peak_mib;
};

Ended run_measured(std::vector<std::string> arguments) {
  auto running = start(std::move(arguments));
  int status = 0;
  rusage usage{};
  wait4(running->pid, &status, 0, &usage);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), usage.ru_maxrss >> 10};
}

}  // namespace

TEST_CASE("bombs are refused or defused within the stated memory, and a batch goes on", "[apps][hostile]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  fs::create_directory(folder / "in");
  const std::string pixels = deflated_zeros(1 << 20);
  std::map<std::string, std::pair<std::string, int>> bombs = {
      // Too many pixels for the bytes; more pixels than any picture may have; a stream shorter than promised.
      {"wide.png", {png(200000, 200000, "", pixels), 6}},
      {"plain.png", {png(16000, 16000, "", std::string(300, 'x')), 6}},
      {"short.png", {png(5000, 5000, "", pixels), 6}},
      {"claim.png", {png(8, 8, std::string("\x5f\0\0\0tEXtkey", 11), pixels), 6}},  // a text of 1.5 GB
      {"flat.webp",
       {std::string("RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f\0\0\0\0\0\0\0\0\0", 34), 6}},
      {"flat.jxl", {std::string("\xff\x0a\xf8\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12), 6}},
      {"huge.ppm", {"P6 32000 32000 255\n", 6}},
      {"huge.gif", {std::string("GIF89a\xff\x7f\xff\x7f\0\0\0,\0\0\0\0\xff\x7f\xff\x7f\0\2\1\0\0;", 27), 6}},
  };
  // A pointer for each of its rows would take half a gigabyte.
  bombs["tall.png"] = {png(1, 1 << 26, "", std::string(200000, 'x')), 6};
  // Texts that together inflate to 720 MB: the picture is enlarged, and the first of them goes with it.
  std::string texts = chunk("zTXt", std::string("parameters\0\0", 12) + deflated_zeros(1 << 20));
  const std::string text = chunk("zTXt", std::string("parameters\0\0", 12) + deflated_zeros(60 << 20));
  for (int i = 0; i < 12; i++) texts += text;
  bombs["texts.png"] = {png(8, 8, texts, deflated_zeros(1 << 20)), 0};
#ifdef UPS_TIFF
  // A gigabyte to decode the strip into; an eighth of one beside what libtiff clears on the way from CMYK to
  // RGB.
  bombs["samples.tif"] = {tiff_of_one_strip(4096, 4096, 16, 32, PHOTOMETRIC_MINISBLACK), 6};
  bombs["ink.tif"] = {tiff_of_one_strip(1 << 13, 1 << 12, 4, 8, PHOTOMETRIC_SEPARATED), 6};
#endif
  for (const auto& [name, bomb] : bombs) {
    spill(folder / ("in/" + name), bomb.first);
    INFO(name);
    Ended e = run_measured({folder / ("in/" + name), folder / "out.png", "-m", tiny_model()});
    CHECK(e.code == bomb.second);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(e.peak_mib < 200);
#endif
    CHECK(fs::remove(folder / "out.png") == (e.code == 0));
  }
  // A profile and texts that inflate to a gigabyte: the picture is fine and is enlarged, without them.
  const std::string bomb = deflated_zeros(size_t(1) << 30);
  const std::string small = png(8, 8, chunk("iCCP", std::string("p\0\0", 3) + bomb), deflated_zeros(1 << 20));
  spill(folder / "in/profile.png", small);
  Ended e = run_measured({folder / "in/profile.png", folder / "out.png", "-m", tiny_model()});
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(e.peak_mib < 300);
#endif
  CHECK((e.code == 0 || e.code == 6));
  CHECK(png_metadata(small).icc.empty());

  spill(folder / "in/good.png", random_rgb_png(r, 8, 8));
  CHECK(run({folder / "in", folder / "out", "-m", tiny_model()}).code == 2);
  CHECK(fs::exists(folder / "out/good.png"));
}

TEST_CASE("an image larger than the machine's memory is refused before it is allocated", "[apps][hostile]") {
  try {
    allocate_image(1 << 30, 1 << 14, 4, UPS_F32);  // 256 TiB
    CHECK(false);
  } catch (const Failure& e) {
    CHECK(e.code == kMemory);
  }
}
