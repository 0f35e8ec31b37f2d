// What whole networks must do on a GPU: the same bits each time, half precision close to fp32 on released
// weights, and a sentence when memory runs out.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "runtime/backend_cuda.h"
#include "tests/arch/golden_net.h"
#include "tests/device/picture.h"
#include "tests/device/twin.h"
#include "upscale.h"

using namespace ups;
using namespace ups::testing;

namespace {

struct Picture {
  std::string name;
  int w = 0, h = 0;
  std::vector<unsigned char> rgb;
};

// A synthetic picture, and the binary PPM files of UPS_TEST_PICTURES (a folder).
std::vector<Picture> pictures() {
  std::vector<Picture> all{{"synthetic", 200, 144, synthetic_picture(200, 144)}};
  const char* folder = std::getenv("UPS_TEST_PICTURES");
  if (!folder) return all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".ppm") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    Picture p{entry.path().filename().string(), 0, 0, {}};
    std::string magic;
    int max = 0;
    file >> magic >> p.w >> p.h >> max;
    file.get();
    if (magic != "P6" || max != 255 || p.w < 1 || p.h < 1 || p.w > 4096 || p.h > 4096) continue;
    p.rgb.resize(size_t(p.w) * size_t(p.h) * 3);
    if (file.read(reinterpret_cast<char*>(p.rgb.data()), std::streamsize(p.rgb.size())))
      all.push_back(std::move(p));
  }
  return all;
}

struct Opened {
  Opened(const std::string& path, ups_precision precision) {
    ups_options o{};
    const std::string index = std::to_string(test_device().index);
    o.size = sizeof o, o.device = index.c_str(), o.precision = precision;
    INFO(path);
    const ups_status status = ups_model_open(path.c_str(), &o, &model);
    if (status != UPS_OK) FAIL(ups_last_error());
    scale = nlohmann::json::parse(ups_model_info(model))["scale"];
  }
  ~Opened() { ups_model_close(model); }
  ups_model* model = nullptr;
  int scale = 0;

  // f32 RGB.
  std::vector<float> run(const Picture& p, ups_status* status = nullptr) {
    std::vector<float> hr(p.rgb.size() * size_t(scale * scale));
    const ups_image in{const_cast<unsigned char*>(p.rgb.data()), p.w, p.h, 3, UPS_U8, p.w * 3};
    ups_image out{hr.data(), p.w * scale, p.h * scale, 3, UPS_F32, p.w * scale * 12};
    ups_options o{};
    o.size = sizeof o, o.tile_px = -1;
    const ups_status got = ups_upscale(model, &in, &out, &o);
    if (status)
      *status = got;
    else if (got != UPS_OK)
      FAIL(ups_last_error());
    return hr;
  }
};

}  // namespace

TEST_CASE("repeated runs of a network give the same bits, whatever ran between", "[gpu][backend]") {
  UPS_RANDOM(random);
  for (const GoldenNet& net : golden_nets())
    for (const Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
      DYNAMIC_SECTION(net.name << " precision " << int(precision)) {
        const auto io = open_weights(net.io);
        Session session(open_network(open_weights(net.weights)), make_cuda_backend(test_device(), precision));
        const Planes lr = planes(*io, "input");
        const Planes before = run_network(session, lr);
        for (int i = 0; i < 3; i++) CHECK(run_network(session, lr).v == before.v);
        Planes other{lr.c, lr.h + 37, lr.w + 21, {}};
        other.v = random.normals(size_t(other.c) * size_t(other.h) * size_t(other.w));
        run_network(session, other);
        CHECK(run_network(session, lr).v == before.v);
        Session again(open_network(open_weights(net.weights)), make_cuda_backend(test_device(), precision));
        CHECK(run_network(again, lr).v == before.v);
      }
    }
}

TEST_CASE("released networks in fp16 are at least 50 dB and at most 4 of 255 from fp32", "[gpu][real]") {
  const char* store = std::getenv("UPSCALE_MODELS");
  if (!store) {
    WARN("skipped: UPSCALE_MODELS is not set");
    return;
  }
  for (const char* name : {"x4", "anime", "video", "general"}) {
    std::string path = std::string(store) + "/" + name + ".safetensors";
    if (!std::filesystem::exists(path)) path = std::string(store) + "/" + name + ".pth";
    if (!std::filesystem::exists(path)) continue;
    Opened exact(path, UPS_PRECISION_FP32), half(path, UPS_PRECISION_FP16);
    for (const Picture& p : pictures()) {
      const std::vector<float> a = exact.run(p), b = half.run(p);
      CHECK(half.run(p) == b);
      double sum = 0, worst = 0;
      for (size_t i = 0; i < a.size(); i++) {
        REQUIRE(std::isfinite(b[i]));
        const double d =
            std::abs(double(std::clamp(a[i], 0.0f, 1.0f)) - double(std::clamp(b[i], 0.0f, 1.0f)));
        sum += d * d, worst = std::max(worst, d);
      }
      const double db = -10 * std::log10(std::max(sum / double(a.size()), 1e-20));
      std::cout << name << " on " << p.name << ": fp16 is " << db << " dB from fp32, worst " << 255 * worst
                << "/255" << std::endl;
      CHECK(db >= 50);
      CHECK(255 * worst <= 4);
      CHECK(db < 150);  // not the same path twice
    }
  }
}

TEST_CASE("running out of device memory is a sentence, and the next run works", "[gpu][errors]") {
  cuda::Stream stream(test_device());
  try {
    cuda::DeviceMemory impossible(stream, size_t(1) << 50);
    FAIL("a petabyte was granted");
  } catch (const Error& e) {
    CHECK(e.code == Code::memory);
    CHECK_THAT(e.what(), Catch::Contains("memory"));
  }
  CHECK_THROWS_AS(cuda::PinnedMemory(size_t(1) << 50), Error);
  cuda::DeviceMemory works(stream, 1 << 20);
  stream.fill(works.data(), 0, works.bytes());
  stream.synchronize();
}

TEST_CASE("a picture that does not fit beside other programs is tiled or refused, never wrong",
          "[gpu][errors]") {
  const std::string path = golden_folder() + "/nets/srvgg_x2.pth";
  Opened net(path, UPS_PRECISION_FP16), crowded(path, UPS_PRECISION_FP16);
  const Picture p{"large", 1600, 1200, synthetic_picture(1600, 1200)};
  const std::vector<float> expected = net.run(p);
  cuda::Stream stream(test_device());
  std::vector<cuda::DeviceMemory> hogs;  // takes all but less than 32 MiB
  for (size_t bytes = size_t(32) << 30; bytes >= size_t(32) << 20;) try {
      hogs.emplace_back(stream, bytes);
      stream.synchronize();
    } catch (const Error&) {
      bytes /= 2;
    }
  REQUIRE(!hogs.empty());
  ups_status status = UPS_OK;
  const std::vector<float> got = crowded.run(p, &status);
  if (status == UPS_OK) {
    double worst = 0;
    for (size_t i = 0; i < got.size(); i++) worst = std::max(worst, std::abs(double(got[i]) - expected[i]));
    CHECK(worst < 0.02);
  } else {
    CHECK(status == UPS_ERROR_MEMORY);
    CHECK_THAT(ups_last_error(), Catch::Contains("memory"));
  }
  hogs.clear();
  CHECK(net.run(p) == expected);
}
