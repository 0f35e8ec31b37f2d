// A stream of our own in the place of stderr that asks which thread is writing. Redirecting the file
// descriptor would silence every thread.
#include "apps/quiet_library.h"

#include <stdio.h>
#include <unistd.h>

#include <mutex>

namespace ups::apps {
namespace {

thread_local int quiet = 0;

#ifdef __GLIBC__
ssize_t on_write(void*, const char* data, size_t bytes) {
  for (size_t at = 0; !quiet && at < bytes;) {
    const ssize_t n = write(2, data + at, bytes - at);
    if (n <= 0) break;  // there is nobody to tell
    at += size_t(n);
  }
  return ssize_t(bytes);
}

void replace_stderr() {
  FILE* ours = fopencookie(nullptr, "w", {nullptr, on_write, nullptr, nullptr});
  if (!ours) return;
  setvbuf(ours, nullptr, _IONBF, 0);
  fflush(stderr);
  stderr = ours;
}
#else
void replace_stderr() {}
#endif

}  // namespace

QuietLibrary::QuietLibrary() {
  static std::once_flag once;
  std::call_once(once, replace_stderr);
  quiet++;
}

QuietLibrary::~QuietLibrary() { quiet--; }

}  // namespace ups::apps
