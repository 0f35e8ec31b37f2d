// What a batch has done, kept beside it: one JSON object a line, appended as each file ends. A later run with
// the same manifest leaves out what is done. docs/batches.md has the fields.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "apps/jobs.h"

namespace ups::apps {

// Tells whether a file has changed.
struct FileStamp {
  int64_t bytes = -1, modified_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp stamp_of(const std::string& path);  // bytes -1: there is no such file

class Manifest {
 public:
  Manifest() = default;
  // Reads what is there; lines that are cut off or foreign are ignored. `settings` is what else decides the
  // result: entries made with other settings do not count. With `append` false nothing is written, nor the
  // file made. Throws Failure(kIo).
  Manifest(const std::string& path, const std::string& settings, bool append);
  ~Manifest();
  Manifest(const Manifest&) = delete;
  Manifest& operator=(const Manifest&) = delete;

  // Whether this input, unchanged, has been made into this output, which is still there.
  bool done(const Job& job) const;
  // Each is one append, whole even when several processes share the manifest. Throws Failure(kIo).
  void add_done(const Job& job, const FileStamp& input, double seconds);
  void add_failed(const Job& job, const FileStamp& input, int code, const std::string& sentence);

 private:
  struct Entry {
    FileStamp input;
    int64_t output_bytes;
  };
  void write_line(const std::string& line);
  std::string path_, settings_;
  std::unordered_map<std::string, Entry> entries_;  // by input and output
  int fd_ = -1;
};

}  // namespace ups::apps
