// The model store. With UPS_TEST_WEIGHTS naming a folder that holds the ncnn files, the real conversion is
// tested too.
#include "apps/store/store.h"

#include <nlohmann/json.hpp>

#include "tests/apps/process.h"

using namespace ups::testing;
using namespace ups::apps;
namespace fs = std::filesystem;

namespace {

int files_in(const std::string& folder) {
  return int(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

}  // namespace

TEST_CASE("the table of models is complete and consistent", "[apps][store]") {
  for (const Alias& a : aliases()) CHECK(find_alias(a.alias) == &a);
  for (const StoreModel& m : store_models()) {
    INFO(m.file);
    CHECK(find_alias(m.file));
    CHECK((m.url.empty() || m.url.find("/" + m.pth.name) != std::string::npos));
    CHECK((!m.url.empty() || !m.wheels.empty()));
    CHECK(m.license.text.size() > 500);
    for (const StoreWheel& w : m.wheels) {
      CHECK(w.pth.empty() != w.bin.empty());
      CHECK(w.param.empty() == w.bin.empty());
      CHECK((w.pth.empty() ? m.bin : m.pth).name.size());
    }
    for (const StoreFile* f : {&m.param, &m.bin, &m.pth}) {
      CHECK(f->name.empty() == f->sha256.empty());
      for (const auto& d : f->sha256) CHECK(d.find_first_not_of("0123456789abcdef") == std::string::npos);
      for (const auto& d : f->sha256) CHECK(d.size() == 64);
    }
  }
}

TEST_CASE("models lists every alias with its state", "[apps][store]") {
  Finished f = run({"models", "--json"});
  REQUIRE(f.code == 0);
  auto rows = nlohmann::json::parse(f.out);
  CHECK(rows.size() == aliases().size());
  for (const auto& row : rows) {
    const StoreModel& m = model_of(*find_alias(row["alias"].get<std::string>()));
    CHECK(row["license"] == m.license.id);
    CHECK((m.license.id == "Apache-2.0") == (m.name.find("SPAN") == 0 || m.name.find("DAT") == 0));
    if (row["alias"] != "fast") CHECK(row["state"] == "not fetched");
  }
  CHECK(run({"models"}).out.find("x4") != std::string::npos);
}

TEST_CASE("the store follows UPSCALE_MODELS, then XDG_DATA_HOME, then HOME", "[apps][store]") {
  auto path = [](std::vector<std::string> environment) {
    auto rows = nlohmann::json::parse(run({"models", "--json"}, environment).out);
    return rows[1]["path"].get<std::string>();
  };
  CHECK(path({"UPSCALE_MODELS=/a", "XDG_DATA_HOME=/b", "HOME=/c"}) == "/a/x4.safetensors");
  CHECK(path({"UPSCALE_MODELS=", "XDG_DATA_HOME=/b", "HOME=/c"}) == "/b/upscale/models/x4.safetensors");
  CHECK(path({"UPSCALE_MODELS=", "XDG_DATA_HOME=", "HOME=/c"}) ==
        "/c/.local/share/upscale/models/x4.safetensors");
}

TEST_CASE("fetch refuses files of the right name and the wrong content", "[apps][store]") {
  TemporaryFolder source, store;
  spill(source / "realesrgan-x4plus.param", "7767517\n0 0\n");
  spill(source / "realesrgan-x4plus.bin", "no weights");
  spill(source / "RealESRGAN_x2plus.pth", "neither");
  spill(source / "DAT_light_x4.pth", "nor this");
  std::vector<std::string> environment = {"UPSCALE_FETCH_FROM=" + source.path.string(),
                                          "UPSCALE_MODELS=" + store.path.string()};
  for (const char* alias : {"x4", "x2", "dat-light"}) {
    Finished f = run({"fetch", alias}, environment);
    INFO(f.err);
    CHECK(f.code == 3);
    CHECK(f.one_line_error());
    CHECK(f.err.find("SHA-256") != std::string::npos);
  }
  CHECK(files_in(store.path) == 0);
}

TEST_CASE("fetch says what a folder lacks", "[apps][store]") {
  TemporaryFolder source, store;
  std::vector<std::string> environment = {"UPSCALE_FETCH_FROM=" + source.path.string(),
                                          "UPSCALE_MODELS=" + store.path.string()};
  Finished f = run({"fetch", "anime"}, environment);
  CHECK(f.code == 6);
  CHECK(f.one_line_error());
  CHECK(f.err.find("realesrgan-x4plus-anime.param") != std::string::npos);
  CHECK(run({"fetch", "span"}, environment).err.find("spanx4_ch48.bin") != std::string::npos);
  CHECK(run({"fetch", "all"}, environment).code == 6);
  CHECK(files_in(store.path) == 0);
}

TEST_CASE("fetch without python3 and curl says so and leaves nothing behind", "[apps][store]") {
  TemporaryFolder store, bin;
  for (const char* alias : {"x4", "general"}) {
    Finished f =
        run({"fetch", alias}, {"UPSCALE_MODELS=" + store.path.string(), "PATH=" + bin.path.string()});
    INFO(f.err);
    CHECK(f.code == 6);
    CHECK(f.err.find("curl is not installed") != std::string::npos);
  }
  CHECK(files_in(store.path) == 0);
}

TEST_CASE("real files are verified, converted, licensed, and fetched only once", "[apps][store]") {
  const char* weights = std::getenv("UPS_TEST_WEIGHTS");
  if (!weights) {
    WARN("skipped: set UPS_TEST_WEIGHTS to a folder with realesr-animevideov3-x4.{param,bin}");
    return;
  }
  UPS_RANDOM(r);
  TemporaryFolder store;
  std::vector<std::string> environment = {std::string("UPSCALE_FETCH_FROM=") + weights,
                                          "UPSCALE_MODELS=" + store.path.string()};
  Finished f = run({"fetch", "video"}, environment);
  INFO(f.err);
  REQUIRE(f.code == 0);
  CHECK(files_in(store.path) == 2);
  CHECK(slurp(store / "video.LICENSE.txt").find("Xintao Wang") != std::string::npos);
  auto written = fs::last_write_time(store / "video.safetensors");
  CHECK(run({"fetch", "video"}, environment).code == 0);
  CHECK(fs::last_write_time(store / "video.safetensors") == written);
  spill(store / "in.png", random_rgb_png(r, 10, 10));
  for (auto [alias, side] : {std::pair{"video", 40}, {"video-x2", 20}, {"video-x3", 30}}) {
    Finished g = run({store / "in.png", store / "out.png", "-m", alias}, environment);
    INFO(g.err);
    REQUIRE(g.code == 0);
    CHECK(g.out.find(std::to_string(side) + "x" + std::to_string(side)) != std::string::npos);
  }
}
