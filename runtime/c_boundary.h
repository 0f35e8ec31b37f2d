// What every file of the C API shares: exceptions become a status and a sentence, C images become views.
#pragma once

#include <new>
#include <stdexcept>
#include <string>

#include "kernels/error.h"
#include "runtime/image.h"
#include "upscale.h"

namespace ups {

// Keeps the sentence for ups_last_error on this thread; returns the status.
ups_status report(ups_status status, const std::string& sentence);
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
  } catch (const std::exception& e) {
    return report(UPS_ERROR_DEVICE, std::string("internal error: ") + e.what());
  }
}

// A checked view; `who` names it in messages. Error{Code::usage} for NULL, sizes, channels, depth, stride.
Image view(const ups_image* image, const char* who, bool needs_data);

}  // namespace ups
