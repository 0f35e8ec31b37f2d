// The layouts of published checkpoints (tests/golden/make_layouts.py): the same tensors, network and picture
// as those of the golden net inside, read directly and by way of `ups_convert`.
#include "tests/arch/golden_check.h"
#include "upscale.h"

using namespace ups;
using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

struct Layout {
  std::string file, net;  // paths: the .pth and the golden net's .safetensors
};

std::vector<Layout> layouts() {
  std::vector<Layout> found;
  for (const auto& file : fs::directory_iterator(golden_folder() + "/layouts")) {
    const std::string leaf = file.path().filename().string(), net = leaf.substr(0, leaf.find('.'));
    for (const char* area : {"transformers", "dat", "convnets"}) {
      const std::string path = golden_folder() + "/" + area + "/" + net + ".safetensors";
      if (fs::exists(path)) found.push_back({file.path().string(), path});
    }
  }
  return found;
}

void check_same(const StateDict& got, const StateDict& expected) {
  REQUIRE(got.entries().size() == expected.entries().size());
  for (const auto& [key, entry] : expected.entries()) {
    INFO(key);
    REQUIRE(got.has(key));
    const Entry& other = got.entries().at(key);
    CHECK(other.shape == entry.shape);
    CHECK(other.element == entry.element);
    CHECK(std::equal(other.bytes.begin(), other.bytes.end(), entry.bytes.begin(), entry.bytes.end()));
  }
}

}  // namespace

TEST_CASE("checkpoints in every published layout hold the tensors of the net", "[arch][layouts]") {
  REQUIRE(layouts().size() == 10);
  const std::string converted = (fs::temp_directory_path() / "ups_layout.safetensors").string();
  for (const Layout& l : layouts()) {
    INFO(l.file);
    const auto expected = open_weights(l.net), got = open_weights(l.file);
    check_same(*got, *expected);
    REQUIRE(ups_convert(l.file.c_str(), converted.c_str(), nullptr) == UPS_OK);
    check_same(*open_weights(converted), *expected);
    CHECK(open_network(open_weights(converted)).info.variant == open_network(expected).info.variant);
  }
  fs::remove(converted);
}

TEST_CASE("a checkpoint gives the picture of the reference", "[arch][layouts]") {
  std::vector<GoldenNet> nets;
  for (const Layout& l : layouts())
    nets.push_back({l.file, l.file, l.net.substr(0, l.net.rfind('.')) + ".io.safetensors"});
  Pool pool(1);
  for (const GoldenNet& net : nets) {
    INFO(net.name);
    const auto io = open_weights(net.io);
    Session session(open_network(open_weights(net.weights)), make_cpu_backend(pool));
    const Planes reference = planes(*io, "output0"), hr = run_network(session, planes(*io, "input0"));
    REQUIRE(hr.v.size() == reference.v.size());
    for (size_t i = 0; i < hr.v.size(); i++) REQUIRE(std::fabs(hr.v[i] - reference.v[i]) < 6e-5);
  }
}
