// Figures against scikit-image and BasicSR's definitions; the sheet and the page.
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/metrics.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

const std::string kGolden = UPS_GOLDEN "/metrics/";

}  // namespace

TEST_CASE("PSNR and SSIM agree with scikit-image and BasicSR to four decimals", "[apps][compare]") {
  for (const auto& want : nlohmann::json::parse(slurp(kGolden + "metrics.json"))) {
    const std::string name = want["name"];
    Difference d = difference(read_image(kGolden + name + "_a.png"), read_image(kGolden + name + "_b.png"),
                              want["border"]);
    INFO(name << " border " << want["border"]);
    CHECK(std::abs(d.psnr - want["psnr"].get<double>()) < 5e-5);
    CHECK(std::abs(d.psnr_y - want["psnr_y"].get<double>()) < 5e-5);
    REQUIRE(d.ssim);
    CHECK(std::abs(*d.ssim - want["ssim"].get<double>()) < 5e-5);
    CHECK(std::abs(*d.ssim_y - want["ssim_y"].get<double>()) < 5e-5);
    CHECK(d.largest == want["largest"]);
  }
}

TEST_CASE("equal pictures have no difference, small ones no SSIM", "[apps][compare]") {
  UPS_RANDOM(r);
  Image a = decode_image(random_rgb_png(r, 10, 30), "a.png");
  Difference d = difference(a, a, 0);
  CHECK(std::isinf(d.psnr));
  CHECK_FALSE(d.ssim);
  CHECK(d.largest == 0);
  Image b = copy(a);
  b.row(7)[3 * 4 + 1] ^= 0x40;
  d = difference(a, b, 0);
  CHECK(d.largest == 0x40);
  CHECK(d.x == 4);
  CHECK(d.y == 7);
  CHECK(std::abs(d.psnr - 10 * std::log10(255.0 * 255 * 900 / (64 * 64))) < 1e-9);
}

TEST_CASE("gray, alpha and depth are compared as what they show", "[apps][compare]") {
  Image gray = allocate_image(12, 12, 1, UPS_U8), rgb = allocate_image(12, 12, 3, UPS_U16);
  std::fill_n(gray.pixels.get(), gray.bytes(), uint8_t(100));
  for (int i = 0; i < 12 * 12 * 3; i++) reinterpret_cast<uint16_t*>(rgb.pixels.get())[i] = 100 * 257 + 64;
  Difference d = difference(gray, rgb, 0);
  CHECK(std::isinf(d.psnr));  // a quarter of a level rounds away
  CHECK(std::abs(d.largest - 64 / 257.0) < 1e-9);
  Image alpha = allocate_image(12, 12, 2, UPS_U8);
  std::fill_n(alpha.pixels.get(), alpha.bytes(), uint8_t(100));
  CHECK(difference(gray, alpha, 0).largest == 155);  // opaque against 100
}

TEST_CASE("compare prints figures, writes a sheet and a page", "[apps][compare]") {
  TemporaryFolder folder;
  const std::string a = kGolden + "slight_a.png", b = kGolden + "slight_b.png";
  Finished f = run({"compare", b, "--reference", a, "--crop-border", "4", "--json"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  auto rows = nlohmann::json::parse(f.out);
  auto want = nlohmann::json::parse(slurp(kGolden + "metrics.json"))[1];
  CHECK(std::abs(rows[0]["psnr_y"].get<double>() - want["psnr_y"].get<double>()) < 5e-5);
  CHECK(rows[0]["crop_border"] == 4);
  CHECK(nlohmann::json::parse(run({"compare", a, a, "--json"}).out)[0]["psnr"].is_null());  // infinite

  f = run({"compare", a, b, b, "--sheet", folder / "s.png", "--html", folder / "p.html"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  CHECK(std::count(f.out.begin(), f.out.end(), '\n') == 4);
  Image sheet = read_image(folder / "s.png");
  CHECK(sheet.width == 3 * 488 + 8);
  CHECK(sheet.height == 2 * 488 + 16);
  const std::string page = slurp(folder / "p.html");
  size_t images = 0;
  for (size_t at = page.find("data:image/png;base64,"); at != page.npos;
       at = page.find("data:image/png;base64,", at + 1))
    images++;
  CHECK(images == 3);
  CHECK(page.find("src=\"http") == page.npos);  // nothing from outside
  CHECK(page.find("href=") == page.npos);
  CHECK(page.find("slight_b.png") != page.npos);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 2);

  CHECK(run({"compare", a}).code == 1);
  CHECK(run({"compare", a, kGolden + "small_a.png"}).code == 1);
  CHECK(run({"compare", a, b, "--crop-border", "30"}).code == 1);
  CHECK(run({"compare", a, b, "--sheet", folder / "s.jpg"}).code == 1);
  CHECK(run({"compare", a, folder / "none.png"}).code == 6);
}

TEST_CASE("--report writes a page of source and result", "[apps][compare]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "a<b.png", random_rgb_png(r, 9, 7));
  Finished f =
      run({folder / "a<b.png", folder / "out.png", "-m", tiny_model(), "--report", folder / "r.html"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  const std::string page = slurp(folder / "r.html");
  CHECK(page.find("a&lt;b.png") != page.npos);
  CHECK(page.find("18x14") != page.npos);
  CHECK(page.find("Compact") != page.npos);
  CHECK(run({folder / "a<b.png", folder / "out.png", folder / "x", "-m", tiny_model(), "--report",
             folder / "r.html"})
            .code == 1);
}
