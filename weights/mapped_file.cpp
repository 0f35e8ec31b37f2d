// MappedFile over POSIX mmap; elsewhere the file is read into memory.
#include "weights/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "kernels/error.h"

#ifndef _WIN32
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace ups {

#ifndef _WIN32

namespace {
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};
}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  check(file.fd >= 0, Code::io, path, ": cannot open for reading: ", std::strerror(errno));
  struct stat status {};
  check(::fstat(file.fd, &status) == 0, Code::io, path, ": cannot read its size: ", std::strerror(errno));
  check(!S_ISDIR(status.st_mode), Code::io, path, ": is a folder, expected a file");
  check(S_ISREG(status.st_mode), Code::io, path, ": is not a regular file");
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  if (status.st_size > 0) {
    void* data = ::mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_PRIVATE, file.fd, 0);
    check(data != MAP_FAILED, Code::io, path, ": cannot map ", int64_t(status.st_size),
          " bytes: ", std::strerror(errno));
    mapped->bytes_ = {static_cast<const std::byte*>(data), size_t(status.st_size)};
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

#else

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  std::error_code error;
  check(!std::filesystem::is_directory(path, error), Code::io, path, ": is a folder, expected a file");
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  check(bool(file), Code::io, path, ": cannot open for reading");
  const auto size = static_cast<size_t>(file.tellg());
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  if (size > 0) {
    auto* data = new std::byte[size];
    mapped->bytes_ = {data, size};
    file.seekg(0);
    file.read(reinterpret_cast<char*>(data), std::streamsize(size));
    check(bool(file), Code::io, path, ": cannot read ", size, " bytes");
  }
  return mapped;
}

MappedFile::~MappedFile() { delete[] bytes_.data(); }

#endif

}  // namespace ups
