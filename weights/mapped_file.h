// MappedFile: the read-only bytes of a file, mapped into memory for the lifetime of the object.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace ups {

class MappedFile {
 public:
  // Throws Error{Code::io} when `path` is missing, unreadable or not a regular file. An empty file is an
  // empty span. The file must not be truncated by others while mapped.
  static std::shared_ptr<const MappedFile> open(const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  MappedFile() = default;
  std::span<const std::byte> bytes_;
};

}  // namespace ups
