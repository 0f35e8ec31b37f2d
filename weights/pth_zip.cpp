// The zip container: <root>/data.pkl describes the tensors, <root>/data/<key> holds each storage.
#include <algorithm>
#include <memory>

#include "kernels/error.h"
#include "weights/pickle_torch.h"
#include "weights/pth.h"
#include "weights/unwrap.h"
#include "weights/zip_archive.h"

namespace ups {
namespace {

// "<root>/" of the one entry "<root>/data.pkl".
std::string find_root(const ZipArchive& archive, const std::string& name) {
  constexpr std::string_view kPickle = "data.pkl";
  std::string root;
  bool found = false;
  for (const auto& [path, entry] : archive.entries()) {
    const size_t slash = path.find('/');
    const size_t stem = slash == std::string::npos ? 0 : slash + 1;
    const std::string_view leaf = std::string_view(path).substr(stem);
    check(leaf != "constants.pkl", Code::model, name,
          ": is a TorchScript module (it has constants.pkl), expected a state_dict (save it with "
          "torch.save(module.state_dict(), path))");
    if (leaf != kPickle) continue;
    check(!found, Code::model, name, ": has more than one data.pkl");
    root = path.substr(0, stem);
    found = true;
  }
  check(found, Code::model, name, ": is a zip archive without data.pkl, expected a PyTorch checkpoint");
  return root;
}

bool is_plain_key(std::string_view key) {
  return !key.empty() && key.size() <= 100 && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  });
}

}  // namespace

StateDict read_pth_zip(std::span<const std::byte> file, const std::string& name, const PartOf& part) {
  const ZipArchive archive(file, name);
  const std::string root = find_root(archive, name);
  if (archive.find(root + "byteorder")) {
    const std::vector<std::byte> order = archive.read(root + "byteorder");
    const std::string_view text(reinterpret_cast<const char*>(order.data()), order.size());
    check(text == "little", Code::model, name, ": has byte order '", text.substr(0, 20),
          "', expected 'little'");
  }
  const std::vector<std::byte> program = archive.read(root + "data.pkl");
  const pickle::Pickle p = pickle::read(program, name);

  StateDict weights;
  weights.source = name;
  std::map<std::string_view, std::shared_ptr<const std::vector<std::byte>>> storages;
  uint64_t gather_budget = 4 * uint64_t(file.size());
  const auto views = pickle::find_state_dict(p, name);
  std::string needed;
  if (part) {
    for (const auto& [key, view] : views) weights.unread.insert(key);
    needed = part(weights.unread);
  }
  for (const auto& [key, view] : views) {
    if (key.compare(0, needed.size(), needed) != 0) continue;
    weights.unread.erase(key);
    const pickle::Storage& storage = p.storages[view->storage];
    check(is_plain_key(storage.key), Code::model, name, ": weight '", key, "' has the storage key '",
          storage.key.substr(0, 100), "', expected letters and digits");
    auto& bytes = storages[storage.key];
    if (!bytes) {
      bytes = std::make_shared<const std::vector<std::byte>>(
          archive.read(root + "data/" + std::string(storage.key)));
      weights.keep(bytes);
    }
    const auto element = uint64_t(element_bytes(storage.element));
    check(uint64_t(storage.numel) <= bytes->size() / element, Code::model, name, ": weight '", key,
          "' claims a storage of ", storage.numel, " ", element_name(storage.element),
          " elements, but entry 'data/", storage.key, "' has ", bytes->size(), " bytes");
    pickle::add_tensor(weights, key, *view, storage,
                       std::span(*bytes).first(size_t(uint64_t(storage.numel) * element)), gather_budget);
  }
  return strip_prefixes(std::move(weights));
}

}  // namespace ups
