// ISA choice: Highway's run-time dispatch under the names of isa.h, with UPSCALE_ISA as override.
// clang-format off
#include "kernels/cpu/targets.h"  // before Highway
// clang-format on

#include "kernels/cpu/isa.h"

#include <hwy/highway.h>

#include <cstdint>
#include <cstdlib>

#include "kernels/cpu/isa_ready.h"
#include "kernels/error.h"

namespace ups::cpu {
namespace {

struct Entry {
  const char* name;
  int64_t target;
};
// Best first. An x86-64 without SSSE3 (before 2006) gets Highway's emulated vectors.
constexpr Entry kEntries[] = {
#if HWY_ARCH_X86
    {"avx512", HWY_AVX3}, {"avx2", HWY_AVX2}, {"baseline", HWY_SSSE3 | HWY_STATIC_TARGET}
#elif HWY_ARCH_ARM
    {"neon", HWY_NEON}
#else
    {"baseline", HWY_STATIC_TARGET}
#endif
};

int64_t usable_targets() {
  static const int64_t targets = hwy::SupportedTargets() & (HWY_TARGETS | HWY_STATIC_TARGET);
  return targets;
}

void choose(int64_t target) {
  target &= usable_targets();
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(target);
}

const Entry* g_current = nullptr;

const Entry* find(const std::string& name) {
  for (const Entry& e : kEntries)
    if (e.name == name && (usable_targets() & e.target)) return &e;
  std::string known;
  for (const std::string& n : isa_available()) known += (known.empty() ? "" : ", ") + n;
  fail(Code::usage, "UPSCALE_ISA: got '", name, "', expected one of: ", known);
}

}  // namespace

void isa_ready() {
  static const bool once = [] {
    if (g_current) return true;  // isa_force came first
    const char* wanted = std::getenv("UPSCALE_ISA");
    g_current = find(wanted && *wanted ? wanted : isa_available().front());
    choose(g_current->target);
    return true;
  }();
  (void)once;
}

std::string isa_name() {
  isa_ready();
  return g_current->name;
}

std::vector<std::string> isa_available() {
  std::vector<std::string> names;
  for (const Entry& e : kEntries)
    if (usable_targets() & e.target) names.push_back(e.name);
  return names;
}

void isa_force(const std::string& name) {
  g_current = find(name);
  choose(g_current->target);
}

}  // namespace ups::cpu
