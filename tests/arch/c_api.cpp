// The C API as a program meets it: what it refuses and by which name, when it stops, what it says of a model.
#include <climits>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/arch/golden_net.h"
#include "upscale.h"

using namespace ups::testing;
using nlohmann::json;

namespace {

const std::string kNet = golden_folder() + "/nets/srvgg_x2.pth";

ups_options options() {
  ups_options o{};
  o.size = sizeof o, o.threads = 1;
  return o;
}

struct Model {
  ups_model* handle = nullptr;
  explicit Model(const std::string& path = kNet, ups_options o = options()) {
    REQUIRE(ups_model_open(path.c_str(), &o, &handle) == UPS_OK);
  }
  ~Model() { ups_model_close(handle); }
  json info() const { return json::parse(ups_model_info(handle)); }
};

// A call of ups_upscale in the making: 4x3 RGB to 8x6.
struct Call {
  std::vector<uint8_t> in = std::vector<uint8_t>(4 * 3 * 4, 100), out = std::vector<uint8_t>(8 * 6 * 4, 7);
  ups_image lr{in.data(), 4, 3, 3, UPS_U8, 4 * 3}, hr{out.data(), 8, 6, 3, UPS_U8, 8 * 3};
  ups_options o = options();
  ups_status run(const Model& m) { return ups_upscale(m.handle, &lr, &hr, &o); }
  bool untouched() const { return out == std::vector<uint8_t>(out.size(), 7); }
};

bool said(const std::string& part) { return std::string(ups_last_error()).find(part) != std::string::npos; }

}  // namespace

TEST_CASE("arguments out of their documented range are refused by name", "[arch][api]") {
  const Model model;
  const std::vector<std::pair<std::string, std::function<void(Call&)>>> wrong = {
      {"steps", [](Call& c) { c.o.steps = -1; }},
      {"steps: got 3", [](Call& c) { c.o.steps = 3; }},  // the default mode has one
      {"steps: got 2", [](Call& c) { c.o.steps = 2, c.o.step_mode = UPS_STEPS_ONCE; }},
      {"step_mode", [](Call& c) { c.o.step_mode = ups_step_mode(5); }},
      {"filter", [](Call& c) { c.o.filter = ups_filter(9); }},
      {"kind", [](Call& c) { c.o.kind = ups_kind(4); }},
      {"alpha", [](Call& c) { c.o.alpha = ups_alpha(4); }},
      {"tile_blend", [](Call& c) { c.o.tile_blend = ups_tile_blend(3); }},
      {"wrap", [](Call& c) { c.o.wrap = 4; }},
      {"wrap", [](Call& c) { c.o.wrap = -1; }},
      {"3", [](Call& c) { c.o.tta = 3; }},
      {"blend", [](Call& c) { c.o.blend = 1.5; }},
      {"blend", [](Call& c) { c.o.blend = -0.5; }},
      {"size", [](Call& c) { c.o.width = 8; }},
      {"size", [](Call& c) { c.o.width = -8, c.o.height = -6; }},
      {"factor", [](Call& c) { c.o.scale = -2; }},
      {"normal map", [](Call& c) { c.o.kind = UPS_KIND_NORMAL, c.lr.channels = c.hr.channels = 2; }},
      {"ups_options", [](Call& c) { c.o.size = 4; }},
      {"max_memory_bytes", [](Call& c) { c.o.max_memory_bytes = -1; }},
      {"overlap", [](Call& c) { c.o.overlap_px = INT_MAX; }},
      {"overlap", [](Call& c) { c.o.overlap_px = INT_MAX, c.o.tile_px = 3; }},
      {"lr", [](Call& c) { c.lr.width = 0; }},
      {"lr: has 5 channels", [](Call& c) { c.lr.channels = 5, c.lr.stride_bytes = 20; }},
      {"lr", [](Call& c) { c.lr.channels = 0; }},
      {"lr: depth", [](Call& c) { c.lr.depth = ups_depth(3), c.lr.stride_bytes = 64; }},
      {"lr", [](Call& c) { c.lr.data = nullptr; }},
      {"lr", [](Call& c) { c.lr.stride_bytes = 11; }},
      {"hr", [](Call& c) { c.hr.data = nullptr; }},
      {"hr", [](Call& c) { c.hr.stride_bytes = 23; }},
      {"hr", [](Call& c) { c.hr.width = 7; }},
      {"hr", [](Call& c) { c.hr.height = 7; }},
      {"hr", [](Call& c) { c.hr.channels = 4, c.hr.stride_bytes = 32; }},
      {"hr", [](Call& c) { c.lr.channels = 4, c.lr.stride_bytes = 16, c.o.alpha = UPS_ALPHA_FILTER; }},
  };
  for (size_t i = 0; i < wrong.size(); i++) {
    Call call;
    wrong[i].second(call);
    const ups_status status = call.run(model);
    INFO("case " << i << ", " << wrong[i].first << ": " << ups_last_error());
    CHECK(status == UPS_ERROR_USAGE);
    CHECK(said(wrong[i].first));
    CHECK(call.untouched());
  }
  Call right;
  CHECK(right.run(model) == UPS_OK);
  CHECK(ups_upscale(model.handle, nullptr, &right.hr, nullptr) == UPS_ERROR_USAGE);
  CHECK(ups_upscale(nullptr, &right.lr, &right.hr, nullptr) == UPS_ERROR_USAGE);
}

TEST_CASE("the rules of a loop count, and are checked", "[arch][api]") {
  const Model model;
  ups_loop loop{};
  loop.size = sizeof loop, loop.brightness = -1;  // below 0 is 0
  Call call;
  call.o.loop = &loop;
  REQUIRE(call.run(model) == UPS_OK);
  CHECK(std::count(call.out.begin(), call.out.begin() + 8 * 6 * 3, 0) == 8 * 6 * 3);
  const std::vector<std::function<void(ups_loop&)>> wrong = {
      [](ups_loop& l) { l.ease = ups_ease(13); },
      [](ups_loop& l) { l.colour_fix = ups_colour_fix(4); },
      [](ups_loop& l) { l.detail = 101; },
      [](ups_loop& l) { l.filter_count = 1; },
      [](ups_loop& l) { l.denoise_change = 0.5; },  // of a model that has no twin
      [](ups_loop& l) { l.size = 1; },
  };
  for (size_t i = 0; i < wrong.size(); i++) {
    INFO("case " << i);
    Call refused;
    ups_loop bad{};
    bad.size = sizeof bad;
    wrong[i](bad);
    refused.o.loop = &bad;
    CHECK(refused.run(model) == UPS_ERROR_USAGE);
    CHECK(refused.untouched());
  }
  Call blended;
  loop = {}, loop.size = sizeof loop, loop.faithful = 1;
  blended.o.loop = &loop, blended.o.blend = 0.5;
  CHECK(blended.run(model) == UPS_ERROR_USAGE);
  CHECK(said("blend"));
}

TEST_CASE("a model that does not open is NULL", "[arch][api]") {
  int some;
  const auto status_of = [&](const char* path, ups_options o) {
    ups_model* model = reinterpret_cast<ups_model*>(&some);
    const ups_status status = ups_model_open(path, &o, &model);
    if (path) CHECK(model == nullptr);
    return status;
  };
  ups_options o = options();
  CHECK(status_of("no-such-file.pth", o) == UPS_ERROR_IO);
  CHECK(status_of((golden_folder() + "/nets").c_str(), o) != UPS_OK);
  CHECK(status_of(nullptr, o) == UPS_ERROR_USAGE);
  CHECK(ups_model_open(kNet.c_str(), &o, nullptr) == UPS_ERROR_USAGE);
  for (int threads : {-1, 4097}) {
    o.threads = threads;
    CHECK(status_of(kNet.c_str(), o) == UPS_ERROR_USAGE);
    CHECK(said("threads"));
  }
  o = options(), o.precision = ups_precision(6);
  CHECK(status_of(kNet.c_str(), o) == UPS_ERROR_USAGE);
  o = options(), o.mix_path = kNet.c_str(), o.mix = 1.5;
  CHECK(status_of(kNet.c_str(), o) == UPS_ERROR_USAGE);
  o.mix = 0.5;
  const std::string other = golden_folder() + "/nets/srvgg_x3.pth";
  CHECK(status_of(other.c_str(), o) == UPS_ERROR_MODEL);
}

TEST_CASE("fields that a caller's struct has not yet are zero", "[arch][api]") {
  const Model model;
  Call call;
  call.o.tta = 3;  // refused where it is read
  call.o.size = offsetof(ups_options, tta);
  CHECK(call.run(model) == UPS_OK);
}

TEST_CASE("rows arrive in order, and any callback stops the run", "[arch][api]") {
  const Model model;
  struct Seen {
    int next = 0, steps = 0, stop_at = -1;
    bool stop_progress = false, stop_step = false;
    double done = 0;
    std::vector<uint8_t> rows;
  } seen;
  Call call, whole;
  REQUIRE(whole.run(model) == UPS_OK);
  call.o.user = &seen;
  call.o.tile_px = 3;
  call.o.rows = [](void* user, int y, int n, const void* data) {
    Seen& s = *static_cast<Seen*>(user);
    CHECK(y == s.next);
    s.next += n;
    const auto* bytes = static_cast<const uint8_t*>(data);
    s.rows.insert(s.rows.end(), bytes, bytes + n * 8 * 3);
    return int(s.stop_at >= 0 && s.next > s.stop_at);
  };
  call.o.progress = [](void* user, double done) {
    Seen& s = *static_cast<Seen*>(user);
    s.done = done;
    return int(s.stop_progress);
  };
  call.o.step_done = [](void* user, int step, int steps, const ups_image* image) {
    Seen& s = *static_cast<Seen*>(user);
    CHECK((step == ++s.steps && steps == 2 && image->depth == UPS_F32 && image->channels == 3));
    return int(s.stop_step);
  };
  call.hr.data = nullptr;  // not needed
  CHECK(call.run(model) == UPS_OK);
  CHECK(seen.next == 6);
  CHECK(seen.done == 1);
  CHECK(seen.steps == 0);  // there is but one
  REQUIRE(seen.rows.size() == 8 * 6 * 3);

  const auto stopped = [&](auto&& how) {
    seen = {};
    how();
    CHECK(call.run(model) == UPS_ERROR_CANCELLED);
  };
  stopped([&] { seen.stop_at = 0; });
  stopped([&] { seen.stop_progress = true; });
  call.o.steps = 2, call.o.step_mode = UPS_STEPS_SIMPLE;
  stopped([&] { seen.stop_step = true; });
  CHECK(seen.steps == 1);
}

TEST_CASE("the picture between two steps is as the result will be", "[arch][api]") {
  const Model model;
  Call call;
  call.o.steps = 2, call.o.step_mode = UPS_STEPS_SIMPLE;
  std::vector<float> seen;
  call.o.user = &seen;
  call.o.step_done = [](void* user, int, int, const ups_image* image) {
    CHECK(image->channels == 3);
    const auto* rows = static_cast<const float*>(image->data);
    static_cast<std::vector<float>*>(user)->assign(
        rows, rows + size_t(image->width) * image->height * image->channels);
    return 0;
  };
  call.o.kind = UPS_KIND_NORMAL;
  REQUIRE(call.run(model) == UPS_OK);
  REQUIRE(seen.size() == 6 * 5 * 3);  // half way from 4x3 to 8x6: 4.5 is rounded up
  for (size_t i = 0; i < seen.size(); i += 3) {
    double length = 0;
    for (size_t k = 0; k < 3; k++) length += std::pow(2 * seen[i + k] - 1, 2);
    REQUIRE(length == Approx(1).epsilon(1e-5));
  }
  call.o.kind = UPS_KIND_COLOR, call.o.alpha = UPS_ALPHA_DROP;
  call.lr.channels = 4, call.lr.stride_bytes = 16;
  for (size_t i = 3; i < call.in.size(); i += 4) call.in[i] = uint8_t(20 * i);
  CHECK(call.run(model) == UPS_OK);
}

TEST_CASE("a network that colours gray pictures sees the luma", "[arch][api]") {
  const Model model(golden_folder() + "/nets/srvgg_grey_to_rgb_x2.safetensors");
  std::vector<float> results[2];
  for (int gray = 0; gray < 2; gray++) {
    std::vector<float> in, out(8 * 6 * 3);
    for (int i = 0; i < 4 * 3; i++) {
      const float r = i / 11.0f, luma = 0.299f * r;  // of red alone, BT.601
      in.insert(in.end(), {gray ? luma : r, gray ? luma : 0, gray ? luma : 0});
    }
    const ups_image lr{in.data(), 4, 3, 3, UPS_F32, 48};
    ups_image hr{out.data(), 8, 6, 3, UPS_F32, 96};
    REQUIRE(ups_upscale(model.handle, &lr, &hr, nullptr) == UPS_OK);
    results[gray] = out;
  }
  for (size_t i = 0; i < results[0].size(); i++) CHECK(results[0][i] == Approx(results[1][i]).margin(1e-5));
}

TEST_CASE("a model says what it is, and of what it was mixed", "[arch][api]") {
  const std::string keys =
      "architecture variant scale default_scale in_channels out_channels hyperparameters parameters "
      "flop_per_pixel bytes_per_pixel receptive_field_px whole_image_statistics multiple_of dtype name "
      "license "
      "origin source_sha256 device device_note";
  const TemporaryFolder folder;
  const std::string a = folder / "a.safetensors";
  const char* noted[] = {"name", "first", "license", "MIT", nullptr};
  REQUIRE(ups_convert(kNet.c_str(), a.c_str(), noted) == UPS_OK);
  char sha[65];
  REQUIRE(ups_sha256_file(kNet.c_str(), sha) == UPS_OK);
  const json info = Model(a).info();
  std::istringstream words(keys);
  for (std::string key; words >> key;) {
    INFO(key);
    CHECK(info.contains(key));
  }
  CHECK(info["name"] == "first");
  CHECK(info["license"] == "MIT");
  CHECK(info["source_sha256"] == sha);

  // Converted again it still names what its publisher released.
  const std::string b = folder / "b.safetensors";
  const char* renamed[] = {"name", "second", nullptr};
  REQUIRE(ups_convert(a.c_str(), b.c_str(), renamed) == UPS_OK);
  CHECK(Model(b).info()["source_sha256"] == sha);

  ups_options o = options();
  o.mix_path = b.c_str(), o.mix = 0.25;
  const json mixed = Model(a, o).info();
  CHECK(mixed["name"] == "0.75 first + 0.25 second");
  CHECK(mixed["source_sha256"] == "");  // neither file's

  const char* odd[] = {"name", nullptr};
  CHECK(ups_convert(kNet.c_str(), b.c_str(), odd) == UPS_ERROR_USAGE);
  const char* refuted[] = {"scale", "3", nullptr};
  CHECK(ups_convert(kNet.c_str(), b.c_str(), refuted) == UPS_ERROR_USAGE);
  const char* superfluous[] = {"act", "relu", nullptr};
  CHECK(ups_convert(kNet.c_str(), b.c_str(), superfluous) == UPS_ERROR_USAGE);
}

TEST_CASE("either half of an ncnn pair gives the hash of the half with the numbers", "[arch][api]") {
  const TemporaryFolder folder;
  const std::string pair = golden_folder() + "/weights/compact_prelu_x4", out = folder / "m.safetensors";
  char sha[65];
  REQUIRE(ups_sha256_file((pair + ".bin").c_str(), sha) == UPS_OK);
  for (const char* half : {".param", ".bin"}) {
    REQUIRE(ups_convert((pair + half).c_str(), out.c_str(), nullptr) == UPS_OK);
    CHECK(Model(out).info()["source_sha256"] == sha);
  }
}

TEST_CASE("a plan says what a run does, without pixels too", "[arch][api]") {
  const Model model;
  Call call;
  const char* text = nullptr;
  const auto plan = [&] {
    REQUIRE(ups_plan(model.handle, &call.lr, &call.o, &text) == UPS_OK);
    return json::parse(text);
  };
  call.lr.data = nullptr;
  json j = plan();
  CHECK(j["input"] == json({4, 3}));
  CHECK(j["output"] == json({8, 6}));
  CHECK(j["steps"][0]["passes"].size() == 1);
  CHECK(j["flop"] > 0);
  CHECK(j["peak_bytes"] > 0);
  int w = 0, h = 0;
  call.o.scale = 2.6;
  REQUIRE(ups_output_size(model.handle, 4, 3, &call.o, &w, &h) == UPS_OK);
  CHECK(plan()["output"] == json({w, h}));
  CHECK(ups_output_size(model.handle, 0, 3, nullptr, &w, &h) == UPS_ERROR_USAGE);

  // Masks of several channels and of three values are repeated, and no network runs.
  call.o = options(), call.o.kind = UPS_KIND_MASK;
  CHECK(plan()["flop"] == 0);
  call.in = {0, 100, 200, 0, 0, 100, 200, 0, 0, 100, 200, 0};
  call.lr = {call.in.data(), 4, 3, 1, UPS_U8, 4};
  call.o = options(), call.o.kind = UPS_KIND_MASK;
  j = plan();
  CHECK(j["flop"] == 0);
  CHECK(j["steps"].size() == 1);
  CHECK(j["steps"][0]["passes"].empty());
  CHECK(j["peak_bytes"] >= 4 * int64_t(model.info()["parameters"]));  // the weights are there all the same
}

TEST_CASE("a file's name need not be UTF-8", "[arch][api]") {
  const TemporaryFolder folder;
  const std::string path = folder / "mod\xe8le.pth";
  std::filesystem::copy_file(kNet, path);
  CHECK(Model(path).info()["name"] == "mod\uFFFDle");
}

TEST_CASE("of the picture to finish only size and channels count", "[arch][api]") {
  ups_image in{nullptr, 4, 3, 3, ups_depth(77), -5}, out{};
  ups_finish finish{};
  finish.size = sizeof finish;
  ups_finisher* finisher = nullptr;
  const auto rows = [](void*, int, int, const void*) { return 0; };
  REQUIRE(ups_finisher_open(nullptr, &in, &finish, &out, rows, nullptr, &finisher) == UPS_OK);
  CHECK((out.width == 4 && out.height == 3 && out.channels == 3));
  const std::vector<float> pixels(4 * 4 * 3);
  CHECK(ups_finisher_push(finisher, -1, pixels.data()) == UPS_ERROR_USAGE);
  CHECK(ups_finisher_push(finisher, 4, pixels.data()) == UPS_ERROR_USAGE);
  CHECK(ups_finisher_push(finisher, 3, pixels.data()) == UPS_OK);
  CHECK(ups_finisher_push(finisher, 1, pixels.data()) == UPS_ERROR_USAGE);
  ups_finisher_close(finisher);
  ups_finisher_close(nullptr);
  CHECK(ups_finisher_open(nullptr, nullptr, &finish, &out, rows, nullptr, &finisher) == UPS_ERROR_USAGE);
  CHECK(finisher == nullptr);
}
