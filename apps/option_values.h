// Values of options: ranges checked, one sentence when they are wrong.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <map>
#include <string>

#include "apps/failure.h"

namespace ups::apps {

inline long integer(const std::string& option, const std::string& text, long least, long most) {
  char* end = nullptr;
  errno = 0;
  long v = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end || errno || v < least || v > most) {
    fail(kUsage, option, ": got '", text, "', expected a whole number from ", least, " to ", most);
  }
  return v;
}

inline double number(const std::string& option, const std::string& text, double least, double most) {
  char* end = nullptr;
  double v = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || !(v >= least && v <= most)) {
    fail(kUsage, option, ": got '", text, "', expected a number from ", least, " to ", most);
  }
  return v;
}

template <class T>
T choice(const std::string& option, const std::string& text, const std::map<std::string, T>& values) {
  auto it = values.find(text);
  if (it != values.end()) return it->second;
  std::string names;
  for (const auto& [name, value] : values) names += (names.empty() ? "" : ", ") + name;
  fail(kUsage, option, ": got '", text, "', expected one of ", names);
}

}  // namespace ups::apps
