// ZipArchive: the stored (uncompressed) entries of a zip file in memory, by libzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

struct zip;

namespace ups {

class ZipArchive {
 public:
  // Reads the directory. Refuses compressed, encrypted and duplicate entries and sizes that cannot fit in
  // `file` together, so that reading every entry once allocates no more than the file's size. `file` must
  // outlive the archive. Throws Error{Code::model}.
  ZipArchive(std::span<const std::byte> file, const std::string& name);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  struct Entry {
    uint64_t index = 0, bytes = 0;
    bool stored = true;  // neither compressed nor encrypted
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const Entry* find(const std::string& path) const;
  // The content of a stored entry, its CRC-32 verified. Throws Error{Code::model} for any other entry.
  std::vector<std::byte> read(const std::string& path) const;

 private:
  std::string name_;
  zip* archive_ = nullptr;
  std::map<std::string, Entry> entries_;
};

}  // namespace ups
