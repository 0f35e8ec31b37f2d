// Values of options: ranges checked, one sentence when they are wrong.
#pragma once

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "apps/failure.h"

namespace ups::apps {

// What stands behind an option. `option` is its first long name, for messages.
struct Value {
  std::string option, text;

  long integer(long least, long most) const {
    char* end = nullptr;
    errno = 0;
    long v = std::strtol(text.c_str(), &end, 10);
    if (text.empty() || *end || errno || v < least || v > most) {
      fail(kUsage, option, ": got '", text, "', expected a whole number from ", least, " to ", most);
    }
    return v;
  }

  double number(double least, double most) const {
    char* end = nullptr;
    double v = std::strtod(text.c_str(), &end);
    if (text.empty() || *end || !(v >= least && v <= most)) {
      fail(kUsage, option, ": got '", text, "', expected a number from ", least, " to ", most);
    }
    return v;
  }

  // "500M", "2G", "1.5GiB", "800000"
  int64_t bytes() const {
    char* end = nullptr;
    const double v = std::strtod(text.c_str(), &end);
    std::string unit(end);
    for (char& c : unit) c = char(std::toupper(uint8_t(c)));
    if (unit.size() > 1 && unit.back() == 'B') unit.pop_back();
    if (unit.size() > 1 && unit.back() == 'I') unit.pop_back();
    const double factor = unit.empty() || unit == "B" ? 1
                          : unit == "K"               ? 0x1p10
                          : unit == "M"               ? 0x1p20
                          : unit == "G"               ? 0x1p30
                                                      : 0;
    if (end == text.c_str() || factor == 0 || !std::isfinite(v) || !(v * factor >= 1) ||
        v * factor > 0x1p50) {
      fail(kUsage, option, ": got '", text, "', expected a size such as 500M or 2G");
    }
    return int64_t(v * factor);
  }

  template <class T>
  T choice(const std::map<std::string, T>& values) const {
    auto it = values.find(text);
    if (it != values.end()) return it->second;
    std::vector<std::string> names;
    for (const auto& [name, value] : values) names.push_back(name);
    refuse(std::move(names));
  }

  // Numbers by size and then words, whatever order the table has them in.
  [[noreturn]] void refuse(std::vector<std::string> expected) const {
    std::stable_sort(expected.begin(), expected.end(), [](const std::string& a, const std::string& b) {
      const double x = std::strtod(a.c_str(), nullptr), y = std::strtod(b.c_str(), nullptr);
      return x > 0 && (y <= 0 || x < y);
    });
    std::string names;
    for (const std::string& name : expected) names += (names.empty() ? "" : ", ") + name;
    fail(kUsage, option, ": got '", text, "', expected one of ", names);
  }

  Value with(const std::string& other_text) const { return {option, other_text}; }
};

}  // namespace ups::apps
