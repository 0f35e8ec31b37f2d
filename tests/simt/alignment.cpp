// Loads and stores at addresses that are no multiple of the access's size, which a device refuses and hosts
// allow: kernels are compiled with -fsanitize=alignment, and this is what its checks call.
#include <cstdint>

#include "tests/simt/block.h"

#if defined(UPS_SIMT_ALIGNMENT)
namespace {
// As compilers lay out their reports (sanitizer runtime, ubsan_handlers.h).
struct Report {
  const char* file;
  uint32_t line, column;
  const void* type;
  unsigned char log_alignment, kind;
};
}  // namespace

extern "C" void __ubsan_handle_type_mismatch_v1(const Report* report, uintptr_t) {
  simt::misaligned(std::string("access at an address that is not a multiple of ") +
                   std::to_string(1 << report->log_alignment) + " (" + report->file + ", line " +
                   std::to_string(report->line) + ")");
}
#endif
