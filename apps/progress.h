// How far a run is: a bar with percent and remaining time on a terminal, JSON lines for programs, or nothing.
// Everything goes to stderr.
#pragma once

#include <chrono>
#include <string>

#include "apps/options.h"

namespace ups::apps {

class Progress {
 public:
  Progress(ProgressMode mode, bool quiet);
  // Image `index` (1-based) of `count`.
  void begin(const std::string& name, int index, int count);
  void update(double done);  // 0..1 of this image
  void end();                // clears the bar
  // One image is written. JSON only.
  void finished(const std::string& in, const std::string& out, int index, int count, double seconds);
  void failed(const std::string& in, int index, int count, int code, const std::string& sentence);
  // JSON mode reports errors as lines of its own.
  bool json() const { return json_; }
  bool bar() const { return bar_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool bar_ = false, json_ = false, drawn_ = false;
  std::string name_;
  int index_ = 0, count_ = 0;
  Clock::time_point start_, last_;
};

// "0:07", "12:34", "1:02:03"
std::string clock_text(double seconds);
// "0.42 s", "73 s", "12:34"
std::string seconds_text(double seconds);

}  // namespace ups::apps
