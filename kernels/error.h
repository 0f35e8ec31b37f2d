// The one exception type of the library, and the one way to raise it.
//
// An error is a sentence: "who: got X, expected Y (hint)". Code tells the caller's exit status; see
// include/upscale.h for the meaning of each.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace ups {

enum class Code {
  usage = 1,       // an argument out of its documented range
  model = 3,       // a weight file that is damaged, hostile, or of an unsupported architecture
  device = 4,      // the compute device is missing or failed
  memory = 5,      // an allocation failed or would exceed the stated limit
  io = 6,          // a file could not be read or written
  cancelled = 130  // the progress callback asked to stop
};

struct Error : std::runtime_error {
  Error(Code code, const std::string& sentence) : std::runtime_error(sentence), code(code) {}
  Code code;
};

// Throws Error with the streamed parts as its sentence.
template <class... Parts>
[[noreturn]] void fail(Code code, const Parts&... parts) {
  std::ostringstream sentence;
  (sentence << ... << parts);
  throw Error(code, sentence.str());
}

// Throws Error unless `ok`. Parts are streamed only on failure (std::format needs GCC 13).
template <class... Parts>
void check(bool ok, Code code, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(code, parts...);
}

}  // namespace ups
