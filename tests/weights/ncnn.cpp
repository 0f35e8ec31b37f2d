// ncnn models that are refused: damaged text or weights, quantised, or not the network they resemble.
#include "weights/ncnn.h"

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "weights/ncnn_param.h"

using namespace ups;
using namespace ups::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

struct Pair {
  std::string param, bin;
  explicit Pair(const std::string& stem)
      : param(read_text(golden(stem + ".param"))), bin(read_text(golden(stem + ".bin"))) {}
  Pair& replace(const std::string& from, const std::string& to) {
    const size_t at = param.find(from);
    REQUIRE(at != param.npos);
    param.replace(at, from.size(), to);
    return *this;
  }
  std::string refusal() const {
    return sentence([&] { read_ncnn(param, bytes_of(bin), "f"); });
  }
};

std::string parse_refusal(const std::string& text) {
  return sentence([&] { ncnn::parse_param(text, "f"); });
}

}  // namespace

TEST_CASE("weights that are too few, too many or of another model are refused", "[weights][ncnn]") {
  Pair model("rrdb_x4_fp16");
  REQUIRE(model.refusal() == "");
  const std::string whole = model.bin;
  for (size_t n = 0; n < whole.size(); n += 7) {
    model.bin = whole.substr(0, n);
    INFO(n);
    REQUIRE(model.refusal() != "");
  }
  CHECK_THAT(model.refusal(), Contains("the .bin ends inside Convolution"));
  model.bin = whole + "abcd";
  CHECK_THAT(model.refusal(), Contains("4 bytes after the last weight"));
}

TEST_CASE("a truncated param file is refused", "[weights][ncnn]") {
  Pair model("compact_prelu_x4");
  const std::string whole = model.param;
  for (size_t n = 0; n <= whole.rfind(" output"); ++n) {  // the name of the last blob is free
    model.param = whole.substr(0, n);
    INFO(n);
    REQUIRE(model.refusal() != "");
  }
}

TEST_CASE("int8 and table-quantised weights are refused by name", "[weights][ncnn]") {
  Pair tagged("rrdb_x4_fp16");
  tagged.bin.replace(0, 4, std::string("\x38\x4b\x0d\x00", 4));
  CHECK_THAT(tagged.refusal(), Contains("int8 weights in Convolution"));
  tagged.bin.replace(0, 4, std::string("\x01\x00\x00\x00", 4));
  CHECK_THAT(tagged.refusal(), Contains("tag 1") && Contains("quantised"));
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("6=108", "6=108 8=2").refusal(), Contains("int8"));
}

TEST_CASE("a graph that differs from the network in one detail is refused", "[weights][ncnn]") {
  const std::string neither = "neither an RRDBNet nor a Compact";
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("-23310=1,2.000000e-01", "-23310=1,2.500000e-01").refusal(),
             Contains(neither));
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("-23301=2,2.000000e-01", "-23301=2,1.000000e-01").refusal(),
             Contains(neither));
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("Interp", "Crop").refusal(), Contains("layer Crop"));
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("0=1 1=2.000000e+00", "0=2 1=2.000000e+00").refusal(),
             Contains(neither));
  CHECK_THAT(Pair("rrdb_x2_fp32").replace("0=2 1=1 2=2.000000e-01", "0=0 1=1 2=2.000000e-01").refusal(),
             Contains(neither));
  CHECK_THAT(Pair("rrdb_x2_fp32").replace("0=2.000000e-01", "0=1.000000e-01").refusal(), Contains(neither));
  CHECK_THAT(Pair("rrdb_x2_fp32").replace("14=1", "14=0").refusal(), Contains("not 3x3 with padding 1"));
  CHECK_THAT(Pair("rrdb_unshuffle_x2").replace("b8 b17 b18", "b8 b17 b18 0=1").refusal(),
             Contains("unexpected Concat"));
  CHECK_THAT(Pair("compact_prelu_x4").replace(" 0=4\n", " 0=4 1=1\n").refusal(),
             Contains("unexpected PixelShuffle"));
  CHECK_THAT(Pair("compact_prelu_x4").replace(" 0=4\n", " 0=2\n").refusal(), !Contains("wrong code"));
  CHECK(Pair("compact_prelu_x4").replace(" 0=4\n", " 0=2\n").refusal() != "");
  CHECK_THAT(Pair("compact_prelu_x2of4").replace("5.000000e-01", "3.000000e-01").refusal(),
             Contains("unequal size"));
  CHECK_THAT(Pair("compact_prelu_x2of4")
                 .replace("1=5.000000e-01 2=5.000000e-01", "1=3.000000e-01 2=3.000000e-01")
                 .refusal(),
             Contains("no whole scale"));
}

TEST_CASE("a convolution of another geometry, or other channels than its neighbours', is refused",
          "[weights][ncnn]") {
  // kernel, dilation, stride and padding of either axis, the value padded with, run-time weights
  for (const char* detail : {"11=1", "2=2", "12=2", "3=2", "13=2", "14=0", "15=0", "16=0", "18=1", "19=1"}) {
    INFO(detail);
    CHECK_THAT(Pair("compact_prelu_x4").replace("6=225", "6=225 "s + detail).refusal(),
               Contains("not 3x3 with padding 1"));
  }
  CHECK_THAT(Pair("compact_prelu_x4").replace("6=225", "6=450").refusal(),
             Contains("for 10 channels, its input has 5"));
  CHECK_THAT(Pair("compact_prelu_x4").replace("b3 b4 0=5", "b3 b4 0=4").refusal(), Contains("4 slopes"));
  CHECK_THAT(
      Pair("compact_prelu_x4").replace("0=48 1=3 4=1 5=1 6=2160", "0=70000 1=3 4=1 5=1 6=3150000").refusal(),
      Contains("70000 outputs"));
  Pair wide("compact_prelu_x4");
  wide.replace("0=48 1=3 4=1 5=1 6=2160", "0=96 1=3 4=1 5=1 6=4320");
  wide.bin.append(2160 * 2 + 48 * 4, '\0');
  CHECK_THAT(wide.refusal(), Contains("has 96 channels before a pixel shuffle of 4"));
}

TEST_CASE("layers whose numbers or blobs do not fit are refused", "[weights][ncnn]") {
  const auto compact = [](const std::string& from, const std::string& to) {
    return Pair("compact_prelu_x4").replace(from, to).refusal();
  };
  CHECK_THAT(compact("6=225", "6=226"), Contains("226 weights"));
  CHECK_THAT(compact("0=5 1=3", "0=0 1=3"), Contains("0 outputs"));
  CHECK_THAT(compact("5=1", "5=0"), Contains("and bias"));
  CHECK_THAT(compact(" 0=4\n", " 0=17\n"), Contains("unexpected PixelShuffle"));
  CHECK_THAT(compact(" 0=4\n", " 0=5\n"), Contains("unexpected PixelShuffle"));
  // One layer more.
  const auto after = [](const std::string& line, const std::string& layer) {
    return Pair("compact_prelu_x4").replace("12 13", "13 13").replace(line, line + layer + "\n").refusal();
  };
  const std::string input = "Input Input_0 0 1 data\n", prelu = "PReLU PReLU_3 1 1 b3 b4 0=5\n";
  CHECK_THAT(after(input, "Input again 0 1 x"), Contains("more than one input"));
  CHECK_THAT(after(input, "Noop twice 1 2 data x x"), Contains("blob 'x' twice"));
  CHECK_THAT(after(input, "Noop none 0 1 x"), Contains("lacks input 0 of Noop"));
  CHECK_THAT(after(prelu, "PReLU p 1 1 b4 x 0=5"), Contains("follows no convolution"));
  for (const char* fixed :
       {"3=8", "4=8", "1=3.200000e+01 2=3.200000e+01", "1=-1.000000e+00 2=-1.000000e+00"}) {
    INFO(fixed);
    CHECK_THAT(after(input, "Interp i 1 1 data x 0=1 "s + fixed), Contains("unequal size"));
  }
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("-23310=1,2.000000e-01", "-23310=2,2.000000e-01,0").refusal(),
             Contains("activation other than"));
  CHECK_THAT(Pair("rrdb_x4_fp16").replace("-23301=2,2.000000e-01", "-23301=3,0,2.000000e-01").refusal(),
             Contains("unexpected Eltwise"));
}

TEST_CASE("errors in a param file name their line", "[weights][ncnn]") {
  CHECK_THAT(parse_refusal(""), Contains("not a complete"));
  CHECK_THAT(parse_refusal("7767518\n"), Contains("line 1") && Contains("magic"));
  CHECK_THAT(parse_refusal("7767517\nx 1\n"), Contains("line 2") && Contains("'x'"));
  CHECK_THAT(parse_refusal("7767517\n2 1\nInput data 0 1 data\n"),
             Contains("has 1 layers, its heading says 2"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 99999 data\n"),
             Contains("line 3") && Contains("99999"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data -1 1 data\n"), Contains("-1"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 2 data\n"), Contains("ends before its output blobs"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data zero\n"), Contains("expected id=value"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data 99=1\n"), Contains("parameter id 99"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data 0=nan\n"), Contains("expected a number"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data 0=1e999\n"), Contains("expected a number"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data 0=1x\n"), Contains("expected a number"));
  CHECK_THAT(parse_refusal("7767517\n0 0\n"), Contains("has 0 layers"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data -23300=3,1,2\n"),
             Contains("an array of 2 values that claims 3"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data 0=\"open\n"), Contains("closing quote"));
  CHECK_THAT(parse_refusal("7767517\n1 1\nInput data 0 1 data 0=\"\n"), Contains("closing quote"));
}

TEST_CASE("both notations of arrays, and strings, are read", "[weights][ncnn]") {
  const auto layers = ncnn::parse_param(
      "7767517\r\n1 1\r\nFoo f 0 1 b 0=3 -23301=2,0.5,1e0 2=7,8 3=\"a b\" 4=2.5 5=3e9\r\n\r\n", "f");
  REQUIRE(layers.size() == 1);
  const ncnn::Layer& layer = layers[0];
  CHECK(layer.integer(0, 0) == 3);
  CHECK(layer.arrays.at(1) == std::vector<double>{0.5, 1});
  CHECK(layer.arrays.at(2) == std::vector<double>{7, 8});
  CHECK(layer.strings.at(3) == "a b");
  CHECK(layer.real(4, 0) == 2.5);
  CHECK(layer.integer(9, -7) == -7);
  for (int id : {4, 5}) CHECK_THAT(sentence([&] { layer.integer(id, 0); }), Contains("expected an integer"));
}
