// Fuzzes the pickle machine and the rebuilding of tensors: the input is a pickle, or several back to back as
// in a legacy checkpoint, and every storage it mentions is a small buffer.
#include "weights/pickle.h"

#include <vector>

#include "tests/fuzz/reach.h"
#include "weights/pickle_torch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ups;
  return fuzz::run([&] {
    static const std::vector<std::byte> kStorage(1024);
    std::span<const std::byte> rest = fuzz::input(data, size);
    for (int i = 0; i < 5 && !rest.empty(); ++i) {
      const pickle::Pickle p = pickle::read(rest, "f");
      rest = rest.subspan(p.consumed);
      if (p[p.root].kind != pickle::Kind::dict) continue;
      StateDict weights;
      uint64_t budget = 1 << 16;
      try {
        for (const auto& [key, view] : pickle::find_state_dict(p, "f"))
          pickle::add_tensor(weights, key, *view, p.storages[view->storage], kStorage, budget);
      } catch (const Error&) {
      }
      fuzz::reach(weights);
    }
  });
}
