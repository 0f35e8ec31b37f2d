// Results that no disk or memory holds are refused before work starts, in one sentence that says the way
// round.
#include "apps/machine.h"

#include <algorithm>

#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;
namespace fs = std::filesystem;

TEST_CASE("results far beyond any picture are refused before work starts", "[apps][room]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png", model = tiny_model();
  spill(in, random_rgb_png(r, 80, 80));
  struct Case {
    std::vector<std::string> arguments;
    int code;
    const char* says;
  };
  std::vector<Case> cases = {
      {{in, folder / "o.png", "-s", "1000"}, 5, "give --size if this is meant"},
      {{in, folder / "o.tif", "-s", "1000"}, 5, "2^32"},
      {{in, folder / "o.png", "--size", "300000x300000"}, 5, "2^36"},
      {{in, folder / "o.jpg", "-s", "1000"}, 1, "65500"},
      {{in, folder / "o.webp", "--width", "16384"}, 1, "16383"},
      {{in, folder / "o.tga", "-s", "1000"}, 1, "65535"},
      {{in, folder / "o.bmp", "-s", "500"}, 1, "BMP"},
  };
  // As it stands, a PGM of 2^36 pixels of 16 bits, or less if the machine could hold it, is beyond most
  // disks.
  const int64_t room = free_disk_bytes(folder / "o.png"), memory = memory_bytes();
  REQUIRE(room > 0);
  REQUIRE(memory > 0);
  if (room < (int64_t(40) << 30))  // PNG: at least an eighth
    cases.push_back({{in, folder / "o.png", "--size", "250000x250000", "--depth", "16"}, 6, "on the disk"});
  if (memory < (int64_t(60) << 30))  // the last step is a pass over 20480x20480 pixels
    cases.push_back({{in, folder / "o.png", "-s", "512", "--steps", "9", "-t", "none"}, 5, "use -t auto"});
  for (auto& c : cases) {
    c.arguments.insert(c.arguments.end(), {"-m", model});
    for (bool dry : {false, true}) {
      if (dry) c.arguments.push_back("--dry-run");
      const Finished f = run(c.arguments);
      INFO(c.arguments[1] << " " << c.arguments[3] << ": " << f.err);
      CHECK(f.code == c.code);
      CHECK(f.one_line_error());
      CHECK(f.err.find(c.says) != std::string::npos);
      CHECK_FALSE(fs::exists(c.arguments[1]));
    }
  }
  CHECK(run({in, folder / "o.png", "-s", "1000", "-m", model}).err.find("80000x80000") != std::string::npos);
}

TEST_CASE("sizes in bytes are said in GB and MB", "[apps][room]") {
  CHECK(bytes_text(786e9) == "786 GB");
  CHECK(bytes_text(3.14e9) == "3.1 GB");
  CHECK(bytes_text(2e6) == "2.00 MB");
}

TEST_CASE("--depth 12 is an AVIF's, and 16 is not", "[apps][room]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  const auto code = [&](const char* out, const char* depth) {
    return run({folder / "in.png", folder / out, "--depth", depth, "-m", tiny_model()}).code;
  };
  if (can_write(Format::avif)) {
    CHECK(code("o.avif", "12") == 0);
    CHECK(read_image(folder / "o.avif").depth == UPS_U16);
    CHECK(code("o.avif", "16") == 1);
    CHECK(run({folder / "in.png", folder / "o.avif", "--depth", "12", "--dry-run", "-m", tiny_model()})
              .out.find("of 12 bits") != std::string::npos);
  }
  CHECK(code("o.png", "12") == 1);
  CHECK(code("o.jpg", "12") == 1);
}
