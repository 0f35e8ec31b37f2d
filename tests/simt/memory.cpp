// Shared memory with poison and red zones; global memory with red zones.
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>

#include "tests/simt/block.h"

#if defined(__SANITIZE_ADDRESS__)
#define UPS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UPS_ASAN 1
#endif
#endif
#if UPS_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace simt {
namespace {

constexpr size_t kSharedMax = 227 << 10, kRedZone = 4096;
constexpr size_t kGlobalRedZone = 512;
constexpr unsigned char kPoison = 0xFF;  // NaN as f32, f16 and bf16

char* arena() {
  static char* base = [] {
    void* p = std::aligned_alloc(4096, (kSharedMax + 2 * kRedZone + 4095) / 4096 * 4096);
    return static_cast<char*>(p);
  }();
  return base + kRedZone;
}
size_t smem_size = 0;

void guard(char* p, size_t bytes) {
  std::memset(p, kPoison, bytes);
#if UPS_ASAN
  __asan_poison_memory_region(p, bytes);
#endif
}
void unguard(const char* p, size_t bytes) {
#if UPS_ASAN
  __asan_unpoison_memory_region(p, bytes);
#else
  (void)p, (void)bytes;
#endif
}
// Offset of the first byte that changed, -1: none. ASan reports stores there itself.
int64_t changed(const char* p, size_t bytes) {
#if UPS_ASAN
  (void)p, (void)bytes;
#else
  for (size_t i = 0; i < bytes; i++)
    if (static_cast<unsigned char>(p[i]) != kPoison) return int64_t(i);
#endif
  return -1;
}

struct Allocation {
  char* whole;
  size_t bytes;
};
std::map<char*, Allocation>& allocations() {
  static std::map<char*, Allocation> all;
  return all;
}

}  // namespace

void poison_shared(size_t bytes) {
  static size_t guarded = ~size_t(0);
  char* base = arena();
  if (guarded != bytes) {
    unguard(base - kRedZone, kSharedMax + 2 * kRedZone);
    guard(base - kRedZone, kRedZone);
    const size_t rest = (bytes + 7) / 8 * 8;  // ASan guards whole 8-byte words
    guard(base + rest, kSharedMax + kRedZone - rest);
    guarded = bytes;
  }
  std::memset(base, kPoison, (bytes + 7) / 8 * 8);
  smem_size = bytes;
}

std::string damage_of_shared(size_t bytes) {
  char* base = arena();
  const int64_t below = changed(base - kRedZone, kRedZone), above = changed(base + bytes, kRedZone);
  std::ostringstream o;
  if (below >= 0) o << "store " << int64_t(kRedZone) - below << " bytes before shared memory";
  if (above >= 0) o << "store " << above << " bytes after the " << bytes << " bytes of shared memory";
  if (below >= 0) guard(base - kRedZone, kRedZone);
  if (above >= 0) guard(base + bytes, kRedZone);
  return o.str();
}

std::string damage_of_global() {
  std::ostringstream o;
  for (auto& [data, a] : allocations()) {
    const int64_t below = changed(a.whole, kGlobalRedZone), above = changed(data + a.bytes, kGlobalRedZone);
    if (below >= 0)
      o << "store " << int64_t(kGlobalRedZone) - below << " bytes before a buffer of " << a.bytes << " bytes";
    else if (above >= 0)
      o << "store " << above << " bytes after a buffer of " << a.bytes << " bytes";
    else
      continue;
    std::memset(a.whole, kPoison, kGlobalRedZone);
    std::memset(data + a.bytes, kPoison, kGlobalRedZone);
    return o.str();
  }
  return {};
}

void* shared_memory(size_t bytes) {
  if (bytes > smem_size)
    fault("shared<T>() of " + std::to_string(bytes) + " bytes, launched with " + std::to_string(smem_size));
  return arena();
}

void check_shared(const void* p, size_t bytes, size_t alignment, const char* what) {
  const char* at = static_cast<const char*>(p);
  if (at < arena() || at + bytes > arena() + smem_size)
    fault(std::string(what) + ": address outside of shared memory");
  if (reinterpret_cast<uintptr_t>(p) % alignment)
    fault(std::string(what) + ": address is not a multiple of " + std::to_string(alignment));
}

void check_global(const void* p, size_t bytes, const char* what) {
  char* at = static_cast<char*>(const_cast<void*>(p));
  auto it = allocations().upper_bound(at);
  const bool inside = it != allocations().begin() && (--it, at + bytes <= it->first + it->second.bytes);
  if (bytes && !inside)
    fault(std::string(what) + ": reads " + std::to_string(bytes) + " bytes outside of any buffer");
}

void poison(void* p, size_t bytes) { std::memset(p, kPoison, bytes); }

void* allocate(size_t bytes) {
  // The buffer ends exactly at the upper red zone; it starts at a multiple of 256 like cudaMalloc's.
  const size_t whole_bytes = (bytes + 2 * kGlobalRedZone + 511) / 256 * 256;
  char* whole = static_cast<char*>(std::aligned_alloc(256, whole_bytes));
  if (!whole) throw std::bad_alloc();
  char* data = whole + kGlobalRedZone;
  std::memset(data, kPoison, bytes);
  guard(whole, kGlobalRedZone);
  std::memset(data + bytes, kPoison, kGlobalRedZone);
#if UPS_ASAN
  __asan_poison_memory_region(data + bytes, kGlobalRedZone);
#endif
  allocations()[data] = {whole, bytes};
  return data;
}

void release(void* p) {
  if (!p) return;
  const auto it = allocations().find(static_cast<char*>(p));
  if (it == allocations().end()) throw Fault("release of memory that was never allocated");
  const Allocation a = it->second;
  unguard(a.whole, a.bytes + 2 * kGlobalRedZone);
  std::free(a.whole);
  allocations().erase(it);
}

}  // namespace simt
