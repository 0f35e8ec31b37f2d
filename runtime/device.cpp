// Device choice. UPS_WITH_CUDA is set by the build when the CUDA kernels are part of the library.
#include "runtime/device.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <thread>

#include "kernels/error.h"

#if defined(UPS_WITH_CUDA)
#include "runtime/backend_cuda.h"
#endif

namespace ups {

namespace {

#if defined(UPS_WITH_CUDA)
constexpr bool kWithCuda = true;
#else
constexpr bool kWithCuda = false;
#endif
// Of the kernels: mma.sync with f32 sums and cp.async.
constexpr int kLeastSm = 80;

std::vector<cuda::DeviceInfo> find_gpus(std::string* why) {
#if defined(UPS_WITH_CUDA)
  return cuda::devices(why);
#else
  if (why) *why = "this build has no GPU support";
  return {};
#endif
}

bool usable(const cuda::DeviceInfo& d) { return d.sm >= kLeastSm; }
std::string too_old(const cuda::DeviceInfo& d) {
  return d.name + " is sm_" + std::to_string(d.sm) + ", expected sm_" + std::to_string(kLeastSm) +
         " or later";
}
std::string describe(const cuda::DeviceInfo& d) {
  return d.name + ", sm_" + std::to_string(d.sm) + ", " + std::to_string(d.memory_bytes / 1000000000) +
         " GB" + (usable(d) ? "" : ", too old to be used");
}

bool is_cpu(const std::string& wanted) { return wanted == "cpu" || wanted == "-1"; }
bool is_automatic(const std::string& wanted) { return wanted.empty() || wanted == "auto"; }
// Longer numbers are part of a name: 4090.
bool is_index(const std::string& wanted) {
  return wanted.size() <= 2 &&
         std::all_of(wanted.begin(), wanted.end(), [](unsigned char c) { return std::isdigit(c); });
}

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower((unsigned char)c));
  return text;
}

// Throws unless one kind of GPU is meant: those of exactly this name, else those whose name contains it.
std::optional<cuda::DeviceInfo> choose_by_name(const std::vector<cuda::DeviceInfo>& gpus,
                                               const std::string& wanted) {
  const std::string text = lower(wanted);
  std::optional<cuda::DeviceInfo> found;
  for (const auto& d : gpus)
    if (lower(d.name) == text) return d;
  for (const auto& d : gpus) {
    if (lower(d.name).find(text) == std::string::npos) continue;
    check(!found || found->name == d.name, Code::device, "device: got '", wanted, "', which is ",
          found ? found->name : "", " and ", d.name, ", expected more of the name, or an index");
    if (!found) found = d;
  }
  return found;
}

#if defined(UPS_WITH_CUDA)
// Threads that wake devices; a process that ends meanwhile waits for them.
class Waking {
 public:
  ~Waking() {
    for (std::thread& t : threads_) t.join();
  }
  void start(const std::string& wanted) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([wanted] {
      try {
        if (const auto device = choose_gpu(find_gpus(nullptr), wanted)) cuda::wake(*device);
      } catch (...) {  // is said when a backend is made
      }
    });
  }

 private:
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};
#endif

}  // namespace

std::optional<cuda::DeviceInfo> choose_gpu(const std::vector<cuda::DeviceInfo>& gpus,
                                           const std::string& wanted, std::string* why) {
  std::optional<cuda::DeviceInfo> found;
  if (is_automatic(wanted)) {
    for (const auto& d : gpus)
      if (usable(d)) return d;
    if (!gpus.empty() && why) *why = "no CUDA device can be used: " + too_old(gpus.front());
    return {};
  }
  if (is_index(wanted)) {
    for (const auto& d : gpus)
      if (wanted == std::to_string(d.index)) found = d;
  } else {
    found = choose_by_name(gpus, wanted);
  }
  check(found.has_value(), Code::device, "device: got '", wanted, "', expected cpu, auto",
        gpus.empty() ? " (no GPU can be used" + (why && !why->empty() ? ": " + *why : "") + ")"
                     : ", or the index or name of a listed device");
  check(usable(*found), Code::device, "device: ", too_old(*found));
  return found;
}

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
  const auto gpus = find_gpus(why);
  for (const auto& d : gpus) list.push_back({std::to_string(d.index), describe(d)});
  choose_gpu(gpus, "auto", why);
  list.push_back({"cpu", make_cpu_backend(pool)->describe()});
  return list;
}

std::unique_ptr<Backend> make_backend(const std::string& wanted, Precision precision, Pool& pool,
                                      std::string* note) {
  if (is_cpu(wanted)) return make_cpu_backend(pool);
  std::string why;
  const auto gpu = choose_gpu(find_gpus(&why), wanted, &why);
#if defined(UPS_WITH_CUDA)
  if (gpu) return make_cuda_backend(*gpu, precision, &pool);
#else
  (void)precision, (void)gpu;
#endif
  if (note && kWithCuda) *note = why;
  return make_cpu_backend(pool);
}

}  // namespace ups
