// What only the emulator can show of passes on the device: streams that do nothing before they must, memory
// that runs out, the kernels of one device.
#include "kernels/error.h"
#include "runtime/device.h"
#include "tests/simt/runtime/pass_case.h"

using namespace ups;
using namespace ups::testing;

namespace {
struct LateStreams {
  LateStreams() { simt::set_late_streams(true); }
  ~LateStreams() { simt::set_late_streams(false); }
};
struct MemoryLimit {
  explicit MemoryLimit(size_t bytes) { simt::set_memory_limit(bytes); }
  ~MemoryLimit() { simt::set_memory_limit(0); }
};
}  // namespace

TEST_CASE("every stream waits for the work of the other that it needs", "[simt][pass]") {
  UPS_RANDOM(random);
  const Network net = nearest(3, 2);
  for (int tile : {-1, 9, 7})
    for (double scale : {2.0, 3.3}) {
      LoopOptions o;
      o.tiles.tile_px = tile, o.tiles.overlap_px = tile == 9 ? 4 : -1;
      o.scale = scale, o.steps = scale > 3 ? 2 : 1, o.mode = StepMode::geometric;
      const Pixels lr = random_pixels(random, {21, 26}, 3, Depth::u8);
      Session host = host_session(net, Precision::fp32);
      const LoopResult expected = run_the_loop(host, lr.image, Depth::u16, o);
      const LateStreams late;
      Session device = device_session(net, Precision::fp32);
      for (int again = 0; again < 2; again++) {
        const LoopResult got = run_the_loop(device, lr.image, Depth::u16, o);
        double worst = 0;
        for (size_t i = 0; i < got.hr.samples(); i++)
          worst = std::max(worst, std::abs(double(got.hr.value(i)) - expected.hr.value(i)));
        INFO("tile " << tile << ", scale " << scale);
        CHECK(worst <= (scale == 2 ? 0 : 1e-5 + 1.001 / 65535));
      }
    }
}

TEST_CASE("rows wait for tiles that are computed again", "[simt][pass]") {
  UPS_RANDOM(random);
  const Network net = nearest(3, 2);
  Pixels lr = random_pixels(random, {20, 31}, 3, Depth::f32);
  float* v = reinterpret_cast<float*>(lr.bytes.data());
  for (size_t i = 0; i < lr.samples(); i++) v[i] = float(random.integer(0, 255)) / 256;
  v[(4 * 31 + 25) * 3] = 0x1p20f;  // beyond f16
  v[(19 * 31 + 3) * 3] = 0x1p20f;
  for (int tile : {-1, 9}) {
    LoopOptions o;
    o.tiles.tile_px = tile, o.tiles.overlap_px = -1;
    const LateStreams late;
    Session device = device_session(net, Precision::fp16);
    const LoopResult hr = run_the_loop(device, lr.image, Depth::f32, o);
    bool same = true;
    for (int y = 0; y < 40; y++)
      for (int x = 0; x < 62 * 3; x++)
        same = same && hr.hr.value(size_t(y * 186 + x)) == v[y / 2 * 93 + x / 6 * 3 + x % 3];
    INFO("tile " << tile);
    CHECK(same);
  }
}

TEST_CASE("tf32 and sums in f16 run on their own kernels, and nothing else does", "[simt][backend]") {
  UPS_RANDOM(random);
  const Network net = tiny_rrdb(random, 16, 8, 1);
  for (const auto& [precision, name] : {std::pair{Precision::tf32, "tf32"},
                                        {Precision::fp32, "fp32"},
                                        {Precision::fp16_sums, "fp16-sums"},
                                        {Precision::fp16, "fp16"}}) {
    Session session = device_session(net, precision);
    const std::string kernels = session.backend().explain(session.plan({16, 16}));
    INFO(kernels);
    CHECK(session.backend().describe() == test_device().name + ", " + name);
    CHECK((kernels.find(" tf32 ") != kernels.npos) == (precision == Precision::tf32));
    CHECK((kernels.find(" mma_f16_sums ") != kernels.npos) == (precision == Precision::fp16_sums));
  }
}

TEST_CASE("tiles shrink until they fit the device's memory", "[simt][pass]") {
  UPS_RANDOM(random);
  const Network net = tiny_rrdb(random, 8, 8, 1);
  const Pixels lr = random_pixels(random, {130, 128}, 3, Depth::u8);
  LoopOptions o;
  o.tiles.overlap_px = 24;
  std::vector<uint8_t> whole, tiled;
  size_t peak = 0;
  {
    const MemoryLimit none(0);
    Session device = device_session(net, Precision::fp16);
    REQUIRE(plan_loop(device, lr.image, o).steps[0].passes[0].grid.count() == 1);
    whole = run_the_loop(device, lr.image, Depth::u8, o).hr.bytes;
    peak = simt::peak_memory();
  }
  {
    const MemoryLimit limit(peak - 1);
    Session device = device_session(net, Precision::fp16);
    tiled = run_the_loop(device, lr.image, Depth::u8, o).hr.bytes;
    CHECK(simt::peak_memory() < peak);
  }
  int worst = 0;
  for (size_t i = 0; i < whole.size(); i++) worst = std::max(worst, std::abs(int(whole[i]) - int(tiled[i])));
  CHECK(worst <= 1);  // tiles with enough context: the same picture

  const MemoryLimit nothing(100000);
  Session none = device_session(net, Precision::fp16);
  try {
    run_the_loop(none, lr.image, Depth::u8, o);
    FAIL("expected an error");
  } catch (const Error& e) {
    CHECK(e.code == Code::memory);
  }
}

TEST_CASE("weights are packed before the device is asked for anything", "[simt][backend]") {
  UPS_RANDOM(random);
  Network net = one_conv(random, 3, 3, 1);
  const int before = simt::streams();
  auto backend = make_cuda_backend(test_device(), Precision::fp16);
  CHECK(simt::streams() == before);
  Session fits(net, std::move(backend));
  CHECK(simt::streams() == before + 1);
  REQUIRE(fits.device_pass());
  CHECK(simt::streams() == before + 2);
  auto large = std::make_shared<StateDict>();  // beyond fp16, which shows while they are packed
  for (const auto& [key, entry] : net.weights->entries())
    large->add_owned(key, entry.shape, std::vector<float>(net.weights->floats(key).size(), 1e6f));
  net.weights = large;
  // A backend that had asked for a stream would hold it until after the throw.
  struct Watched final : WrappedBackend {
    using WrappedBackend::WrappedBackend;
    void load(const Graph& graph) override {
      const int streams = simt::streams();
      CHECK_THROWS_AS(WrappedBackend::load(graph), Error);
      CHECK(simt::streams() == streams);
    }
  };
  Session too_large(net, std::make_unique<Watched>(make_cuda_backend(test_device(), Precision::fp16)));
}

TEST_CASE("a device is chosen and described by what -g says", "[simt][backend]") {
  Pool pool(1);
  const auto list = list_devices(pool);
  if (list.size() < 2) return;  // built without nvcc: no way to the emulated device
  CHECK(list[0].id == "0");
  CHECK(list[0].name == "host emulator, sm_80, 1 GB");
  for (const char* name : {"auto", "", "0", "Emulator"}) {
    std::string note;
    CHECK(make_backend(name, Precision::bf16, pool, &note)->describe() == "host emulator, bf16");
    CHECK(note.empty());
  }
  CHECK(make_backend("cpu", Precision::bf16, pool, nullptr)->describe() == list.back().name);
}
