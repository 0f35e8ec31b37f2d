// How far a run is: a bar with percent and remaining time on a terminal, JSON lines for programs, or nothing.
// Everything goes to stderr. docs/batches.md documents the lines.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "apps/options.h"

namespace ups::apps {

class Progress {
 public:
  Progress(ProgressMode mode, bool quiet);
  bool wanted() const { return bar_ || json_; }

  // The thread that computes calls these.
  void begin_run(int count, int skipped, int64_t pixels);  // pixels: of all inputs, as far as known
  void begin(const std::string& name, int index, int count,
             int64_t pixels);   // image `index` (1-based) of `count`
  void update(double done);     // 0..1 of this image
  void end();                   // clears the bar
  void passed(int64_t pixels);  // an image is computed or has failed

  // The thread that writes calls these. JSON only.
  void finished(const std::string& in, const std::string& out, int index, int count, double seconds);
  void failed(const std::string& in, int index, int count, int code, const std::string& sentence);
  // Last of all.
  void end_run(int done, int failed, int skipped, bool cancelled);

  // JSON mode reports errors as lines of its own.
  bool json() const { return json_; }
  bool bar() const { return bar_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool bar_ = false, json_ = false, drawn_ = false;
  std::string name_;
  int index_ = 0, count_ = 0;
  int64_t pixels_ = 0, all_pixels_ = 0, passed_pixels_ = 0;
  double first_done_ = -1;  // at the first update, when what waits for other files has waited
  Clock::time_point run_start_, start_, first_, last_;
};

// The bar between what stands before and after it, in at most so many columns: a longer line would wrap, and
// never be wiped.
std::string progress_line(const std::string& before, const std::string& name, double done,
                          const std::string& after, size_t columns);
// "0:07", "12:34", "1:02:03"
std::string clock_text(double seconds);
// "0.42 s", "73 s", "12:34"
std::string seconds_text(double seconds);

}  // namespace ups::apps
