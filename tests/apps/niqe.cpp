// NIQE against BasicSR's, on pictures that tests/golden/make_niqe.py makes by the same arithmetic; hostile
// parameter files.
#include "apps/compare/niqe.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/compare/niqe_store.h"
#include "apps/failure.h"
#include "tests/apps/process.h"

using namespace ups::apps;
using namespace ups::testing;

namespace {

// Shapes of distributions come from a table in steps of 0.001. The last bit of a float sum may choose the
// neighbour in one of six blocks, which changes a mean by 1.7e-4; the result moves by about as much.
constexpr double kTolerance = 5e-4;

const std::string kGolden = UPS_GOLDEN "/niqe/";

uint32_t lattice(uint32_t x, uint32_t y, uint32_t c, uint32_t seed) {
  uint32_t s = x * 374761393u + y * 668265263u + c * 2246822519u + seed * 3266489917u;
  s = (s ^ s >> 13) * 1274126177u;
  return (s ^ s >> 16) & 255;
}

uint32_t octave(uint32_t x, uint32_t y, uint32_t c, uint32_t seed, uint32_t k) {
  const uint32_t i = x / k, j = y / k, u = x % k, v = y % k;
  return (lattice(i, j, c, seed) * (k - u) * (k - v) + lattice(i + 1, j, c, seed) * u * (k - v) +
          lattice(i, j + 1, c, seed) * (k - u) * v + lattice(i + 1, j + 1, c, seed) * u * v) /
         (k * k);
}

Image picture(uint32_t seed, int width, int height, int channels, int flat) {
  Image out = allocate_image(width, height, channels, UPS_U8);
  uint8_t* d = out.pixels.get();
  for (uint32_t y = 0; y < uint32_t(height); y++) {
    for (uint32_t x = 0; x < uint32_t(width); x++) {
      for (uint32_t c = 0; c < uint32_t(channels); c++) {
        uint32_t sum = 0;
        for (auto [w, k] : {std::pair{6u, 32u}, {5u, 8u}, {4u, 2u}, {1u, 1u}})
          sum += w * octave(x, y, c, seed + k, k);
        *d++ = x < 96 * uint32_t(flat) ? 90 : uint8_t(std::clamp(int(sum / 16) * 3 / 2 - 64, 0, 255));
      }
    }
  }
  return out;
}

std::string refusal(const std::string& npz) {
  try {
    read_niqe_parameters(npz, "p.npz");
  } catch (const Failure& e) {
    CHECK(e.code == kIo);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("NIQE agrees with BasicSR to three decimals", "[apps][compare][niqe]") {
  const NiqeParameters made_up = read_niqe_parameters(slurp(kGolden + "parameters.npz"), "parameters.npz");
  const std::optional<NiqeParameters> official = stored_niqe_parameters();
  if (!official) WARN("the official parameters are not in the store (upscale fetch niqe): only made-up ones");
  for (const auto& want : nlohmann::json::parse(slurp(kGolden + "niqe.json"))) {
    INFO(want["name"]);
    const Image p = picture(want["seed"], want["width"], want["height"], want["channels"], want["flat"]);
    int64_t sum = 0;
    for (size_t i = 0; i < p.bytes(); i++) sum += p.pixels[i];
    REQUIRE(sum == want["sum"].get<int64_t>());
    const std::optional<double> got = niqe(p, want["border"], made_up);
    REQUIRE(got);
    CHECK(std::abs(*got - want["made_up"].get<double>()) < kTolerance);
    if (official) {
      const std::optional<double> figure = niqe(p, want["border"], *official);
      REQUIRE(figure);
      CHECK(std::abs(*figure - want["niqe"].get<double>()) < kTolerance);
    }
  }
}

TEST_CASE("NIQE is absent where it is not defined", "[apps][compare][niqe]") {
  const NiqeParameters p = read_niqe_parameters(slurp(kGolden + "parameters.npz"), "parameters.npz");
  CHECK_FALSE(niqe(picture(1, 95, 300, 3, 0), 0, p));
  CHECK_FALSE(niqe(picture(1, 190, 100, 3, 0), 0, p));  // one block
  CHECK_FALSE(niqe(picture(1, 192, 96, 3, 0), 1, p));
  CHECK_FALSE(niqe(picture(1, 200, 200, 3, 0), 5000, p));
  CHECK_FALSE(niqe(picture(1, 300, 200, 3, 4), 0, p));  // flat
  CHECK(niqe(picture(1, 192, 96, 3, 0), 0, p));
}

TEST_CASE("damaged NIQE parameters are refused with a sentence", "[apps][compare][niqe]") {
  UPS_RANDOM(r);
  const std::string good = slurp(kGolden + "parameters.npz");
  CHECK(refusal(good).empty());
  CHECK(refusal("").find("p.npz") == 0);
  CHECK(refusal("not a zip archive at all").find("zip") != std::string::npos);
  for (int i = 0; i < 60; i++)
    CHECK_FALSE(refusal(good.substr(0, size_t(r.integer(0, int(good.size()) - 1)))).empty());
  for (int i = 0; i < 300; i++) {  // damage is caught by the archive's sums or read as other numbers
    std::string bad = good;
    for (int k = 0; k < 3; k++) bad[size_t(r.integer(0, int(bad.size()) - 1))] ^= char(1 << r.integer(0, 7));
    refusal(bad);
  }
}

TEST_CASE("fetch keeps NIQE's numbers only when they are the right ones, and so does compare",
          "[apps][compare][niqe]") {
  UPS_RANDOM(r);
  TemporaryFolder source, store;
  const std::vector<std::string> environment = {"UPSCALE_FETCH_FROM=" + source.path.string(),
                                                "UPSCALE_MODELS=" + store.path.string()};
  spill(source / "a.png", random_rgb_png(r, 20, 20));
  Finished f = run({"fetch", "niqe"}, environment);
  CHECK(f.code == 6);
  CHECK(f.err.find("niqe_pris_params.npz") != std::string::npos);
  spill(source / "niqe_pris_params.npz", slurp(kGolden + "parameters.npz"));
  f = run({"fetch", "niqe"}, environment);
  CHECK(f.code == 3);
  CHECK(f.err.find("SHA-256") != std::string::npos);
  CHECK(std::filesystem::is_empty(store.path));
  f = run({"compare", source / "a.png", source / "a.png"}, environment);
  CHECK(f.code == 0);
  CHECK(f.out.find("NIQE") == std::string::npos);
  CHECK(f.err.find("upscale fetch niqe") != std::string::npos);
  CHECK(run({"compare", source / "a.png"}, environment).code == 1);
  spill(store / "niqe_pris_params.npz", slurp(kGolden + "parameters.npz"));
  f = run({"compare", source / "a.png", source / "a.png"}, environment);
  CHECK(f.code == 6);
  CHECK(f.one_line_error());
  CHECK(f.err.find("SHA-256") != std::string::npos);
}
