// Random damage: whatever happens to the bytes of a golden file, its reader returns or throws Error.
#include <filesystem>

#include "tests/testing.h"
#include "tests/weights/files.h"
#include "weights/ncnn.h"
#include "weights/pth.h"
#include "weights/safetensors.h"
#include "weights/sniff.h"

using namespace ups;
using namespace ups::testing;

namespace {

std::string damaged(const std::string& whole, Random& random) {
  std::string bytes = whole;
  for (int n = random.integer(1, 4); n > 0 && !bytes.empty(); --n) {
    const auto at = size_t(random.integer(0, int(bytes.size()) - 1));
    switch (random.integer(0, 4)) {
      case 0:
        bytes[at] = char(bytes[at] ^ (1 << random.integer(0, 7)));
        break;
      case 1:
        bytes[at] = char(random.integer(0, 255));
        break;
      case 2:
        bytes[at] = char(0xff * random.integer(0, 1));
        break;
      case 3:
        bytes.erase(at, size_t(random.integer(1, 8)));
        break;
      default:
        bytes.insert(at, std::string(size_t(random.integer(1, 8)), char(random.integer(0, 255))));
    }
  }
  return bytes;
}

// Touches every value, so that a view outside its memory is met.
size_t sum_of(const StateDict& weights) {
  size_t sum = 0;
  for (const auto& [key, entry] : weights.entries())
    for (std::byte b : entry.bytes) sum += size_t(b);
  return sum;
}

}  // namespace

TEST_CASE("damaged files are read or refused, never worse", "[weights][mutation]") {
  UPS_RANDOM(random);
  size_t read = 0, refused = 0;
  std::string who = "f";
  for (const auto& file : std::filesystem::directory_iterator(golden(""))) {
    const std::string path = file.path().string(), extension = file.path().extension().string();
    const std::string whole = read_text(path), name = file.path().filename().string();
    if (whole.size() > 20000 || extension == ".bin") continue;
    const bool is_ncnn = extension == ".param";
    const std::string bin =
        is_ncnn ? read_text(std::filesystem::path(path).replace_extension(".bin").string()) : std::string();
    for (int i = 0; i < 3000; ++i) {
      const bool in_bin = is_ncnn && random.integer(0, 3) == 0;
      const std::string bytes = in_bin ? whole : damaged(whole, random);
      const std::string weights = in_bin ? damaged(bin, random) : bin;
      INFO(name << " mutation " << i);
      try {
        if (is_ncnn) {
          sum_of(read_ncnn(bytes, bytes_of(weights), who));
        } else {
          switch (sniff(bytes_of(bytes)).kind) {
            case FileKind::pth_zip:
              sum_of(read_pth_zip(bytes_of(bytes), who));
              break;
            case FileKind::pth_legacy:
              sum_of(read_pth_legacy(bytes_of(bytes), who));
              break;
            default:
              sum_of(read_safetensors(bytes_of(bytes), who));
          }
        }
        ++read;
      } catch (const Error& error) {
        REQUIRE(error.code == Code::model);
        ++refused;
      }
    }
  }
  CHECK(read > 1000);
  CHECK(refused > 10000);
}
