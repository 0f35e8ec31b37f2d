// Device choice. UPS_WITH_CUDA is set by the build when the CUDA kernels are part of the library.
#include "runtime/device.h"

#include <algorithm>
#include <cctype>

#include "kernels/error.h"

#if defined(UPS_WITH_CUDA)
#include "runtime/backend_cuda.h"
#endif

namespace ups {

namespace {

#if defined(UPS_WITH_CUDA)
std::string describe(const cuda::DeviceInfo& d) {
  return d.name + ", sm_" + std::to_string(d.sm) + ", " + std::to_string(d.memory_bytes / 1000000000) + " GB";
}
#else
constexpr const char* kNoCuda = "this build has no GPU support";
#endif

bool contains_ignoring_case(const std::string& text, const std::string& part) {
  auto equal = [](char a, char b) {
    return std::tolower((unsigned char)a) == std::tolower((unsigned char)b);
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), equal) != text.end();
}

}  // namespace

std::vector<DeviceEntry> list_devices(Pool& pool, std::string* why) {
  std::vector<DeviceEntry> list;
#if defined(UPS_WITH_CUDA)
  for (const auto& d : cuda::devices(why)) list.push_back({std::to_string(d.index), describe(d)});
#else
  if (why) *why = kNoCuda;
#endif
  list.push_back({"cpu", make_cpu_backend(pool)->describe()});
  return list;
}

std::unique_ptr<Backend> make_backend(const std::string& wanted, Precision precision, Pool& pool,
                                      std::string* note) {
  if (wanted == "cpu" || wanted == "-1") return make_cpu_backend(pool);
  const bool automatic = wanted.empty() || wanted == "auto";
#if defined(UPS_WITH_CUDA)
  std::string why;
  const auto gpus = cuda::devices(&why);
  for (const auto& d : gpus)
    if (automatic || wanted == std::to_string(d.index) ||
        (!std::isdigit((unsigned char)wanted[0]) && contains_ignoring_case(d.name, wanted)))
      return make_cuda_backend(d, precision, &pool);
  if (automatic && note) *note = why;
  check(automatic, Code::device, "device: got '", wanted, "', expected cpu, auto",
        gpus.empty() ? " (no GPU can be used: " + why + ")" : ", or the index or name of a listed device");
#else
  (void)precision, (void)note, (void)contains_ignoring_case;
  check(automatic, Code::device, "device: got '", wanted, "', expected cpu or auto (", kNoCuda, ")");
#endif
  return make_cpu_backend(pool);
}

}  // namespace ups
