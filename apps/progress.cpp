// At most ten updates a second.
#include "apps/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

namespace ups::apps {
namespace {

// One line, whole, whoever else writes. Names that are not UTF-8 get replacement characters.
void print_json(const nlohmann::ordered_json& j) {
  std::string line = j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  fwrite(line.data(), 1, line.size(), stderr);
  fflush(stderr);
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
  if (json_) {
    print_json(
        {{"event", "start"}, {"input", name_}, {"index", index_}, {"count", count_}, {"pixels", pixels_}});
  }
}

void Progress::passed(int64_t pixels) { passed_pixels_ += pixels; }

void Progress::update(double done) {
  if (!bar_ && !json_) return;
  Clock::time_point now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  auto left_of = [](double fraction, double elapsed) {
    return fraction > 0.005 ? elapsed / fraction * (1 - fraction) : -1;
  };
  double elapsed = std::chrono::duration<double>(now - start_).count();
  double run_elapsed = std::chrono::duration<double>(now - run_start_).count();
  double left = left_of(done, elapsed);
  double all = double(std::max(all_pixels_, passed_pixels_ + pixels_));
  double total_done = all > 0 ? (double(passed_pixels_) + done * double(pixels_)) / all : done;
  double total_left = left_of(total_done, run_elapsed);
  if (json_) {
    nlohmann::ordered_json j = {{"event", "progress"}, {"input", name_}, {"index", index_},
                                {"count", count_},     {"done", done},   {"elapsed_seconds", elapsed}};
    if (left >= 0) j["eta_seconds"] = left;
    j["total_done"] = total_done;
    if (total_left >= 0) j["total_eta_seconds"] = total_left;
    print_json(j);
    return;
  }
  std::string name = std::filesystem::path(name_).filename().string();
  if (name.size() > 28) {
    size_t cut = 25;
    while (cut > 0 && (uint8_t(name[cut]) & 0xc0) == 0x80) cut--;  // not inside a UTF-8 sequence
    name.replace(cut, std::string::npos, "...");
  }
  std::string total;
  if (count_ > 1) {
    std::ostringstream counted;
    counted << "[" << index_ << "/" << count_ << "] " << name;
    name = counted.str();
    total = ", all " + (total_left >= 0 ? clock_text(total_left) : "-:--");
  }
  int filled = int(std::clamp(done, 0.0, 1.0) * 28);
  std::string bar = std::string(size_t(filled), '#') + std::string(size_t(28 - filled), '.');
  fprintf(stderr, "\r%s %s %3.0f %%  %s left%s\033[K", name.c_str(), bar.c_str(), done * 100,
          left >= 0 ? clock_text(left).c_str() : "-:--", total.c_str());
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
