// The safetensors writer. Tensors are ordered by type, widest first, then by name, exactly as the reference
// writer orders them; so every tensor starts at a multiple of its element size.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "weights/safetensors.h"

namespace ups {
namespace {

// Position of an element type in the reference writer's order.
int rank(Element e) {
  constexpr Element kOrder[] = {Element::i64, Element::f64, Element::f32, Element::i32, Element::bf16,
                                Element::f16, Element::i16, Element::i8,  Element::u8,  Element::boolean};
  return int(std::find(std::begin(kOrder), std::end(kOrder), e) - std::begin(kOrder));
}

// A file under a name of its own until commit() renames it to the final path; removed otherwise.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path) : path_(path) {
    static std::atomic<unsigned> serial{0};
    for (int attempt = 0; attempt < 100 && !file_; ++attempt) {
      const auto salt = reinterpret_cast<uintptr_t>(this) >> 4;
      partial_ = path + ".part-" + std::to_string(salt % 100000) + "-" + std::to_string(serial++);
      file_ = std::fopen(partial_.c_str(), "wbx");  // x: never over an existing file
      if (!file_ && errno != EEXIST) break;
    }
    check(file_, Code::io, path, ": cannot create a file in its folder: ", std::strerror(errno));
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile() {
    if (file_) std::fclose(file_);
    if (!committed_) std::remove(partial_.c_str());
  }
  void write(const void* data, size_t bytes) {
    check(bytes == 0 || std::fwrite(data, 1, bytes, file_) == bytes, Code::io, path_,
          ": cannot write: ", std::strerror(errno));
  }
  void commit() {
    const bool closed = std::fclose(file_) == 0;
    file_ = nullptr;
    check(closed, Code::io, path_, ": cannot write: ", std::strerror(errno));
    std::error_code error;
    std::filesystem::rename(partial_, path_, error);
    check(!error, Code::io, path_, ": cannot be replaced: ", error.message());
    committed_ = true;
  }

 private:
  std::string path_, partial_;
  std::FILE* file_ = nullptr;
  bool committed_ = false;
};

}  // namespace

void write_safetensors(const std::string& path, const StateDict& weights) {
  std::vector<const StateDict::Map::value_type*> order;
  for (const auto& item : weights.entries()) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return rank(a->second.element) < rank(b->second.element);
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!weights.metadata.empty()) header["__metadata__"] = weights.metadata;
  uint64_t offset = 0;
  for (const auto* item : order) {
    const Entry& entry = item->second;
    check(item->first != "__metadata__", Code::io, path, ": '__metadata__' cannot be the name of a weight");
    header.push_back(
        {item->first, nlohmann::ordered_json{{"dtype", element_name(entry.element)},
                                             {"shape", entry.shape},
                                             {"data_offsets", {offset, offset + entry.bytes.size()}}}});
    offset += entry.bytes.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    fail(Code::io, path, ": cannot be written, a weight name or metadata text is not valid UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');

  PartialFile file(path);
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(uint64_t(text.size()) >> (8 * i));
  file.write(length, sizeof length);
  file.write(text.data(), text.size());
  for (const auto* item : order) file.write(item->second.bytes.data(), item->second.bytes.size());
  file.commit();
}

}  // namespace ups
