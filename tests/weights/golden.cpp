// Every golden file against what the writing program says it holds.
#include <algorithm>
#include <set>

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "weights/open.h"
#include "weights/safetensors.h"

using namespace ups;
using namespace ups::testing;

namespace {

bool same(const Entry& a, const Entry& b) {
  return a.element == b.element && a.shape == b.shape &&
         std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

}  // namespace

TEST_CASE("every golden file reads as the values its writer meant", "[weights][golden]") {
  const auto expected = open_weights(golden("expected.safetensors"));
  std::set<std::string> files;
  size_t compared = 0;
  for (const auto& [key, entry] : expected->entries()) files.insert(key.substr(0, key.find('|')));
  REQUIRE(files.size() >= 20);
  for (const std::string& file : files) {
    INFO(file);
    const auto weights = open_weights(golden(file));
    size_t here = 0;
    for (auto it = expected->entries().lower_bound(file + '|');
         it != expected->entries().end() && it->first.rfind(file + '|', 0) == 0; ++it, ++here) {
      const std::string key = it->first.substr(file.size() + 1);
      INFO(key);
      REQUIRE(weights->has(key));
      CHECK(same(weights->at(key), it->second));
    }
    CHECK(weights->entries().size() == here);
    CHECK(weights->source == golden(file));
    compared += here;
  }
  CHECK(compared == expected->entries().size());
}

TEST_CASE("a written safetensors file reads back as the same tensors and metadata",
          "[weights][safetensors]") {
  const TemporaryFolder folder;
  const std::string path = folder / "copy.safetensors";
  const auto source = open_weights(golden("expected.safetensors"));
  StateDict weights = *source;
  weights.metadata = {{"name", "quote \" and \xc3\xa9"}, {"empty", ""}};
  write_safetensors(path, weights);
  const auto copy = open_weights(path);
  REQUIRE(copy->entries().size() == weights.entries().size());
  for (const auto& [key, entry] : weights.entries()) {
    INFO(key);
    CHECK(same(entry, copy->at(key)));
  }
  CHECK(copy->metadata == weights.metadata);
}

TEST_CASE("the writer lays a file out byte for byte as the safetensors package does",
          "[weights][safetensors]") {
  const TemporaryFolder folder;
  const std::string path = folder / "copy.safetensors";
  const auto source = open_weights(golden("expected.safetensors"));  // has no metadata, whose order is free
  write_safetensors(path, *source);
  const bool identical = read_text(path) == read_text(golden("expected.safetensors"));
  CHECK(identical);
}

TEST_CASE("metadata written by the safetensors package is read", "[weights][safetensors]") {
  const auto weights = open_weights(golden("plain.safetensors"));
  CHECK(weights->metadata ==
        std::map<std::string, std::string>{{"source", "the safetensors package"}, {"empty", ""}});
}

TEST_CASE("what ncnn key names cannot carry is in the metadata", "[weights][ncnn]") {
  using Metadata = std::map<std::string, std::string>;
  CHECK(open_weights(golden("compact_prelu_x4.param"))->metadata == Metadata{{"act", "prelu"}});
  CHECK(open_weights(golden("compact_prelu_x2of4.param"))->metadata ==
        Metadata{{"act", "prelu"}, {"default_scale", "2"}});
  CHECK(open_weights(golden("compact_relu_x2.param"))->metadata == Metadata{{"act", "relu"}});
  CHECK(open_weights(golden("compact_leakyrelu_x1.param"))->metadata ==
        Metadata{{"act", "leakyrelu"}, {"act_slope", "0.1"}});
  CHECK(open_weights(golden("rrdb_x4_fp16.param"))->metadata.empty());
}

TEST_CASE("either half of an ncnn pair opens it", "[weights][ncnn]") {
  const auto a = open_weights(golden("rrdb_x4_fp16.param")), b = open_weights(golden("rrdb_x4_fp16.bin"));
  REQUIRE(a->entries().size() == b->entries().size());
  for (const auto& [key, entry] : a->entries()) CHECK(same(entry, b->at(key)));
}

TEST_CASE("the published Real-ESRGAN ncnn models open under their PyTorch names", "[weights][ncnn][real]") {
  const char* folder = std::getenv("UPS_REAL_WEIGHTS");
  if (!folder) return;  // not distributed with the sources
  const auto open = [&](const char* stem) {
    return open_weights(std::string(folder) + "/" + stem + ".param");
  };
  using Shape = std::vector<int64_t>;
  const auto x4plus = open("realesrgan-x4plus");
  CHECK(x4plus->entries().size() == 702);
  CHECK(x4plus->sequence_length("body") == 23);
  CHECK(x4plus->at("body.22.rdb3.conv5.weight").shape == Shape{64, 192, 3, 3});
  CHECK(x4plus->at("conv_last.weight").element == Element::f16);
  CHECK(open("realesrgan-x4plus-anime")->sequence_length("body") == 6);
  const auto video = open("realesr-animevideov3-x2");
  CHECK(video->at("body.34.weight").shape == Shape{48, 64, 3, 3});
  CHECK(video->metadata.at("default_scale") == "2");
  CHECK(open("realesr-animevideov3-x3")->metadata.at("default_scale") == "3");
  CHECK(open("realesr-animevideov3-x4")->metadata.count("default_scale") == 0);
}
