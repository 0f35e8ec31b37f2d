// Figures against scikit-image and BasicSR's definitions; the sheet and the page; folders.
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/compare/folders.h"
#include "apps/compare/metrics.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

const std::string kGolden = UPS_GOLDEN "/metrics/";

int count_of(const std::string& text, const std::string& what) {
  int n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) n++;
  return n;
}

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

TEST_CASE("figures are those of the definitions, windows summed one by one", "[apps][compare]") {
  UPS_RANDOM(r);
  for (int channels : {1, 3, 4}) {
    const int w = r.integer(11, 24), h = r.integer(11, 24), border = r.integer(0, 2) * (w > 14 && h > 14);
    INFO(w << "x" << h << "x" << channels << ", border " << border);
    Image a = allocate_image(w, h, channels, UPS_U8), b = allocate_image(w, h, channels, UPS_U8);
    for (size_t i = 0; i < a.bytes(); i++) {
      a.pixels[i] = uint8_t(r.integer(0, 255));
      b.pixels[i] = uint8_t(std::clamp(int(a.pixels[i]) + r.integer(-30, 30), 0, 255));
    }
    const Difference got = difference(a, b, border);
    auto at = [&](const Image& i, int x, int y, int c) {
      const uint8_t* p = i.row(y) + size_t(x) * size_t(channels);
      const double rgb[] = {double(p[0]), double(p[channels < 3 ? 0 : 1]), double(p[channels < 3 ? 0 : 2])};
      return c < 3 ? rgb[c] : 16 + (65.481 * rgb[0] + 128.553 * rgb[1] + 24.966 * rgb[2]) / 255;
    };
    double mse[4] = {}, ssim[4] = {};
    for (int c = 0; c < 4; c++) {
      double squares = 0, sum = 0;
      int pixels = 0, windows = 0;
      for (int y = border; y < h - border; y++)
        for (int x = border; x < w - border; x++, pixels++)
          squares += std::pow(at(a, x, y, c) - at(b, x, y, c), 2);
      for (int y = border; y + 11 <= h - border; y++) {
        for (int x = border; x + 11 <= w - border; x++, windows++) {
          double weight = 0, ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
          for (int dy = -5; dy <= 5; dy++) {
            for (int dx = -5; dx <= 5; dx++) {
              const double g = std::exp(-(dx * dx + dy * dy) / 4.5);
              const double p = at(a, x + 5 + dx, y + 5 + dy, c), q = at(b, x + 5 + dx, y + 5 + dy, c);
              weight += g, ma += g * p, mb += g * q, aa += g * p * p, bb += g * q * q, ab += g * p * q;
            }
          }
          ma /= weight, mb /= weight;
          aa = aa / weight - ma * ma, bb = bb / weight - mb * mb, ab = ab / weight - ma * mb;
          sum += (2 * ma * mb + 6.5025) * (2 * ab + 58.5225) /
                 ((ma * ma + mb * mb + 6.5025) * (aa + bb + 58.5225));
        }
      }
      mse[c] = squares / pixels, ssim[c] = sum / windows;
    }
    auto psnr = [](double e) { return 10 * std::log10(255.0 * 255 / e); };
    CHECK(std::abs(got.psnr - psnr((mse[0] + mse[1] + mse[2]) / 3)) < 1e-9);
    CHECK(std::abs(got.psnr_y - psnr(mse[3])) < 1e-9);
    CHECK(std::abs(got.ssim.value() - (ssim[0] + ssim[1] + ssim[2]) / 3) < 1e-9);
    CHECK(std::abs(got.ssim_y.value() - ssim[3]) < 1e-9);
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
  // two lines, 61x45 pixels on 480, all of them three times as large, gaps
  CHECK(sheet.height == 8 + 48 + 354 + 8 + 135 + 8 + 8);
  int letters = 0;  // of the names above the pictures
  for (int y = 8; y < 8 + 48; y++)
    for (int x = 0; x < sheet.width; x++) letters += sheet.row(y)[3 * x] > 200;
  CHECK(letters > 1000);
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

  // Of the longest name that a file may have.
  CHECK(run({"compare", a, b, "--html", folder / (std::string(250, 'p') + ".html")}).code == 0);

  CHECK(run({"compare", a}).code == 1);
  CHECK(run({"compare", a, kGolden + "small_a.png"}).code == 1);
  CHECK(run({"compare", a, b, "--crop-border", "30"}).code == 1);
  CHECK(run({"compare", a, b, "--sheet", folder / "s.jpg"}).code == 1);
  CHECK(run({"compare", a, folder / "none.png"}).code == 6);
}

TEST_CASE("pictures of other sizes are shown and said to have no figures", "[apps][compare]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string a = folder / "a.png", same = folder / "same.png", small = folder / "small.png";
  spill(a, random_rgb_png(r, 40, 30));
  spill(same, random_rgb_png(r, 40, 30));
  spill(small, random_rgb_png(r, 20, 15));
  Finished f = run({"compare", a, small});
  CHECK(f.code == 1);
  CHECK(f.one_line_error());
  CHECK(f.err.find("20x15") != std::string::npos);
  f = run({"compare", a, small, "--html", folder / "p.html", "--sheet", folder / "s.png", "--json"});
  CHECK(f.code == 0);
  CHECK(nlohmann::json::parse(f.out)[0]["psnr"].is_null());
  CHECK(nlohmann::json::parse(f.out)[0]["size"] == nlohmann::json({20, 15}));
  const std::string page = slurp(folder / "p.html");
  CHECK(page.find("frame = [40, 30], places = [[0, 0, 40, 30], [0, 0, 40, 30]]") != std::string::npos);
  f = run({"compare", a, small, folder / "none.png", same, "--json"});
  CHECK(f.code == 2);  // same.png is compared, the others are named
  CHECK(f.err.find("none.png") != std::string::npos);
  auto rows = nlohmann::json::parse(f.out);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["psnr"].is_null());
  CHECK(rows[1]["psnr"].is_number());
  CHECK(run({"compare", a, folder / "none.png", folder / "nor.png"}).code == 6);
  CHECK(run({"compare", folder / "none.png", a}).code == 6);
}

TEST_CASE("folders are compared picture by picture", "[apps][compare]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  for (const char* d : {"a/sub", "b/sub"}) fs::create_directories(folder.path / d);
  for (const char* n : {"a/one.png", "a/one_b.png", "a/sub/one.png", "a/two.png", "a/lost.png", "a/x.png"})
    spill(folder / n, random_rgb_png(r, 16, 12));
  for (const char* n : {"b/one_b_x4.png", "b/one-up.png", "b/sub/onex2.png", "b/two.png", "b/two_x4.png",
                        "b/1.png", "b/x_1.png", "b/x_2.png"})
    spill(folder / n, random_rgb_png(r, 16, 12));
  const FolderPairs pairs = pair_folders(folder / "b", folder / "a");
  auto partner = [&](const std::string& of) {
    for (const FolderPair& p : pairs.pairs)
      if (p.reference == folder / of) return p.picture;
    return std::string("?");
  };
  CHECK(partner("a/one.png") == folder / "b/one-up.png");
  CHECK(partner("a/one_b.png") == folder / "b/one_b_x4.png");
  CHECK(partner("a/sub/one.png") == folder / "b/sub/onex2.png");
  CHECK(partner("a/two.png") == folder / "b/two.png");
  CHECK(partner("a/lost.png").empty());
  CHECK(partner("a/x.png").empty());  // two candidates
  CHECK(pairs.unpaired.size() == 4);

  Finished f = run({"compare", folder / "a", folder / "b", "--json"});
  CHECK(f.code == 2);
  CHECK(f.err.find("no picture for " + folder / "a/lost.png") != std::string::npos);
  const auto rows = nlohmann::json::parse(f.out);
  REQUIRE(rows.size() == 5);
  CHECK(rows[4]["mean_of"] == 4);
  double sum = 0, most = 0;
  for (int i = 0; i < 4; i++) {
    sum += rows[i]["psnr"].get<double>() / 4;
    most = std::max(most, rows[i]["largest"].get<double>());
  }
  CHECK(std::abs(rows[4]["psnr"].get<double>() - sum) < 1e-9);
  CHECK(rows[4]["largest"] == most);
  f = run({"compare", folder / "a", folder / "a"});
  CHECK(f.code == 0);
  CHECK(f.out.find("mean of 6") != std::string::npos);
  CHECK(run({"compare", folder / "a", folder / "a/one.png"}).code == 1);
  f = run({"compare", folder / "a", folder / "b", folder / "a", "--html", folder / "p.html", "--sheet",
           folder / "s.png"});
  CHECK(f.code == 2);  // two are not in b
  const std::string list = slurp(folder / "p.html");
  CHECK(count_of(list, "<a href=\"p_pages/") == 4 + 6);
  CHECK(list.find("mean of 4") != std::string::npos);
  CHECK(list.find("mean of 6") != std::string::npos);
  CHECK(slurp(folder / "p_pages/sub/one.png.html").find("onex2.png") != std::string::npos);
  CHECK(decode_image(slurp(folder / "p_pages/lost.png.jpg"), "t.jpg").width == 16);
  const Image sheet = read_image(folder / "s.png");  // three columns, six rows
  CHECK(sheet.width == 3 * 488 + 8);
  CHECK((sheet.height > 6 * 400 && sheet.height < 6 * 600));
  fs::create_directories(folder.path / "empty");
  CHECK(run({"compare", folder / "empty", folder / "b"}).code == 6);
}

TEST_CASE("a report says where the source lies in a cropped or padded result", "[apps][compare]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / "in.png", out = folder / "out.png", page = folder / "r.html";
  spill(in, random_rgb_png(r, 20, 10));
  auto places = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {in, out, "-m", tiny_model(), "--report", page});
    Finished f = run(options);
    INFO(f.err);
    CHECK(f.code == 0);
    const std::string text = slurp(page);
    const size_t at = text.find("frame = ");
    return text.substr(at, text.find(';', at) - at);
  };
  CHECK(places({}) == "frame = [40, 20], places = [[0, 0, 40, 20], [0, 0, 40, 20]]");
  CHECK(places({"--crop", "7x6+5+4"}) == "frame = [7, 6], places = [[-5, -4, 40, 20], [0, 0, 7, 6]]");
  CHECK(places({"--size", "30x30", "--fit", "cover"}) ==
        "frame = [30, 30], places = [[-15, 0, 60, 30], [0, 0, 30, 30]]");
  CHECK(places({"--size", "30x30", "--fit", "contain"}) ==
        "frame = [30, 30], places = [[0, 8, 30, 15], [0, 0, 30, 30]]");
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
}

TEST_CASE("--report of several pictures lists them and has a page for each", "[apps][compare]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  fs::create_directories(folder.path / "in/sub");
  spill(folder / "in/a<b #1.png", random_rgb_png(r, 9, 7));
  spill(folder / "in/sub/c.png", random_rgb_png(r, 8, 6));
  spill(folder / "in/bad.png", "none");
  const std::vector<std::string> arguments = {
      folder / "in", folder / "out",    "-R",       "-m",           tiny_model(),
      "--report",    folder / "r.html", "--resume", folder / "done"};
  for (const char* note : {"srvgg_x2 (", "an earlier run"}) {
    CHECK(run(arguments).code == 2);
    const std::string list = slurp(folder / "r.html");
    CHECK(list.find("href=\"r_pages/a%3Cb%20%231.png.html\"") != list.npos);
    CHECK(list.find("src=\"r_pages/sub/c.png.jpg\"") != list.npos);
    CHECK(list.find("a&lt;b #1.png</a>") != list.npos);
    CHECK(list.find("not a readable image") != list.npos);
    CHECK(count_of(list, note) == 2);
  }
  CHECK(slurp(folder / "r_pages/sub/c.png.html").find("16x12") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "r_pages/bad.png.html"));
  const std::string longest(251, 'n');  // a page of that name and .html would have too long a name
  spill(folder / ("in/" + longest + ".png"), random_rgb_png(r, 4, 4));
  CHECK(run(arguments).code == 2);
  CHECK(slurp(folder / "r.html").find("href=\"r_pages/" + longest.substr(0, 200) + "-") != std::string::npos);
}
