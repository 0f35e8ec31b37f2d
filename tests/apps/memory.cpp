// The peak that --dry-run states against what the process really took (ru_maxrss), within 10 %. Hidden, and a
// test of its own to ctest: the system counts for a child what its parent had when it was started.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

// Waves and a little noise: neither a flat picture nor an incompressible one.
void write_picture(const std::string& path, Random& r, int side, int channels, ups_depth depth) {
  Image image = allocate_image(side, side, channels, UPS_U8);
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side * channels; x++)
      image.row(y)[x] = uint8_t(128 + 60 * std::sin(x * 0.02) + 50 * std::cos(y * 0.03) + r.integer(-8, 8));
  if (depth == UPS_U16) {
    Image wide = allocate_image(side, side, channels, UPS_U16);
    for (size_t i = 0; i < image.bytes(); i++)
      reinterpret_cast<uint16_t*>(wide.pixels.get())[i] = uint16_t(image.pixels[i] * 256 + r.integer(0, 255));
    image = std::move(wide);
  }
  OutputFile file(path);
  write_image(file, format_of_path(path), std::move(image), {});
}

// A page of letters in one of eight shapes, black on white.
void write_text(const std::string& path, Random& r, int side) {
  Image image = allocate_image(side, side, 3, UPS_U8);
  memset(image.pixels.get(), 255, image.bytes());
  uint64_t shapes[8];
  for (auto& s : shapes) s = r.engine() * uint64_t(r.engine());
  for (int y = 4; y + 12 < side; y += 12)
    for (int x = 4; x + 8 < side; x += 8) {
      const uint64_t shape = shapes[r.integer(0, 7)];
      for (int i = 0; i < 35; i++)
        if (shape >> i & 1) memset(image.row(y + i / 5) + 3 * (x + i % 5), 20, 3);
    }
  OutputFile file(path);
  write_image(file, Format::png, std::move(image), {});
}

struct Taken {
  int code;
  double mib;
  std::string err;
};

Taken run_taking(const std::vector<std::string>& arguments) {
  auto running = start(arguments);
  int status = 0;
  rusage usage{};
  wait4(running->pid, &status, 0, &usage);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000, double(usage.ru_maxrss) / 1024,
          slurp(running->folder / "err")};
}

void check_plan(std::vector<std::string> arguments) {
  std::string line;
  for (const auto& a : arguments) line += fs::path(a).filename().string() + " ";
  INFO(line);
  arguments.push_back("--dry-run");
  const Finished dry = run(arguments);
  INFO(dry.out << dry.err);
  REQUIRE(dry.code == 0);
  const size_t at = dry.out.find("peak memory about ");
  REQUIRE(at != std::string::npos);
  const double planned = std::atof(dry.out.c_str() + at + 18);
  arguments.pop_back();
  const Taken taken = run_taking(arguments);
  INFO(taken.err);
  REQUIRE(taken.code == 0);
  if (std::getenv("UPS_SHOW")) WARN(line << ": planned " << planned << ", took " << taken.mib);
  const double tenth = std::max(planned / 10, 6.0);  // what is mapped of a program differs by some MiB
  CHECK(taken.mib <= planned + tenth);
  CHECK(taken.mib >= planned - tenth);
}

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

TEST_CASE("a run takes the memory that --dry-run states, within a tenth", "[.][apps][memory]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const auto in = [&](const char* name) { return folder / name; };
  write_picture(in("256.png"), r, 256, 3, UPS_U8);
  write_picture(in("512.png"), r, 512, 3, UPS_U8);
  write_picture(in("alpha.png"), r, 300, 4, UPS_U8);
  write_picture(in("deep.png"), r, 384, 3, UPS_U16);
  write_picture(in("gray.png"), r, 512, 1, UPS_U8);
  const std::string png = folder / "o.png", model = tiny_model();
  std::vector<std::vector<std::string>> cases = {
      {in("256.png"), png, "-m", model},
      {in("512.png"), png, "-m", model, "-t", "64"},
      {in("512.png"), png, "-m", model, "-t", "none", "-s", "4"},
      {in("512.png"), png, "-m", model, "--steps", "3", "-s", "3"},
      {in("512.png"), png, "-m", model, "--wrap", "xy"},
      {in("512.png"), png, "-m", model, "-s", "4", "--max-ram", "120M"},
      {in("512.png"), folder / "o.bmp", "-m", model, "-s", "1.5"},
      {in("alpha.png"), png, "-m", model},
      {in("alpha.png"), folder / "o.jpg", "-m", model, "--size", "1200x1200", "-t", "64"},
      {in("deep.png"), png, "-m", model},
      {in("gray.png"), png, "-m", model, "--tta", "2"},
  };
  for (const char* name : {"o.jpg", "o.webp", "o.tif", "o.avif", "o.jxl"}) {
    if (can_write(format_of_path(name)))
      cases.push_back({in("512.png"), folder / name, "-m", model, "-t", "64", "-s", "2.5"});
  }
  for (const auto& c : cases) check_plan(c);
  if (run({in("256.png"), png, "--dry-run"}).code == 0) {  // the model carried in the program
    check_plan({in("256.png"), png});
    check_plan({in("512.png"), png, "-s", "2"});
    check_plan({in("alpha.png"), png, "--steps", "2"});
    // The second pass runs in tiles, after a first one in a single large tile.
    check_plan({in("256.png"), png, "-s", "8"});
    // Encoders that take as much as the network begin when its memory is free.
    for (const char* name : {"o.avif", "o.jxl"})
      if (can_write(format_of_path(name))) check_plan({in("512.png"), folder / name, "-s", "3"});
    // Repeated shapes, for which libjxl would search in memory of its own.
    write_text(in("text.png"), r, 320);
    if (can_write(Format::jxl))
      check_plan({in("text.png"), folder / "o.jxl", "-t", "64", "--filter", "nearest"});
    check_plan({in("alpha.png"), png, "-s", "10", "--steps", "2"});
  }
  // With a large network, where somebody fetched one.
  const char* store = std::getenv("UPSCALE_MODELS");
  const fs::path x4 = fs::path(store ? store : "") / "x4.safetensors";
  if (store && fs::exists(x4)) check_plan({in("256.png"), png, "-m", x4.string(), "-s", "1"});
}

#endif
