// The C API of autoencoders as a program meets it: what it says, refuses and survives.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/arch/vae_net.h"
#include "upscale.h"
#include "weights/safetensors.h"

using namespace ups;
using namespace ups::testing;
using nlohmann::json;

namespace {

bool said(const std::string& part) { return std::string(ups_last_error()).find(part) != std::string::npos; }

// A small autoencoder in a file, opened.
struct Vae {
  TemporaryFolder folder;
  std::string path = folder / "vae.safetensors";
  ups_vae_options o{};
  ups_vae* handle = nullptr;
  std::vector<float> in = std::vector<float>(64 * 40 * 3, 0.5f);
  ups_image picture{in.data(), 64, 40, 3, UPS_F32, 64 * 12};

  explicit Vae(const char* name = "kl4") {
    write(name, -1);
    o.size = sizeof o, o.threads = 1;
    REQUIRE(ups_vae_open(path.c_str(), &o, &handle) == UPS_OK);
  }
  ~Vae() { ups_vae_close(handle); }
  void write(const std::string& name, int half) const {
    const auto io = open_weights(std::string(UPS_GOLDEN) + "/vae/" + name + ".io.safetensors");
    write_safetensors(path,
                      name[0] == 't' ? *taesd_weights(*io, half) : *vae_weights(*io, VaeDialect::diffusers));
  }
  json info() const { return json::parse(ups_vae_info(handle)); }
  ups_latent* encoded() {
    ups_latent* latent = nullptr;
    REQUIRE(ups_vae_encode(handle, &picture, &o, &latent) == UPS_OK);
    return latent;
  }
  ups_status upscaled() {
    int w = 0, h = 0;
    const ups_status status = ups_vae_upscaled_size(handle, 64, 40, &o, &w, &h);
    if (status) return status;
    std::vector<float> out(size_t(w) * h * 3);
    ups_image hr{out.data(), w, h, 3, UPS_F32, ptrdiff_t(w) * 12};
    return ups_vae_upscale(handle, &picture, &hr, &o);
  }
};

}  // namespace

TEST_CASE("an autoencoder says what it is and what it has done", "[arch][api][autoencoder]") {
  Vae vae;
  for (const char* key : {"family", "keys", "latent_channels", "factor", "scaling", "shift", "scaling_from",
                          "encoder", "decoder", "device", "encodes", "decodes", "working_bytes", "spilled"}) {
    INFO(key);
    CHECK(vae.info().contains(key));
  }
  ups_latent* latent = vae.encoded();
  CHECK(vae.info()["encodes"] == 1);
  const int f = vae.info()["factor"];
  CHECK(latent->width == 64 / f);
  CHECK(latent->height == 40 / f);
  CHECK(latent->channels == vae.info()["latent_channels"]);
  int w = 0, h = 0;
  REQUIRE(ups_vae_decoded_size(vae.handle, latent, &w, &h) == UPS_OK);
  CHECK((w == 64 && h == 40));
  std::vector<uint8_t> pixels(64 * 40 * 3);
  ups_image out{pixels.data(), 64, 40, 3, UPS_U8, 64 * 3};
  CHECK(ups_vae_decode(vae.handle, latent, &out, nullptr) == UPS_OK);
  CHECK(vae.info()["decodes"] == 1);

  const std::string file = vae.folder / "latent.safetensors";
  REQUIRE(ups_latent_write(vae.handle, file.c_str(), latent) == UPS_OK);
  ups_latent* read = nullptr;
  REQUIRE(ups_latent_read(vae.handle, file.c_str(), &read) == UPS_OK);
  CHECK(std::equal(read->data, read->data + 8, latent->data));
  ups_latent_free(read);
  ups_latent wrong = *latent;
  wrong.channels = 0;
  CHECK(ups_vae_decode(vae.handle, &wrong, &out, nullptr) == UPS_ERROR_USAGE);
  wrong = *latent, wrong.channels = 1;
  CHECK(ups_vae_decode(vae.handle, &wrong, &out, nullptr) == UPS_ERROR_USAGE);
  wrong = *latent, wrong.width = INT_MAX;
  CHECK(ups_vae_decoded_size(vae.handle, &wrong, &w, &h) == UPS_ERROR_USAGE);
  out.width = 63;
  CHECK(ups_vae_decode(vae.handle, latent, &out, nullptr) == UPS_ERROR_USAGE);
  ups_latent_free(latent);
  ups_latent_free(nullptr);
  ups_vae_close(nullptr);
}

TEST_CASE("options of an autoencoder out of their documented range are refused", "[arch][api][autoencoder]") {
  const std::vector<std::pair<std::string, std::function<void(ups_vae_options&)>>> wrong = {
      {"ups_vae_options", [](auto& o) { o.size = 4; }},
      {"max_memory_bytes", [](auto& o) { o.max_memory_bytes = -1; }},
      {"scale", [](auto& o) { o.scale = -1; }},
      {"scale", [](auto& o) { o.scale = NAN; }},
      {"steps", [](auto& o) { o.steps = -1; }},
      {"step_mode", [](auto& o) { o.step_mode = UPS_STEPS_LOOPBACK; }},
      {"filter", [](auto& o) { o.filter = ups_filter(9); }},
      {"refiner", [](auto& o) { o.refiner = ups_refiner(3); }},
      {"denoise", [](auto& o) { o.denoise = 1.5; }},
      {"denoise", [](auto& o) { o.denoise_end = -0.5; }},
      {"anchor", [](auto& o) { o.anchor = NAN; }},
  };
  Vae vae;
  for (size_t i = 0; i < wrong.size(); i++) {
    const ups_vae_options before = vae.o;
    wrong[i].second(vae.o);
    INFO("case " << i << ", " << wrong[i].first << ": " << ups_last_error());
    CHECK(vae.upscaled() == UPS_ERROR_USAGE);
    CHECK(said(wrong[i].first));
    vae.o = before;
  }
  ups_vae* none = vae.handle;
  vae.o.precision = ups_precision(5);
  CHECK(ups_vae_open(vae.path.c_str(), &vae.o, &none) == UPS_ERROR_USAGE);
  CHECK(none == nullptr);
  CHECK(ups_vae_open("no-such-file.pth", nullptr, &none) == UPS_ERROR_IO);
}

TEST_CASE("a tile larger than any picture is the whole picture", "[arch][api][autoencoder]") {
  Vae vae;
  ups_latent* exact = vae.encoded();
  vae.o.tiling = UPS_VAE_MEAN_OF_THREE, vae.o.tile_px = INT_MAX;
  ups_latent* tiled = vae.encoded();
  for (int i = 0; i < exact->channels * exact->height * exact->width; i++)
    REQUIRE(tiled->data[i] == Approx(exact->data[i]).margin(1e-5));
  ups_latent_free(exact), ups_latent_free(tiled);
}

TEST_CASE("every filter resamples between decoding and encoding", "[arch][api][autoencoder]") {
  Vae vae("taesd");
  vae.o.steps = 1, vae.o.scale = 1.5;
  for (int filter = 0; filter <= UPS_FILTER_CUBIC; filter++) {
    vae.o.filter = ups_filter(filter);
    INFO(filter << ": " << ups_last_error());
    CHECK(vae.upscaled() == UPS_OK);
  }
}

TEST_CASE("the progress of tiles rises evenly, whatever their shapes", "[arch][api][autoencoder]") {
  for (ups_vae_tiling tiling : {UPS_VAE_EXACT, UPS_VAE_FEATHER, UPS_VAE_MEAN_OF_THREE}) {
    Vae vae;
    std::vector<double> seen;
    vae.o.tiling = tiling, vae.o.tile_px = 32, vae.o.overlap_px = 8;
    vae.o.user = &seen;
    vae.o.progress = [](void* user, double done) {
      static_cast<std::vector<double>*>(user)->push_back(done);
      return 0;
    };
    const auto rises = [&] {
      CHECK(std::is_sorted(seen.begin(), seen.end()));
      CHECK(std::count_if(seen.begin(), seen.end(), [](double d) { return d > 0.1 && d < 0.9; }) > 3);
      CHECK((seen.back() > 0.99 && seen.back() <= 1));
    };
    ups_latent* latent = vae.encoded();
    INFO(tiling);
    rises();
    seen.clear();
    ups_image out{vae.in.data(), 64, 40, 3, UPS_F32, 64 * 12};
    CHECK(ups_vae_decode(vae.handle, latent, &out, &vae.o) == UPS_OK);
    rises();
    ups_latent_free(latent);
  }
}

TEST_CASE("a file that changes between opening and use is refused", "[arch][api][autoencoder]") {
  Vae vae("taesd");
  vae.write("taesd", 1);  // the decoder alone
  ups_latent* latent = nullptr;
  CHECK(ups_vae_encode(vae.handle, &vae.picture, &vae.o, &latent) == UPS_ERROR_MODEL);
  CHECK(said("changed"));
  vae.write("kl4", -1);
  CHECK(ups_vae_encode(vae.handle, &vae.picture, &vae.o, &latent) == UPS_ERROR_MODEL);
  CHECK(latent == nullptr);
}

TEST_CASE("a run without room for its temporary file fails, and fails again", "[arch][api][autoencoder]") {
  Vae vae("taesd");
  std::vector<float> pixels(size_t(328) * 280 * 3, 0.5f);
  vae.picture = {pixels.data(), 280, 328, 3, UPS_F32, 280 * 12};
  ups_latent_free(vae.encoded());
  vae.o.max_memory_bytes = int64_t(vae.info()["working_bytes"]) - (int64_t(4) << 20);
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before ? before : "";
  setenv("TMPDIR", "/proc", 1);
  ups_latent* latent = nullptr;
  for (int i = 0; i < 2; i++) {
    CHECK(ups_vae_encode(vae.handle, &vae.picture, &vae.o, &latent) == UPS_ERROR_IO);
    CHECK(said("temporary file"));
  }
  before ? setenv("TMPDIR", kept.c_str(), 1) : unsetenv("TMPDIR");
  CHECK(ups_vae_encode(vae.handle, &vae.picture, &vae.o, &latent) == UPS_OK);
  CHECK(vae.info()["spilled"] == true);
  ups_latent_free(latent);
}
