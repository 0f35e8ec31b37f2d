// How the command line tool fails: one sentence and an exit code. The codes are those of ups_status, plus 2.
#pragma once

#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>

#include "upscale.h"

namespace ups::apps {

enum Exit {
  kOk = 0,
  kUsage = 1,
  kPartial = 2,  // some of several inputs failed
  kModel = 3,
  kDevice = 4,
  kMemory = 5,
  kIo = 6,
  kCancelled = 130
};

struct Failure : std::runtime_error {
  Failure(int code, const std::string& sentence) : std::runtime_error(sentence), code(code) {}
  int code;
};

template <class... Parts>
[[noreturn]] void fail(int code, const Parts&... parts) {
  std::ostringstream sentence;
  (sentence << ... << parts);
  throw Failure(code, sentence.str());
}

// What was thrown, which may be anything, as a failure.
Failure failure_of(const std::exception_ptr& error);

// A library call that must succeed.
inline void check(ups_status status) {
  if (status != UPS_OK) throw Failure(status, ups_last_error());
}

}  // namespace ups::apps
