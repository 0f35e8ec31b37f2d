// open_weights on files that are not weights, and SHA-256.
#include "weights/open.h"

#include <filesystem>

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "weights/safetensors.h"

using namespace ups;
using namespace ups::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

std::string refusal_of(const std::string& bytes, const std::string& file = "x.pth", Code code = Code::model) {
  const TemporaryFolder folder;
  write_text(folder / file, bytes);
  return sentence([&] { open_weights(folder / file); }, code);
}

}  // namespace

TEST_CASE("files that are not weights are recognised for what they are", "[weights][open]") {
  CHECK_THAT(refusal_of(""), Contains("x.pth: is empty (0 bytes"));
  CHECK_THAT(refusal_of("", "x.safetensors"), Contains("is empty"));
  CHECK_THAT(refusal_of("<!DOCTYPE html><html>"), Contains("web page"));
  CHECK_THAT(refusal_of("\n\n  <html>"), Contains("web page"));
  CHECK_THAT(refusal_of("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
             Contains("Git LFS pointer"));
  CHECK_THAT(refusal_of("\x08\x08\x12\x07pytorch\x1a\x03"s), Contains("ONNX"));
  CHECK_THAT(refusal_of("ptrt\0\0\0\0engine"s), Contains("TensorRT engine"));
  CHECK_THAT(refusal_of("\x80\x02}q\0."s), Contains("bare Python pickle"));
  CHECK_THAT(refusal_of(std::string(257, 'a') + "ustar"), Contains("tar archive"));
  CHECK_THAT(refusal_of("\xdd\x85\x76\0\1\0\0\0"s, "x.param"), Contains("binary ncnn"));
  CHECK_THAT(refusal_of("{\"a\": 1}"), Contains("JSON"));
  CHECK_THAT(refusal_of("hello world"), Contains("not a weight file this library knows"));
  CHECK_THAT(refusal_of("\x1f\x8b\x08\0"s), Contains("gzip"));
}

TEST_CASE("a damaged safetensors file is explained by its own reader", "[weights][open]") {
  CHECK_THAT(refusal_of("\5\0\0"s, "x.safetensors"), Contains("has 3 bytes"));
}

TEST_CASE("a safetensors file of no tensors is refused", "[weights][open]") {
  CHECK_THAT(refusal_of("\2\0\0\0\0\0\0\0{}"s), Contains("holds no tensors"));
}

TEST_CASE("paths that cannot be read are input errors", "[weights][open]") {
  const TemporaryFolder folder;
  CHECK_THAT(sentence([&] { open_weights(folder / "none.pth"); }, Code::io),
             Contains("none.pth: cannot open"));
  CHECK_THAT(sentence([&] { open_weights(folder.path.string()); }, Code::io), Contains("is a folder"));
  CHECK_THAT(sentence([&] { open_weights("/dev/null"); }, Code::io), Contains("not a regular file"));
}

TEST_CASE("half an ncnn pair asks for the other half", "[weights][open]") {
  CHECK_THAT(refusal_of("7767517\n1 1\n", "x.param", Code::io), Contains("x.bin") && Contains("is missing"));
  CHECK_THAT(refusal_of("\x47\x6b\x30\x01"s, "x.bin"), Contains("needs its .param"));
}

TEST_CASE("a PyTorch checkpoint is one beside an ncnn .param, too", "[weights][open]") {
  const TemporaryFolder folder;
  std::filesystem::copy(golden("compact_prelu_x4.param"), folder.path / "m.param");
  for (const char* checkpoint : {"ordered.pth", "nested_legacy.pth"}) {
    const auto replaced = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(golden(checkpoint), folder.path / "m.bin", replaced);
    CHECK(open_weights(folder / "m.bin")->entries().size() ==
          open_weights(golden(checkpoint))->entries().size());
  }
}

TEST_CASE("weights in memory open like a file, without wrappers", "[weights][open]") {
  const TemporaryFolder folder;
  StateDict weights;
  weights.add_owned("params_ema.module.a", {2}, {1, 2});
  write_safetensors(folder / "w.safetensors", weights);
  const std::string bytes = read_text(folder / "w.safetensors");
  const auto opened = open_weights(bytes_of(bytes), "embedded");
  CHECK(opened->floats("a") == std::vector<float>{1, 2});
  CHECK(opened->source == "embedded");
  CHECK(open_weights(folder / "w.safetensors")->has("a"));
}

TEST_CASE("weights outlive the file on disk", "[weights][open]") {
  const TemporaryFolder folder;
  std::filesystem::copy(golden("plain.safetensors"), folder.path / "p.safetensors");
  const auto weights = open_weights(folder / "p.safetensors");
  std::filesystem::remove(folder.path / "p.safetensors");
  CHECK(weights->floats("scalar") == std::vector<float>{2.5f});
}

TEST_CASE("SHA-256 matches the vectors of FIPS 180-2", "[weights][sha256]") {
  CHECK(sha256_hex({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex(bytes_of("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const TemporaryFolder folder;
  write_text(folder / "abc", "abc");
  CHECK(sha256_file(folder / "abc") == sha256_hex(bytes_of("abc")));
  CHECK(sentence([&] { sha256_file(folder / "none"); }, Code::io) != "");
}
