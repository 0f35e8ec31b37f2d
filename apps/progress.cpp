// At most ten updates a second.
#include "apps/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/terminal.h"

namespace ups::apps {
namespace {

// One line, whole, whoever else writes. Names that are not UTF-8 get replacement characters.
void print_json(const nlohmann::ordered_json& j) {
  std::string line = j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  fwrite(line.data(), 1, line.size(), stderr);
  fflush(stderr);
}

// Seconds until all is done, of which `fraction` took `seconds`; -1: too early to tell.
double left_of(double seconds, double fraction, double done) {
  return fraction > 0.005 ? seconds / fraction * (1 - done) : -1;
}

}  // namespace

std::string clock_text(double seconds) {
  long s = long(std::lround(std::clamp(seconds, 0.0, 3.6e8)));
  char text[40];
  if (s >= 3600)
    snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else
    snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
  return text;
}

std::string seconds_text(double seconds) {
  if (seconds >= 600) return clock_text(seconds);
  char text[40];
  snprintf(text, sizeof text, seconds < 10 ? "%.2f s" : "%.0f s", seconds);
  return text;
}

std::string progress_line(const std::string& before, const std::string& name, double done,
                          const std::string& after, size_t columns) {
  constexpr size_t kMost = 28, kLeast = 8;  // of the name and of the bar
  const size_t fixed = before.size() + after.size() + 1;
  const size_t room = std::max(columns, fixed) - fixed;
  const std::string shown = shortened(name, std::clamp(room - std::min(room, kLeast), kLeast, kMost));
  const size_t taken =
      size_t(std::count_if(shown.begin(), shown.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
  const size_t width = std::min(kMost, room - std::min(room, taken));
  const size_t filled = size_t(std::clamp(done, 0.0, 1.0) * double(width));
  const std::string line =
      before + shown + " " + std::string(filled, '#') + std::string(width - filled, '.') + after;
  return shortened(line, columns);
}

Progress::Progress(ProgressMode mode, bool quiet)
    : bar_(mode == ProgressMode::automatic && !quiet && isatty(2)), json_(mode == ProgressMode::json) {}

void Progress::begin_run(int count, int skipped, int64_t pixels) {
  all_pixels_ = pixels;
  run_start_ = Clock::now();
  if (json_) print_json({{"event", "run"}, {"count", count}, {"skipped", skipped}, {"pixels", pixels}});
}

void Progress::begin(const std::string& name, int index, int count, int64_t pixels) {
  name_ = name, index_ = index, count_ = count, pixels_ = pixels;
  start_ = Clock::now();
  last_ = start_;
  first_done_ = -1;
  if (json_) {
    print_json(
        {{"event", "start"}, {"input", name_}, {"index", index_}, {"count", count_}, {"pixels", pixels_}});
  }
}

void Progress::passed(int64_t pixels) { passed_pixels_ += pixels; }

void Progress::update(double done) {
  if (!bar_ && !json_) return;
  Clock::time_point now = Clock::now();
  if (first_done_ < 0) first_done_ = done, first_ = now;
  if (now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  double elapsed = std::chrono::duration<double>(now - start_).count();
  double run_elapsed = std::chrono::duration<double>(now - run_start_).count();
  double left = left_of(std::chrono::duration<double>(now - first_).count(), done - first_done_, done);
  double all = double(std::max(all_pixels_, passed_pixels_ + pixels_));
  double total_done = all > 0 ? (double(passed_pixels_) + done * double(pixels_)) / all : done;
  double total_left = left_of(run_elapsed, total_done, total_done);
  if (json_) {
    nlohmann::ordered_json j = {{"event", "progress"}, {"input", name_}, {"index", index_},
                                {"count", count_},     {"done", done},   {"elapsed_seconds", elapsed}};
    if (left >= 0) j["eta_seconds"] = left;
    j["total_done"] = total_done;
    if (total_left >= 0) j["total_eta_seconds"] = total_left;
    print_json(j);
    return;
  }
  char percent[16];
  snprintf(percent, sizeof percent, " %3.0f %%  ", done * 100);
  std::string before, after = percent + (left >= 0 ? clock_text(left) : "-:--") + " left";
  if (count_ > 1) {
    before = "[" + std::to_string(index_) + "/" + std::to_string(count_) + "] ";
    after += ", all " + (total_left >= 0 ? clock_text(total_left) : "-:--");
  }
  const size_t columns = terminal_columns(2);
  const std::string line = progress_line(before, std::filesystem::path(name_).filename().string(), done,
                                         after, (columns ? columns : 80) - 1);
  fprintf(stderr, "\r%s\033[K", line.c_str());
  fflush(stderr);
  drawn_ = true;
}

void Progress::end_run(int done, int failed, int skipped, bool cancelled) {
  if (!json_) return;
  double seconds = std::chrono::duration<double>(Clock::now() - run_start_).count();
  print_json({{"event", "end"},
              {"done", done},
              {"failed", failed},
              {"skipped", skipped},
              {"cancelled", cancelled},
              {"seconds", seconds}});
}

void Progress::end() {
  if (drawn_) fputs("\r\033[K", stderr), fflush(stderr);
  drawn_ = false;
}

void Progress::finished(const std::string& in, const std::string& out, int index, int count, double seconds) {
  if (json_) {
    print_json({{"event", "done"},
                {"input", in},
                {"output", out},
                {"index", index},
                {"count", count},
                {"seconds", seconds}});
  }
}

void Progress::failed(const std::string& in, int index, int count, int code, const std::string& sentence) {
  if (json_) {
    print_json({{"event", "error"},
                {"input", in},
                {"index", index},
                {"count", count},
                {"code", code},
                {"message", sentence}});
  }
}

}  // namespace ups::apps
