// JSON lines, read once and appended to.
#include "apps/manifest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/failure.h"
#include "apps/output_file.h"

namespace ups::apps {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kMaxManifestBytes = int64_t(1) << 30;

std::string dumped(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); }

// As the file spells them, so that names that are not UTF-8 compare equal to what was written.
std::string key_of(const std::string& in, const std::string& out) { return dumped(Json::array({in, out})); }

}  // namespace

FileStamp stamp_of(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return {};
  return {int64_t(s.st_size), int64_t(s.st_mtim.tv_sec) * 1000000000 + s.st_mtim.tv_nsec};
}

Manifest::Manifest(const std::string& path, const std::string& settings, bool append)
    : path_(path), settings_(settings) {
  bool whole = true;
  std::error_code ignored;  // open() tells what is wrong
  if (fs::exists(path, ignored)) {
    const std::string text = read_file(path, kMaxManifestBytes);
    whole = text.empty() || text.back() == '\n';
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      Json j = Json::parse(line, nullptr, false);
      if (!j.is_object()) continue;
      try {
        const std::string key = key_of(j.at("input"), j.at("output"));
        if (j.at("state") == "done" && j.at("settings") == settings_)
          entries_[key] = {{j.at("input_bytes"), j.at("input_modified_ns")}, j.at("output_bytes")};
        else
          entries_.erase(key);  // the last line about a file counts
      } catch (const Json::exception&) {
      }
    }
  }
  if (!append) return;
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(kIo, "--resume: cannot write ", path, " (", strerror(errno), ")");
  if (!whole) write_line("\n");  // a line was cut off; the next must not continue it
}

Manifest::~Manifest() {
  if (fd_ >= 0) close(fd_);
}

bool Manifest::done(const Job& job) const {
  auto it = entries_.find(key_of(absolute_path(job.in), absolute_path(job.out)));
  return it != entries_.end() && stamp_of(job.in) == it->second.input &&
         stamp_of(job.out).bytes == it->second.output_bytes;
}

void Manifest::write_line(const std::string& line) {
  if (write(fd_, line.data(), line.size()) != ssize_t(line.size()))
    fail(kIo, "--resume: cannot write ", path_, " (", strerror(errno), ")");
}

void Manifest::add_done(const Job& job, const FileStamp& input, double seconds) {
  if (fd_ < 0) return;
  write_line(dumped({{"state", "done"},
                     {"input", absolute_path(job.in)},
                     {"input_bytes", input.bytes},
                     {"input_modified_ns", input.modified_ns},
                     {"output", absolute_path(job.out)},
                     {"output_bytes", stamp_of(job.out).bytes},
                     {"settings", settings_},
                     {"seconds", seconds}}) +
             "\n");
}

void Manifest::add_failed(const Job& job, const FileStamp& input, int code, const std::string& sentence) {
  if (fd_ < 0) return;
  write_line(dumped({{"state", "failed"},
                     {"input", absolute_path(job.in)},
                     {"input_bytes", input.bytes},
                     {"input_modified_ns", input.modified_ns},
                     {"output", absolute_path(job.out)},
                     {"settings", settings_},
                     {"code", code},
                     {"message", sentence}}) +
             "\n");
}

}  // namespace ups::apps
