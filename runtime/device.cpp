// Device choice. UPS_WITH_CUDA is set by the build when the CUDA kernels are part of the library.
#include "runtime/device.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <optional>
#include <thread>

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

bool is_cpu(const std::string& wanted) { return wanted == "cpu" || wanted == "-1"; }
bool is_automatic(const std::string& wanted) { return wanted.empty() || wanted == "auto"; }

bool contains_ignoring_case(const std::string& text, const std::string& part) {
  auto equal = [](char a, char b) {
    return std::tolower((unsigned char)a) == std::tolower((unsigned char)b);
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), equal) != text.end();
}

#if defined(UPS_WITH_CUDA)
// The first GPU that is meant.
std::optional<cuda::DeviceInfo> choose(const std::vector<cuda::DeviceInfo>& gpus, const std::string& wanted) {
  for (const auto& d : gpus)
    if (is_automatic(wanted) || wanted == std::to_string(d.index) ||
        (!std::isdigit((unsigned char)wanted[0]) && contains_ignoring_case(d.name, wanted)))
      return d;
  return {};
}

// Threads that wake devices; a process that ends meanwhile waits for them.
class Waking {
 public:
  ~Waking() {
    for (std::thread& t : threads_) t.join();
  }
  void start(const std::string& wanted) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([wanted] {
      if (const auto device = choose(cuda::devices(), wanted)) cuda::wake(*device);
    });
  }

 private:
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};
#endif

}  // namespace

void wake_device(const std::string& wanted) {
#if defined(UPS_WITH_CUDA)
  static Waking waking;
  if (!is_cpu(wanted)) waking.start(wanted);
#else
  (void)wanted;
#endif
}

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
  if (is_cpu(wanted)) return make_cpu_backend(pool);
  const bool automatic = is_automatic(wanted);
#if defined(UPS_WITH_CUDA)
  std::string why;
  const auto gpus = cuda::devices(&why);
  if (const auto gpu = choose(gpus, wanted)) return make_cuda_backend(*gpu, precision, &pool);
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
