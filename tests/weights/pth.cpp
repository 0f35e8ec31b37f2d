// PyTorch checkpoints that must be refused, or need care: foreign globals, lying zip sizes, odd views.
#include "weights/pth.h"

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "tests/weights/pickle_programs.h"
#include "weights/open.h"

using namespace ups;
using namespace ups::testing;
using Catch::Matchers::Contains;

namespace {

std::string refusal(const std::string& name) {
  return sentence([&] { open_weights(golden(name)); });
}
std::string zip_refusal(const std::string& bytes) {
  return sentence([&] { read_pth_zip(bytes_of(bytes), "f"); });
}
std::string legacy_refusal(const std::string& bytes) {
  return sentence([&] { read_pth_legacy(bytes_of(bytes), "f"); });
}

// Offset of the central directory record of the entry whose name ends in `leaf`.
size_t directory_record(const std::string& zip, const std::string& leaf) {
  for (size_t at = zip.find("PK\1\2"); at != zip.npos; at = zip.find("PK\1\2", at + 4)) {
    const size_t length = uint8_t(zip[at + 28]) | uint8_t(zip[at + 29]) << 8;
    const std::string name = zip.substr(at + 46, length);
    if (name.size() >= leaf.size() && name.substr(name.size() - leaf.size()) == leaf) return at;
  }
  FAIL("no entry " << leaf);
  return 0;
}
void put_u32(std::string& text, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) text[at + i] = char(value >> (8 * i));
}
uint32_t get_u32(const std::string& text, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | uint8_t(text[at + i]);
  return value;
}

// magic, protocol, system, object, keys, then the one storage '0' of `count` floats.
std::string legacy_file(const std::string& little_endian, const std::string& items, uint32_t count) {
  const std::string magic = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s;
  return magic + "\x80\2M\xe9\3.\x80\2}" + text("little_endian") + little_endian + "s.\x80\2}" + items +
         ".\x80\2]" + text("0") + "a." + u32(count) + u32(0) + std::string(4 * count, '\0');
}

std::string u16(size_t n) { return {char(n), char(n >> 8)}; }

uint32_t crc32(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (char c : bytes) {
    crc ^= uint8_t(c);
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// A zip file of stored entries; each of the names in `more` is another name for the last one's bytes.
std::string zip_file(const std::vector<std::pair<std::string, std::string>>& files,
                     const std::vector<std::string>& more = {}) {
  std::string zip, directory, facts, offset;
  size_t count = 0;
  const auto list = [&](const std::string& name) {
    directory += "PK\1\2"s + u16(20) + facts + u16(name.size()) + std::string(12, '\0') + offset + name;
    count++;
  };
  for (const auto& [name, bytes] : files) {
    const std::string size = u32(uint32_t(bytes.size()));
    facts = u16(20) + u16(0) + u16(0) + u16(0) + u16(33) + u32(crc32(bytes)) + size + size;
    offset = u32(uint32_t(zip.size()));
    zip += "PK\3\4" + facts + u16(name.size()) + u16(0) + name + bytes;
    list(name);
  }
  for (const std::string& name : more) list(name);
  const std::string end = u16(0) + u16(0) + u16(count) + u16(count) + u32(uint32_t(directory.size())) +
                          u32(uint32_t(zip.size())) + u16(0);
  return zip + directory + "PK\5\6" + end;
}

}  // namespace

TEST_CASE("a pickle that names a foreign global is refused by that name", "[weights][pth]") {
  CHECK_THAT(refusal("foreign_system.pth"), Contains("global 'posix system'") && Contains("refused"));
  CHECK_THAT(refusal("foreign_eval.pth"), Contains("eval'") && Contains("refused"));
  CHECK_THAT(refusal("whole_module.pth"),
             Contains("'torch.nn.modules.conv Conv2d'") && Contains("state_dict"));
  CHECK_THAT(refusal("complex.pth"), Contains("ComplexFloatStorage"));
}

TEST_CASE("checkpoints that are something else are called by their name", "[weights][pth]") {
  CHECK_THAT(refusal("torchscript.pt"), Contains("TorchScript"));
  CHECK_THAT(refusal("single_tensor.pth"), Contains("single tensor") && Contains("expected a state_dict"));
  CHECK_THAT(refusal("no_pickle.pth"), Contains("without data.pkl"));
  CHECK_THAT(refusal("big_endian.pth"), Contains("byte order 'big'"));
  CHECK_THAT(refusal("compressed.pth"), Contains("is compressed"));
  CHECK_THAT(refusal("twice.pth"), Contains("appears twice") || Contains("not a readable zip"));
}

TEST_CASE("storages that are short or missing are refused", "[weights][pth]") {
  CHECK_THAT(refusal("short_storage.pth"),
             Contains("claims a storage of 3 F32 elements") && Contains("has 11 bytes"));
  CHECK_THAT(refusal("missing_storage.pth"), Contains("data/1' is missing"));
}

TEST_CASE("a tensor that repeats its storage is refused instead of expanded", "[weights][pth]") {
  CHECK_THAT(refusal("expanded.pth"), Contains("weight 'a' repeats elements") && Contains("[1000, 4]"));
}

TEST_CASE("zip sizes that lie are refused before allocation", "[weights][pth]") {
  const std::string whole = read_text(golden("ordered.pth"));
  REQUIRE(zip_refusal(whole) == "");
  const size_t record = directory_record(whole, "data/0");
  const uint32_t size = get_u32(whole, record + 20);
  std::string lying = whole;
  put_u32(lying, record + 24, size + 4);  // uncompressed size only
  CHECK_THAT(zip_refusal(lying), Contains("claims") || Contains("zip"));
  put_u32(lying, record + 20, 0x7fffff00);  // both sizes, 2 GB
  put_u32(lying, record + 24, 0x7fffff00);
  CHECK_THAT(zip_refusal(lying), Contains("more than the file") || Contains("zip"));
  // All entries as large as fits: together more than the file.
  std::string overlapping = whole;
  for (const char* leaf : {"data/0", "data/1", "data.pkl"}) {
    put_u32(overlapping, directory_record(whole, leaf) + 20, uint32_t(whole.size()) / 2);
    put_u32(overlapping, directory_record(whole, leaf) + 24, uint32_t(whole.size()) / 2);
  }
  CHECK_THAT(zip_refusal(overlapping), Contains("more than the file") || Contains("zip"));
}

TEST_CASE("entries that share their bytes are refused by their checksum", "[weights][pth]") {
  std::string zip = read_text(golden("ordered.pth"));
  const size_t a = directory_record(zip, "data/0"), b = directory_record(zip, "data/1");
  put_u32(zip, b + 42, get_u32(zip, a + 42));  // local header offset
  CHECK(zip_refusal(zip) != "");
}

TEST_CASE("zip entries that share their bytes hold no more than the file", "[weights][pth]") {
  const std::string one = integer(1), pickle = "}"s + text("a") + tensor(one, one) + "s.";
  const std::vector<std::pair<std::string, std::string>> files = {{"r/data.pkl", pickle},
                                                                  {"r/data/0", std::string(4096, '\0')}};
  CHECK(zip_refusal(zip_file(files)) == "");
  CHECK_THAT(zip_refusal(zip_file(files, {"r/data/1", "r/data/2"})), Contains("more than the file"));
  CHECK_THAT(zip_refusal(zip_file({{"r/data.pkl", pickle}, {"s/data.pkl", pickle}})),
             Contains("more than one data.pkl"));
  std::string encrypted = zip_file(files);
  const size_t record = directory_record(encrypted, "data/0");
  encrypted[record + 8] = 1;
  encrypted[get_u32(encrypted, record + 42) + 6] = 1;
  CHECK_THAT(zip_refusal(encrypted), Contains("encrypted"));
}

TEST_CASE("storage keys are names, not paths", "[weights][pth]") {
  const std::string one = integer(1);
  std::string pickle = "}"s + text("a") + tensor(one, one) + "s.";
  pickle.replace(pickle.find(text("0")), text("0").size(), text("../0"));
  CHECK_THAT(zip_refusal(zip_file({{"r/data.pkl", pickle}, {"r/data/../0", std::string(24, '\0')}})),
             Contains("expected letters and digits"));
}

TEST_CASE("views that would be copied to several times the file are refused", "[weights][pth]") {
  std::string object = tensor(integer(2) + integer(1000), integer(1) + integer(2)), items;
  object.replace(object.find(integer(6)), 5, integer(2000));
  for (char key = 'a'; key < 'd'; key++) items += text({key}) + object + "s";
  CHECK(legacy_refusal(legacy_file("\x88", items, 2000)) == "");
  for (char key = 'd'; key < 'z'; key++) items += text({key}) + object + "s";
  CHECK_THAT(legacy_refusal(legacy_file("\x88", items, 2000)), Contains("too many strided views"));
  const std::string floats(2000 * 4, '\0');
  CHECK_THAT(zip_refusal(zip_file({{"r/data.pkl", "}" + items + "."}, {"r/data/0", floats}})),
             Contains("too many strided views"));
}

TEST_CASE("a flipped bit in the weights is found by the checksum", "[weights][pth]") {
  std::string zip = read_text(golden("ordered.pth"));
  const std::string a = open_weights(golden("ordered.pth"))->has("a") ? "ordered/data/0" : "";
  const size_t local =
      zip.find(a);  // the name in the local header; the length of its extra field is before it
  const size_t data = local + a.size() + uint8_t(zip[local - 2]) + 256 * uint8_t(zip[local - 1]);
  zip[data] = char(zip[data] ^ 1);
  CHECK_THAT(zip_refusal(zip), Contains("damaged") && Contains("CRC"));
}

TEST_CASE("of a checkpoint only the part that is asked for is read", "[weights][pth]") {
  std::string zip = read_text(golden("ordered.pth"));
  const std::string name = "ordered/data/0";  // the storage of b
  const size_t local = zip.find(name);
  zip[local + name.size() + uint8_t(zip[local - 2]) + 256 * uint8_t(zip[local - 1])] ^= 1;
  const std::set<std::string, std::less<>> both{"a", "b"};
  const StateDict read = read_pth_zip(bytes_of(zip), "f", [&](const auto& names) {
    CHECK(names == both);
    return std::string("a");
  });
  CHECK(read.floats("a") == open_weights(golden("ordered.pth"))->floats("a"));
  CHECK(read.entries().size() == 1);
  CHECK(read.unread == std::set<std::string, std::less<>>{"b"});
  CHECK(read.names_any("b"));
  CHECK_FALSE(read.names_any("bb"));
  const auto whole = [&](const auto&) { return std::string(); };
  CHECK_THAT(sentence([&] { read_pth_zip(bytes_of(zip), "f", whole); }), Contains("damaged"));
}

TEST_CASE("truncated checkpoints are refused at every length", "[weights][pth]") {
  const std::string zip = read_text(golden("ordered.pth")), legacy = read_text(golden("dtypes_legacy.pth"));
  for (size_t n = 0; n < zip.size(); ++n) {
    INFO(n);
    REQUIRE(zip_refusal(zip.substr(0, n)) != "");
  }
  for (size_t n = 0; n < legacy.size(); ++n) {
    INFO(n);
    REQUIRE(legacy_refusal(legacy.substr(0, n)) != "");
  }
  CHECK_THAT(legacy_refusal(legacy.substr(0, legacy.size() - 1)), Contains("truncated"));
}

TEST_CASE("a legacy storage whose count contradicts its description is refused", "[weights][pth]") {
  std::string legacy = read_text(golden("nested_legacy.pth"));
  REQUIRE(legacy_refusal(legacy) == "");
  // The last storage is 4 or 108 floats; its count stands right before.
  for (size_t count : {4, 108}) {
    const size_t at = legacy.size() - 4 * count - 8;
    if (get_u32(legacy, at) != count || get_u32(legacy, at + 4) != 0) continue;
    put_u32(legacy, at, uint32_t(count) + 1);
    CHECK_THAT(legacy_refusal(legacy), Contains("its description says"));
    put_u32(legacy, at, 0);
    put_u32(legacy, at + 4, 0x80000000u);  // negative
    CHECK_THAT(legacy_refusal(legacy), Contains("its description says"));
    return;
  }
  FAIL("no count found");
}

TEST_CASE("a legacy checkpoint says how its numbers are stored, and says it once", "[weights][pth]") {
  const auto legacy = [](const std::string& little_endian, const std::string& second) {
    const std::string one = integer(1);
    return legacy_file(little_endian, text("a") + tensor(one, one) + "s" + text("b") + second + "s", 6);
  };
  const std::string one = integer(1), same = tensor(one, one);
  std::string other = same;  // of seven floats, it says
  other.replace(other.find(integer(6)), 5, integer(7));
  CHECK(legacy_refusal(legacy("\x88", same)) == "");
  CHECK_THAT(legacy_refusal(legacy("\x89", same)), Contains("big-endian"));
  CHECK_THAT(legacy_refusal(legacy("\x88", other)), Contains("described in two ways"));
  std::string halves = same;
  halves.replace(halves.find("Float"), 5, "Half");
  CHECK_THAT(legacy_refusal(legacy("\x88", halves)), Contains("described in two ways"));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string file = legacy("\x88", same);
    return legacy_refusal(file.replace(file.rfind(from), from.size(), to));
  };
  CHECK_THAT(changed("M\xe9\3.", "M\xe8\3."), Contains("protocol 1000, expected 1001"));
  const std::string keys = "]" + text("0") + "a.";
  CHECK_THAT(changed(keys, "N."), Contains("lacks the list of storage keys"));
  CHECK_THAT(changed(keys, "]Na."), Contains("key that is not a string"));
  CHECK_THAT(changed(keys, "]" + text("1") + "a."), Contains("which nothing refers to"));
  const std::string twice = "](" + text("0") + text("0") + "e." + u32(6) + u32(0) + std::string(24, '\0');
  CHECK_THAT(changed(keys, twice), Contains("lists storage '0' twice"));
}
