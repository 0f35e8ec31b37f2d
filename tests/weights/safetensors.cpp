// Malformed safetensors files: each is refused with a sentence that names what is wrong.
#include "weights/safetensors.h"

#include <filesystem>

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "weights/open.h"

using namespace ups;
using namespace ups::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

std::string file(const std::string& header, size_t buffer_bytes = 0) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += char(header.size() >> (8 * i) & 255);
  return text + header + std::string(buffer_bytes, '\0');
}

std::string refusal(const std::string& bytes) {
  return sentence([&] { read_safetensors(bytes_of(bytes), "f"); });
}

std::string tensor(const std::string& name, const std::string& shape, const std::string& offsets,
                   const std::string& dtype = "F32") {
  std::string text = "\"";
  text.append(name).append(R"(":{"dtype":")").append(dtype).append(R"(","shape":)").append(shape);
  return text.append(R"(,"data_offsets":)").append(offsets).append("}");
}

}  // namespace

TEST_CASE("a minimal header is accepted, with trailing blanks and in any member order",
          "[weights][safetensors]") {
  CHECK(refusal(file("{}")) == "");
  CHECK(refusal(file("{"s + tensor("a", "[2]", "[0,8]") + "}   ", 8)) == "");
  CHECK(refusal(file(R"({"a":{"data_offsets":[0,8],"shape":[2],"dtype":"F32"},"__metadata__":{"k":"v"}})",
                     8)) == "");
  CHECK(refusal(file("{"s + tensor("b", "[1]", "[8,12]") + ","s + tensor("a", "[2]", "[0,8]") + ","s +
                         tensor("z", "[0,3]", "[8,8]") + "}",
                     12)) == "");
}

TEST_CASE("a truncated safetensors file is refused at every length", "[weights][safetensors]") {
  const std::string whole = read_text(golden("plain.safetensors"));
  for (size_t n = 0; n < whole.size(); ++n) {
    INFO(n);
    REQUIRE(refusal(whole.substr(0, n)) != "");
  }
  CHECK(refusal(whole) == "");
  CHECK_THAT(refusal(whole + "x"), Contains("1 bytes after the last tensor belong to none"));
  CHECK_THAT(refusal(whole.substr(0, 5)), Contains("has 5 bytes"));
  CHECK_THAT(refusal(whole.substr(0, whole.size() - 1)),
             Contains("outside the buffer") && Contains("truncated"));
}

TEST_CASE("a header length beyond the file is refused without allocation", "[weights][safetensors]") {
  CHECK_THAT(refusal(std::string("\x40\0\0\0\0\0\0\0{}", 10)),
             Contains("header length 64 is beyond the end of the file"));
  CHECK_THAT(refusal(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)), Contains("beyond the limit"));
  CHECK_THAT(refusal(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)), Contains("beyond the limit"));  // of 1e8
  for (char more = 1; more <= 8; ++more) {  // one to eight bytes too long
    INFO(int(more));
    const std::string bytes = std::string(1, char(2 + more)).append(7, '\0').append("{}");
    CHECK_THAT(refusal(bytes), Contains("beyond the end of the file of 10 bytes"));
  }
  CHECK_THAT(refusal(std::string(8, '\0')), Contains("does not start with '{'"));
  CHECK_THAT(refusal(file(" {}")), Contains("does not start with '{'"));
}

TEST_CASE("tensors that overlap, leave holes or leave the buffer are refused", "[weights][safetensors]") {
  CHECK_THAT(
      refusal(file("{"s + tensor("a", "[2]", "[0,8]") + ","s + tensor("b", "[2]", "[4,12]") + "}", 12)),
      Contains("weight 'b' overlaps"));
  CHECK_THAT(
      refusal(file("{"s + tensor("a", "[1]", "[0,4]") + ","s + tensor("b", "[1]", "[8,12]") + "}", 12)),
      Contains("hole of 4 bytes before weight 'b'"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[1]", "[4,8]") + "}", 8)), Contains("hole of 4 bytes"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[2]", "[0,8]") + "}", 4)),
             Contains("data_offsets [0, 8] outside the buffer of 4 bytes"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[2]", "[8,0]") + "}", 8)), Contains("outside the buffer"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[3]", "[0,8]") + "}", 8)),
             Contains("spans 8 bytes") && Contains("takes 12"));
}

TEST_CASE("duplicate keys are refused at every level", "[weights][safetensors]") {
  const std::string a = tensor("a", "[1]", "[0,4]");
  CHECK_THAT(refusal(file("{"s + a + ","s + a + "}", 4)), Contains("key 'a' appears twice"));
  CHECK_THAT(refusal(file(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4)),
             Contains("the member 'dtype' twice"));
  CHECK_THAT(refusal(file(R"({"__metadata__":{"k":"v","k":"w"}})")), Contains("'k' appears twice"));
  CHECK_THAT(refusal(file(R"({"__metadata__":{},"__metadata__":{}})")), Contains("appears twice"));
}

TEST_CASE("unknown or unusable dtypes are refused by name", "[weights][safetensors]") {
  CHECK_THAT(refusal(file("{"s + tensor("a", "[1]", "[0,4]", "F31") + "}", 4)),
             Contains("unknown dtype 'F31'"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[1]", "[0,1]", "F8_E4M3") + "}", 1)),
             Contains("dtype F8_E4M3, expected F64, F32"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[1]", "[0,1]", "F4") + "}", 1)),
             Contains("not a whole number of bytes"));
}

TEST_CASE("shapes that overflow 64 bits are refused", "[weights][safetensors]") {
  CHECK_THAT(refusal(file("{"s + tensor("a", "[281474976710656,281474976710656]", "[0,0]") + "}")),
             Contains("overflows"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[18446744073709551615]", "[0,4]") + "}", 4)),
             Contains("beyond 2^48"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[281474976710657]", "[0,4]") + "}", 4)),
             Contains("beyond 2^48"));
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  CHECK_THAT(refusal(file("{"s + tensor("a", ones + "]", "[0,4]") + "}", 4)), Contains("64 dimensions"));
  CHECK_THAT(refusal(file("{"s + tensor("a", "[99999999999999999999999]", "[0,4]") + "}", 4)),
             Contains("not an integer"));
}

TEST_CASE("numbers other than non-negative integers are refused", "[weights][safetensors]") {
  for (const char* shape : {"[1.0]", "[1e0]", "[-1]", "[\"1\"]", "[null]", "[true]", "[[1]]", "1", "{}"}) {
    INFO(shape);
    CHECK(refusal(file("{"s + tensor("a", shape, "[0,4]") + "}", 4)) != "");
  }
  for (const char* offsets : {"[0]", "[0,4,8]", "[0,4.0]", "[-0,4]", "[]", "\"0,4\"", "null"}) {
    INFO(offsets);
    CHECK(refusal(file("{"s + tensor("a", "[1]", offsets) + "}", 4)) != "");
  }
}

TEST_CASE("headers with missing, extra or wrongly nested members are refused", "[weights][safetensors]") {
  CHECK_THAT(refusal(file(R"({"a":{"dtype":"F32","shape":[1]}})", 4)), Contains("lacks one of dtype"));
  CHECK_THAT(refusal(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4)),
             Contains("unknown member 'x'"));
  CHECK_THAT(refusal(file(R"({"__metadata__":{"k":1}})")), Contains("a string in __metadata__"));
  CHECK_THAT(refusal(file(R"({"a":[]})")), Contains("where an object is expected"));
  CHECK_THAT(refusal(file("{\"a\xff\":{}}")), Contains("not valid JSON"));
  CHECK_THAT(refusal(file("{} {}")), Contains("not valid JSON"));
  CHECK_THAT(refusal(file("{")), Contains("not valid JSON"));
}

TEST_CASE("deep nesting is refused at its first level", "[weights][safetensors]") {
  std::string deep = R"({"a":)";
  for (int i = 0; i < 1000000; ++i) deep += '[';
  CHECK_THAT(refusal(file(deep)), Contains("where an object is expected"));
  deep = "{\"a\":";
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  CHECK_THAT(refusal(file(deep)), Contains("unknown member 'a'"));
}

TEST_CASE("a written header is padded to a multiple of 8 bytes, and no further", "[weights][safetensors]") {
  const TemporaryFolder folder;
  for (size_t length = 1; length <= 8; ++length) {
    StateDict weights;
    weights.add_owned(std::string(length, 'a'), {1}, {1});
    write_safetensors(folder / "x.safetensors", weights);
    const std::string bytes = read_text(folder / "x.safetensors");
    const size_t end = bytes.rfind('}') + 1;
    INFO(length);
    CHECK(uint8_t(bytes[0]) == (end + 7) / 8 * 8 - 8);
  }
}

TEST_CASE("a failed write leaves neither the file nor a temporary behind", "[weights][safetensors]") {
  const TemporaryFolder folder;
  StateDict weights;
  weights.add_owned("a", {1}, {1});
  CHECK_THAT(sentence([&] { write_safetensors(folder / "no/such/x.safetensors", weights); }, Code::io),
             Contains("cannot create a file"));
  StateDict invalid;
  invalid.add_owned("a\xff", {1}, {1});
  CHECK_THAT(sentence([&] { write_safetensors(folder / "x.safetensors", invalid); }, Code::io),
             Contains("UTF-8"));
  StateDict reserved;
  reserved.add_owned("__metadata__", {1}, {1});
  CHECK_THAT(sentence([&] { write_safetensors(folder / "x.safetensors", reserved); }, Code::io),
             Contains("cannot be the name of a weight"));
  // The rename fails: a folder with content is in the way.
  std::filesystem::create_directories(folder / "taken/inside");
  CHECK_THAT(sentence([&] { write_safetensors(folder / "taken", weights); }, Code::io),
             Contains("cannot be replaced"));
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path))
    files += !entry.is_directory();
  CHECK(files == 0);
}

TEST_CASE("random tensors survive a round trip and start at multiples of their element",
          "[weights][safetensors]") {
  UPS_RANDOM(random);
  const TemporaryFolder folder;
  std::vector<std::vector<std::byte>> memory;
  memory.reserve(40);
  StateDict weights;
  for (int i = 0; i < 40; ++i) {
    const auto element = Element(random.integer(0, 9));
    std::vector<int64_t> shape(size_t(random.integer(0, 4)));
    int64_t count = 1;
    for (int64_t& size : shape) count *= size = random.integer(0, 5);
    memory.emplace_back(size_t(count * element_bytes(element)));
    for (std::byte& b : memory.back()) b = std::byte(random.integer(0, 255));
    weights.add("k"s + std::to_string(random.integer(0, 9)) + "."s + std::to_string(i),
                {element, shape, memory.back()});
  }
  write_safetensors(folder / "r.safetensors", weights);
  const std::string text = read_text(folder / "r.safetensors");
  const StateDict copy = read_safetensors(bytes_of(text), "r");
  REQUIRE(copy.entries().size() == weights.entries().size());
  for (const auto& [key, entry] : weights.entries()) {
    const Entry& read = copy.at(key);
    CHECK(read.element == entry.element);
    CHECK(read.shape == entry.shape);
    CHECK(std::equal(read.bytes.begin(), read.bytes.end(), entry.bytes.begin(), entry.bytes.end()));
    CHECK((reinterpret_cast<const char*>(read.bytes.data()) - text.data()) % element_bytes(read.element) ==
          0);
  }
}
