// SPAN as an ncnn pair, written here from a golden net in the form exporters give it.
#include <cstring>
#include <fstream>

#include "kernels/error.h"
#include "tests/arch/golden_net.h"

using namespace ups;
using namespace ups::testing;
using Catch::Matchers::Contains;

namespace {

struct Pair {
  std::string param, bin;
  int layers = 0;
  void layer(const std::string& type, const std::vector<std::string>& in, const std::string& out,
             const std::string& settings) {
    param += type + " " + out + " " + std::to_string(in.size()) + " 1";
    for (const std::string& blob : in) param += " " + blob;
    param += " " + out + " " + settings + "\n";
    layers++;
  }
  void floats(const std::vector<float>& v) {
    bin.append(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float));
  }
  void convolution(const StateDict& w, const std::string& key, const std::string& in,
                   const std::string& out) {
    const Entry& e = w.at(key + ".weight");
    const int64_t k = e.shape[2];
    layer("Convolution", {in}, out,
          "0=" + std::to_string(e.shape[0]) + " 1=" + std::to_string(k) + " 4=" + std::to_string(k / 2) +
              " 5=1 6=" + std::to_string(e.count()));
    bin.append(4, '\0');  // fp32
    floats(w.floats(key + ".weight")), floats(w.floats(key + ".bias"));
  }
  // The path of the .param.
  std::string write(const TemporaryFolder& folder) const {
    std::ofstream(folder / "net.param") << "7767517\n" << layers << " " << layers << "\n" << param;
    std::ofstream(folder / "net.bin", std::ios::binary) << bin;
    return folder / "net.param";
  }
};

Pair span(const StateDict& w, std::vector<float> mean, const std::string& half = "5.000000e-01") {
  Pair p;
  p.param = "Input in 0 1 data\n", p.layers = 1;
  p.layer("MemoryData", {}, "mean", "0=1 1=1 2=3");
  p.floats(mean);
  p.layer("BinaryOp", {"data", "mean"}, "centred", "0=1");
  p.layer("BinaryOp", {"centred"}, "wide", "0=2 1=1 2=2.550000e+02");
  p.convolution(w, "conv_1.eval_conv", "wide", "f");
  std::string x = "f";
  for (int i = 1; i <= 6; i++) {
    const std::string b = "block_" + std::to_string(i), n = std::to_string(i);
    p.convolution(w, b + ".c1_r.eval_conv", x, "c1" + n);
    p.layer("Swish", {"c1" + n}, "a1" + n, "");
    p.convolution(w, b + ".c2_r.eval_conv", "a1" + n, "c2" + n);
    p.layer("Swish", {"c2" + n}, "a2" + n, "");
    p.convolution(w, b + ".c3_r.eval_conv", "a2" + n, "o3" + n);
    p.layer("Sigmoid", {"o3" + n}, "s" + n, "");
    p.layer("BinaryOp", {"s" + n}, "t" + n, "0=1 1=1 2=" + half);
    p.layer("BinaryOp", {"o3" + n, x}, "u" + n, "0=0");
    p.layer("BinaryOp", {"u" + n, "t" + n}, "b" + n, "0=2");
    x = "b" + n;
  }
  p.convolution(w, "conv_2.eval_conv", "b6", "last");
  p.layer("Concat", {"f", "last", "b1", "a16"}, "joined", "0=0");
  p.convolution(w, "conv_cat", "joined", "cat");
  p.convolution(w, "upsampler.0", "cat", "up");
  p.layer("PixelShuffle", {"up"}, "output", "0=3");
  return p;
}

std::string refusal(const Pair& pair) {
  TemporaryFolder folder;
  try {
    open_weights(pair.write(folder));
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

const std::vector<float> kMean = {0.4488f, 0.4371f, 0.4040f};

}  // namespace

TEST_CASE("SPAN as an ncnn pair is the network of its PyTorch file", "[arch][convnets][ncnn]") {
  const std::string golden = golden_folder() + "/convnets/span_x3_stripped";
  const auto file = open_weights(golden + ".safetensors"), io = open_weights(golden + ".io.safetensors");
  TemporaryFolder folder;
  Pool pool(1);
  Session expected(open_network(file), make_cpu_backend(pool));
  Session pair(open_network(open_weights(span(*file, kMean).write(folder))), make_cpu_backend(pool));
  CHECK(pair.info().scale == 3);
  CHECK_THAT(pair.info().variant, !Contains("no normalisation"));
  const Planes lr = planes(*io, "input0");
  CHECK(run_network(pair, lr).v == run_network(expected, lr).v);
}

TEST_CASE("an ncnn pair that differs from SPAN is refused", "[arch][convnets][ncnn]") {
  const auto file = open_weights(golden_folder() + "/convnets/span_x3_stripped.safetensors");
  CHECK_THAT(refusal(span(*file, {0.485f, 0.456f, 0.406f})), Contains("expected the mean"));
  CHECK_THAT(refusal(span(*file, kMean, "4.000000e-01")), Contains("nor SPAN"));
  Pair swapped = span(*file, kMean);
  swapped.param.replace(swapped.param.find("f last b1 a16"), 13, "f last a16 b1");
  CHECK_THAT(refusal(swapped), Contains("nor SPAN"));
  Pair cut = span(*file, kMean);
  cut.bin.resize(8);
  CHECK_THAT(refusal(cut), Contains("ends inside"));
}
