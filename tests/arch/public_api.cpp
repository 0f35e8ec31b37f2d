// The golden nets through the public C API: padding, tiles and channels must not change the picture.
#include <memory>

#include "tests/arch/golden_net.h"
#include "upscale.h"

using namespace ups;
using namespace ups::testing;

namespace {

struct Model {
  ups_model* handle = nullptr;
  explicit Model(const std::string& path) {
    ups_options options{};
    options.size = sizeof options;
    options.threads = 2;
    INFO(path << ": " << ups_last_error());
    REQUIRE(ups_model_open(path.c_str(), &options, &handle) == UPS_OK);
  }
  ~Model() { ups_model_close(handle); }
};

ups_image view(std::vector<float>& pixels, int h, int w, int c) {
  return {pixels.data(), w, h, c, UPS_F32, ptrdiff_t(sizeof(float)) * w * c};
}

// Interleaves, runs, and returns planes again.
Planes upscale(const Model& model, const Planes& lr, int scale, int tile_px, int overlap_px) {
  std::vector<float> in(lr.v.size()), out(lr.v.size() * scale * scale);
  for (int k = 0; k < lr.c; k++)
    for (int i = 0; i < lr.h * lr.w; i++) in[size_t(i) * lr.c + k] = lr.v[size_t(k) * lr.h * lr.w + i];
  const ups_image small = view(in, lr.h, lr.w, lr.c);
  ups_image large = view(out, lr.h * scale, lr.w * scale, lr.c);
  ups_options options{};
  options.size = sizeof options;
  options.scale = scale;
  options.tile_px = tile_px, options.overlap_px = overlap_px;
  const ups_status status = ups_upscale(model.handle, &small, &large, &options);
  INFO(ups_last_error());
  REQUIRE(status == UPS_OK);
  Planes hr{lr.c, lr.h * scale, lr.w * scale, std::vector<float>(out.size())};
  for (int k = 0; k < hr.c; k++)
    for (int i = 0; i < hr.h * hr.w; i++) hr.v[size_t(k) * hr.h * hr.w + i] = out[size_t(i) * hr.c + k];
  return hr;
}

double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); i++) worst = std::max(worst, std::fabs(double(a[i]) - b[i]));
  return worst;
}

double largest(const std::vector<float>& v) {
  double most = 1;
  for (float x : v) most = std::max(most, std::fabs(double(x)));
  return most;
}

}  // namespace

TEST_CASE("the public API gives the reference pictures of the golden nets", "[arch][api]") {
  for (const GoldenNet& net : golden_nets()) {
    const auto io = open_weights(net.io);
    const Planes lr = planes(*io, "input"), reference = planes(*io, "output");
    if (lr.c != reference.c) continue;  // a grey picture stays grey there
    DYNAMIC_SECTION(net.name) {
      const Planes hr = upscale(Model(net.weights), lr, reference.h / lr.h, -1, 0);
      CHECK(worst_difference(hr.v, reference.v) <= 1e-5 * largest(reference.v));
    }
  }
}

TEST_CASE("tiles with enough overlap give the picture of one piece", "[arch][api]") {
  UPS_RANDOM(random);
  for (const GoldenNet& net : golden_nets()) {
    const Network network = open_network(open_weights(net.weights));
    if (network.info.in_c != network.info.out_c || network.info.scale > 4) continue;
    DYNAMIC_SECTION(net.name) {
      Graph graph(network.weights);
      graph.output(network.build(graph, graph.input(network.info.in_c)));
      const int overlap = 2 * graph.context_px() + 2 * network.info.multiple_of;
      const int tile = overlap + random.integer(8, 30);
      Planes lr{network.info.in_c, tile + random.integer(1, 40), tile + random.integer(1, 40), {}};
      for (int i = 0; i < lr.c * lr.h * lr.w; i++) lr.v.push_back(random.uniform());
      INFO(lr.h << " x " << lr.w << " in tiles of " << tile << ", overlap " << overlap);
      const Model model(net.weights);
      const Planes whole = upscale(model, lr, network.info.scale, -1, 0);
      const Planes tiled = upscale(model, lr, network.info.scale, tile, overlap);
      CHECK(worst_difference(tiled.v, whole.v) <= 1e-5 * largest(whole.v));
    }
  }
}

TEST_CASE("a grey network upscales each colour of a picture on its own", "[arch][api]") {
  UPS_RANDOM(random);
  for (const GoldenNet& net : golden_nets()) {
    if (net.name != "rrdb_grey_x4" && net.name != "srvgg_grey_x2") continue;
    DYNAMIC_SECTION(net.name) {
      const Model model(net.weights);
      const int scale = net.name == "rrdb_grey_x4" ? 4 : 2;
      Planes colour{3, 37, 21, random.normals(3 * 37 * 21)};
      const Planes hr = upscale(model, colour, scale, -1, 0);
      for (int k = 0; k < 3; k++) {
        const auto plane = colour.v.begin() + k * 37 * 21;
        const Planes alone = upscale(model, {1, 37, 21, {plane, plane + 37 * 21}}, scale, -1, 0);
        const auto got = hr.v.begin() + k * alone.v.size();
        CHECK(worst_difference({got, got + alone.v.size()}, alone.v) <= 1e-5 * largest(alone.v));
      }
    }
  }
}
