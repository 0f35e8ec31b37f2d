// What every file of the C API shares: exceptions become a status and a sentence, C images become views.
#pragma once

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "kernels/error.h"
#include "runtime/image.h"
#include "upscale.h"

namespace ups {

// Keeps the sentence, and what follows in it, for ups_last_error on this thread; returns the status.
ups_status report(ups_status status, const char* sentence, const char* more = "") noexcept;
const char* last_sentence();

// Runs fn and turns exceptions into a status and a sentence.
template <class Fn>
ups_status guarded(Fn&& fn) {
  try {
    fn();
    return UPS_OK;
  } catch (const Error& e) {
    return report(ups_status(int(e.code)), e.what());
  } catch (const std::bad_alloc&) {
    return report(UPS_ERROR_MEMORY, "memory: an allocation failed (use a smaller tile or a smaller image)");
  } catch (const std::length_error&) {
    return report(UPS_ERROR_MEMORY, "memory: the image is too large for this machine");
  } catch (const std::system_error& e) {  // of std::thread
    if (e.code() == std::errc::resource_unavailable_try_again)
      return report(UPS_ERROR_MEMORY, "memory: there is none for another thread, or too many of them");
    return report(UPS_ERROR_DEVICE, "internal error: ", e.what());
  } catch (const std::exception& e) {
    return report(UPS_ERROR_DEVICE, "internal error: ", e.what());
  }
}

// A caller's struct, whatever version of it he was compiled with: what he does not have is 0, and so is all
// of one that is NULL. Error{Code::usage} for an impossible size.
template <class T>
T read_struct(const T* given, const char* name) {
  T out{};
  if (!given) return out;
  check(given->size >= sizeof(size_t) && given->size <= 65536, Code::usage, name, ": size is ", given->size,
        ", expected sizeof(", name, ") = ", sizeof out);
  std::memcpy(&out, given, std::min(given->size, sizeof out));
  return out;
}

// Error{Code::usage} unless an enumerator that came in is one of 0..last. It is read as the integer it is in
// C: in C++ a value beyond the enumeration must not even be loaded.
template <class E>
void check_choice(const char* name, const E& got, E last) {
  int value;
  static_assert(sizeof got == sizeof value);
  std::memcpy(&value, &got, sizeof value);
  check(value >= 0 && value <= int(last), Code::usage, name, ": got ", value, ", expected 0 to ", int(last));
}

// A factor as callers give it: 0 stands for 1, which changes nothing, and what is below 0 counts as 0.
inline float read_factor(float given) { return given == 0 ? 1 : given < 0 ? 0 : given; }

// Error{Code::usage} for a count of threads that no machine has.
inline void check_threads(int threads) {
  check(threads >= 0 && threads <= 4096, Code::usage, "threads: got ", threads, ", expected 0 to 4096");
}

// Error{Code::usage} for a budget below 0.
inline void check_memory(int64_t bytes) {
  check(bytes >= 0, Code::usage, "max_memory_bytes: got ", bytes, ", expected at least 0");
}

// A checked view; `who` names it in messages. Error{Code::usage} for NULL, sizes, channels, depth, stride.
Image view(const ups_image* image, const char* who, bool needs_data);

}  // namespace ups
