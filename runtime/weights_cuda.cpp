// Packs weights on the host and moves them to the device.
#include "runtime/weights_cuda.h"

#include <algorithm>
#include <cstring>

#include "kernels/pack.h"

namespace ups {

namespace {

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }
constexpr size_t kBase = 256;

size_t main_bytes(const Graph::WeightInfo& i, DType dtype) {
  return i.flat ? size_t(i.cout) * i.cin * sizeof(float)
                : mma_layout(i.cout, i.cin, i.k).elements() * dtype_bytes(dtype);
}

// Where the parts of one weight lie.
struct Places {
  size_t w, bias, slope, end;
};
Places places_from(size_t at, const Graph::WeightInfo& i, DType dtype) {
  Places p;
  const size_t vector = aligned(size_t(i.cout) * sizeof(float));
  p.w = at;
  p.bias = p.w + aligned(main_bytes(i, dtype));
  p.slope = p.bias + (i.bias_key.empty() ? 0 : vector);
  p.end = p.slope + (i.slope_key.empty() ? 0 : vector);
  return p;
}

template <class T>
T* moved(T* offset, const void* base) {
  return offset ? reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(offset) - kBase +
                                       reinterpret_cast<uintptr_t>(base))
                : nullptr;
}

}  // namespace

PackedWeights pack_weights(const Graph& graph, const StateDict& file, DType dtype, Shortcuts allowed,
                           Pool* pool) {
  const auto& infos = graph.weight_infos();
  std::vector<Places> places;
  size_t at = 0;
  for (const auto& i : infos) {
    places.push_back(places_from(at, i, dtype));
    at = places.back().end;
  }
  PackedWeights packed;
  packed.size = at;
  packed.bytes = std::make_unique_for_overwrite<char[]>(at + 1);
  packed.list.resize(infos.size());
  const auto pack_one = [&](int id, int) {
    const auto& i = infos[id];
    const Places& p = places[id];
    Weight& out = packed.list[id];
    out.id = id, out.cout = i.cout, out.k = i.k, out.cin = i.cin;
    out.dtype = i.flat ? DType::f32 : dtype;
    out.tf32 = allowed.tf32 && !i.flat;
    out.f16_sums = allowed.f16_sums && !i.flat;
    out.w = reinterpret_cast<const void*>(p.w + kBase);
    const std::vector<float> values = file.floats(i.weight_key);
    if (i.flat)
      std::memcpy(packed.bytes.get() + p.w, values.data(), main_bytes(i, dtype));
    else
      pack_mma(values.data(), WeightOrder::oihw, i.cout, i.cin, i.k, dtype, packed.bytes.get() + p.w);
    const auto vector = [&](const std::string& key, size_t offset) -> const float* {
      if (key.empty()) return nullptr;
      const std::vector<float> values = file.floats(key);
      float* to = reinterpret_cast<float*>(packed.bytes.get() + offset);
      for (int c = 0; c < i.cout; c++) to[c] = values[values.size() == 1 ? 0 : c];
      return reinterpret_cast<const float*>(offset + kBase);
    };
    out.bias = vector(i.bias_key, p.bias);
    out.slope = vector(i.slope_key, p.slope);
  };
  if (pool)
    pool->for_each(int(infos.size()), pack_one);
  else
    for (int id = 0; id < int(infos.size()); id++) pack_one(id, 0);
  return packed;
}

DeviceWeights upload_weights(const PackedWeights& packed, Staging& staging, cuda::Stream& stream) {
  DeviceWeights d;
  d.memory = cuda::DeviceMemory(stream, std::max<size_t>(packed.size, 1));
  staging.upload(stream, d.memory.data(), packed.bytes.get(), packed.size);
  d.list = packed.list;
  for (Weight& w : d.list) {
    w.w = moved(w.w, d.memory.data());
    w.bias = moved(w.bias, d.memory.data());
    w.slope = moved(w.slope, d.memory.data());
  }
  return d;
}

}  // namespace ups
