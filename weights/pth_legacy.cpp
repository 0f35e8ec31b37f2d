// The container before torch 1.6: magic, protocol, system, object and key pickles back to back, then for each
// storage key an element count and the raw elements.
#include <cstring>
#include <unordered_map>

#include "kernels/error.h"
#include "weights/pickle_torch.h"
#include "weights/pth.h"
#include "weights/unwrap.h"

namespace ups {
namespace {

// PROTO 2, LONG1 0x1950a86a20f9469cfc6c, STOP.
constexpr unsigned char kMagic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                    0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e};
constexpr int64_t kProtocol = 1001;

}  // namespace

bool is_pth_legacy(std::span<const std::byte> file) {
  return file.size() >= sizeof kMagic && std::memcmp(file.data(), kMagic, sizeof kMagic) == 0;
}

StateDict read_pth_legacy(std::span<const std::byte> file, const std::string& name) {
  check(is_pth_legacy(file), Code::model, name, ": lacks the magic number of a legacy PyTorch checkpoint");
  size_t position = sizeof kMagic;
  const auto next = [&] {
    pickle::Pickle p = pickle::read(file.subspan(position), name);
    position += p.consumed;
    return p;
  };
  const pickle::Pickle protocol = next();
  check(protocol[protocol.root].integer == kProtocol, Code::model, name, ": has checkpoint protocol ",
        protocol[protocol.root].integer, ", expected ", kProtocol);
  const pickle::Pickle system = next();
  const std::vector<pickle::Id>& facts = system[system.root].items;
  for (size_t i = 0; i + 1 < facts.size(); i += 2)
    check(system[facts[i]].text != "little_endian" || system[facts[i + 1]].integer == 1, Code::model, name,
          ": was saved on a big-endian machine, expected little-endian");
  const pickle::Pickle object = next();
  const pickle::Pickle keys = next();
  check(keys[keys.root].kind == pickle::Kind::list, Code::model, name, ": lacks the list of storage keys");

  // The element type of a storage is known only from the object that refers to it.
  std::unordered_map<std::string_view, const pickle::Storage*> described;
  for (const pickle::Storage& storage : object.storages) {
    const pickle::Storage*& first = described.emplace(storage.key, &storage).first->second;
    check(first->element == storage.element && first->numel == storage.numel, Code::model, name,
          ": storage '", storage.key.substr(0, 100), "' is described in two ways");
  }
  std::unordered_map<std::string_view, std::span<const std::byte>> storages;
  for (pickle::Id id : keys[keys.root].items) {
    check(keys[id].kind == pickle::Kind::string, Code::model, name,
          ": has a storage key that is not a string");
    const std::string_view key = keys[id].text;
    const auto found = described.find(key);
    check(found != described.end(), Code::model, name, ": lists storage '", key.substr(0, 100),
          "', which nothing refers to");
    const std::span<const std::byte> rest = file.subspan(position);
    check(rest.size() >= 8, Code::model, name, ": ends before storage '", key.substr(0, 100),
          "' (truncated download?)");
    int64_t count = 0;
    std::memcpy(&count, rest.data(), sizeof count);
    check(count == found->second->numel, Code::model, name, ": storage '", key.substr(0, 100), "' has ",
          count, " elements, its description says ", found->second->numel);
    const auto element = uint64_t(element_bytes(found->second->element));
    check(uint64_t(count) <= (rest.size() - 8) / element, Code::model, name, ": storage '",
          key.substr(0, 100), "' of ", count, " elements ends beyond the file (truncated download?)");
    const auto bytes = size_t(uint64_t(count) * element);
    check(storages.emplace(key, rest.subspan(8, bytes)).second, Code::model, name, ": lists storage '",
          key.substr(0, 100), "' twice");
    position += 8 + bytes;
  }

  StateDict weights;
  weights.source = name;
  uint64_t gather_budget = 4 * uint64_t(file.size());
  for (const auto& [key, view] : pickle::find_state_dict(object, name)) {
    const pickle::Storage& storage = object.storages[view->storage];
    const auto found = storages.find(storage.key);
    check(found != storages.end(), Code::model, name, ": weight '", key, "' refers to storage '",
          storage.key.substr(0, 100), "', which is not in the file");
    pickle::add_tensor(weights, key, *view, storage, found->second, gather_budget);
  }
  return strip_prefixes(std::move(weights));
}

}  // namespace ups
