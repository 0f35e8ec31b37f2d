// Large allocations from the operating system.
#include "runtime/arena.h"

#include "kernels/error.h"

#if defined(_WIN32)
#include <malloc.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#endif

namespace ups {

#if !defined(_WIN32)
namespace {

// A mapping of a new file that has no name: its room is reserved, so that no later write can fail.
void* map_temporary_file(size_t bytes) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  std::string name = ((error ? std::filesystem::path("/tmp") : folder) / "upscale-XXXXXX").string();
  const int file = mkstemp(name.data());
  check(file >= 0, Code::io, "arena: cannot create a temporary file ", name, ": ", std::strerror(errno));
  unlink(name.c_str());
#if defined(__linux__)
  const int status = posix_fallocate(file, 0, off_t(bytes));
#else
  const int status = ftruncate(file, off_t(bytes)) ? errno : 0;
#endif
  void* p = status ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  check(p != MAP_FAILED, Code::io, "arena: cannot get ", bytes >> 20, " MiB for a temporary file beside ",
        name, ": ", std::strerror(status ? status : errno), " (set TMPDIR to a folder with room)");
  return p;
}

}  // namespace
#endif

void Arena::forget() {
#if !defined(_WIN32)
  if (in_file_ && data_) madvise(data_, bytes_, MADV_DONTNEED);  // of a shared mapping: the file keeps it
#endif
}

void* Arena::reserve(size_t bytes, bool in_file) {
  if (bytes <= bytes_ && in_file == in_file_) {
    give_back_from(bytes);
    return data_;
  }
  release();
#if !defined(_WIN32)
  if (in_file) {
    data_ = map_temporary_file(bytes);
    bytes_ = used_ = bytes, in_file_ = true;
    return data_;
  }
#endif
#if defined(_WIN32)
  data_ = _aligned_malloc(bytes, 4096);
  check(data_ != nullptr, Code::memory, "arena: cannot allocate ", bytes >> 20, " MiB (use a smaller tile)");
#else
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(p != MAP_FAILED, Code::memory, "arena: cannot allocate ", bytes >> 20, " MiB (use a smaller tile)");
#if defined(MADV_HUGEPAGE)
  madvise(p, bytes, MADV_HUGEPAGE);  // fewer TLB misses: transforms stride over megabytes
#endif
  data_ = p;
#endif
  bytes_ = used_ = bytes;
  return data_;
}

// A first pass in one large tile would otherwise hold its memory through all later ones.
void Arena::give_back_from(size_t bytes) {
#if !defined(_WIN32)
  constexpr size_t kPage = size_t(2) << 20;  // huge pages stay whole
  const size_t from = (bytes + kPage - 1) / kPage * kPage;
  if (from < used_) madvise(static_cast<char*>(data_) + from, used_ - from, MADV_DONTNEED);
#endif
  used_ = bytes;
}

void Arena::release() {
#if defined(_WIN32)
  _aligned_free(data_);
#else
  if (data_) munmap(data_, bytes_);
#endif
  data_ = nullptr, bytes_ = used_ = 0, in_file_ = false;
}

}  // namespace ups
