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

void Progress::begin(const std::string& name, int index, int count) {
  name_ = name, index_ = index, count_ = count;
  start_ = Clock::now();
  last_ = start_;
  if (json_) print_json({{"event", "start"}, {"input", name_}, {"index", index_}, {"count", count_}});
}

void Progress::update(double done) {
  if (!bar_ && !json_) return;
  Clock::time_point now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  double elapsed = std::chrono::duration<double>(now - start_).count();
  double left = done > 0.005 ? elapsed / done * (1 - done) : -1;
  if (json_) {
    nlohmann::ordered_json j = {{"event", "progress"}, {"input", name_}, {"index", index_},
                                {"count", count_},     {"done", done},   {"elapsed_seconds", elapsed}};
    if (left >= 0) j["eta_seconds"] = left;
    print_json(j);
    return;
  }
  std::string name = std::filesystem::path(name_).filename().string();
  if (name.size() > 28) {
    size_t cut = 25;
    while (cut > 0 && (uint8_t(name[cut]) & 0xc0) == 0x80) cut--;  // not inside a UTF-8 sequence
    name.replace(cut, std::string::npos, "...");
  }
  if (count_ > 1) {
    std::ostringstream counted;
    counted << "[" << index_ << "/" << count_ << "] " << name;
    name = counted.str();
  }
  int filled = int(std::clamp(done, 0.0, 1.0) * 28);
  std::string bar = std::string(size_t(filled), '#') + std::string(size_t(28 - filled), '.');
  fprintf(stderr, "\r%s %s %3.0f %%  %s left\033[K", name.c_str(), bar.c_str(), done * 100,
          left >= 0 ? clock_text(left).c_str() : "-:--");
  fflush(stderr);
  drawn_ = true;
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
