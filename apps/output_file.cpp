// Temporary, then rename: readers never see half a file.
#include "apps/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "apps/failure.h"

namespace ups::apps {
namespace fs = std::filesystem;

namespace {

// A short name of its own beside the target: the target's name plus a suffix could exceed 255 bytes.
std::string temporary_name(const std::string& target) {
  static std::atomic<int> counter{0};
  std::string name = ".upscale-" + std::to_string(getpid()) + "-" + std::to_string(counter++) + ".part";
  return (fs::path(target).parent_path() / name).string();
}

void write_to(int fd, const std::string& path, const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t n = ::write(fd, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(kIo, path, ": writing failed (", strerror(errno), ")");
    p += n;
    bytes -= size_t(n);
  }
}

bool stdout_was_closed = false;

}  // namespace

void fill_closed_streams() {
  for (int fd : {0, 1, 2}) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    stdout_was_closed |= fd == STDOUT_FILENO;
    if (open("/dev/null", O_RDWR) != fd) break;
  }
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  if (path == "-") {
    FILE* f = std::tmpfile();
    fd_ = f ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 0) : -1;
    if (f) fclose(f);
    if (fd_ < 0) fail(kIo, "output -: no temporary file can be made (", strerror(errno), ")");
    return;
  }
  std::error_code ignored;
  fs::path target(path);
  fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  if (target.filename().empty() || fs::is_directory(target, ignored)) {
    fail(kIo, path, ": is a folder, expected a file name to write to");
  }
  const long most = pathconf(folder.c_str(), _PC_NAME_MAX);
  if (const size_t n = target.filename().string().size(); most > 0 && n > size_t(most)) {
    fail(kIo, path, ": the name has ", n, " bytes, the file system takes ", most, " (choose a shorter one)");
  }
  if (!fs::is_directory(folder, ignored)) {
    fail(kIo, path, ": the folder ", folder.string(), " does not exist (create it first)");
  }
  for (int links = 0; fs::is_symlink(target, ignored) && links < 40;
       links++) {  // write through them, as a shell
    const fs::path next =
        fs::weakly_canonical(target.parent_path() / fs::read_symlink(target, ignored), ignored);
    if (ignored || next.empty()) break;
    path_ = next.string(), folder = next.parent_path(), target = next;
  }
  if (fs::exists(target, ignored) && !fs::is_regular_file(target, ignored)) {
    fail(kIo, path, ": is a device or a pipe, expected a regular file");  // a rename would replace it
  }
#ifdef O_TMPFILE
  // A file without a name until commit(): even a killed process leaves nothing behind.
  if (access("/proc/self/fd", X_OK) == 0) {
    fd_ = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd_ >= 0) return;
  }
#endif
  for (int attempt = 0; attempt < 100; attempt++) {
    temporary_ = temporary_name(path_);
    fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0) return;
    if (errno != EEXIST) break;
  }
  temporary_.clear();
  fail(kIo, path, ": cannot write in the folder ", folder.string(), " (", strerror(errno), ")");
}

OutputFile::~OutputFile() { discard(); }

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::exchange(other.path_, {});
    temporary_ = std::exchange(other.temporary_, {});
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void OutputFile::write(const void* data, size_t bytes) { write_to(fd_, path_, data, bytes); }

void OutputFile::write_at(uint64_t offset, const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t n = pwrite(fd_, p, bytes, off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(kIo, path_, ": writing failed (", strerror(errno), ")");
    p += n, offset += uint64_t(n), bytes -= size_t(n);
  }
}

size_t OutputFile::read_at(uint64_t offset, void* data, size_t bytes) {
  size_t got = 0;
  while (got < bytes) {
    ssize_t n = pread(fd_, static_cast<char*>(data) + got, bytes - got, off_t(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(kIo, path_, ": reading back failed (", strerror(errno), ")");
    if (n == 0) break;
    got += size_t(n);
  }
  return got;
}

std::string OutputFile::written() {
  std::string all;
  char block[1 << 16];
  while (const size_t n = read_at(all.size(), block, sizeof block)) all.append(block, n);
  return all;
}

void OutputFile::commit() {
  if (path_ == "-") {
    if (stdout_was_closed) fail(kIo, "output -: the standard output is closed, expected a pipe or a file");
    std::vector<char> block(1 << 18);
    uint64_t at = 0;
    while (const size_t n = read_at(at, block.data(), block.size())) {
      write_to(STDOUT_FILENO, path_, block.data(), n);
      at += n;
    }
    return discard();
  }
  if (temporary_.empty()) {  // unnamed so far; linkat() replaces no file, so it gets a temporary name first
    std::string fd_path = "/proc/self/fd/" + std::to_string(fd_);
    for (int attempt = 0; attempt < 100; attempt++) {
      std::string name = temporary_name(path_);
      if (linkat(AT_FDCWD, fd_path.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
        temporary_ = name;
        break;
      }
      if (errno != EEXIST) break;
    }
    if (temporary_.empty()) fail(kIo, path_, ": cannot be put in place (", strerror(errno), ")");
  }
  int rc = close(std::exchange(fd_, -1));
  if (rc != 0) fail(kIo, path_, ": writing failed (", strerror(errno), ")");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail(kIo, path_, ": cannot be put in place (", strerror(errno), ")");
  }
  temporary_.clear();
}

void OutputFile::discard() noexcept {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

void make_folder(const std::string& folder) {
  if (folder.empty()) return;
  std::error_code error, ignored;
  fs::create_directories(folder, error);
  if (!fs::is_directory(folder, ignored))
    fail(kIo, "output ", folder, ": the folder cannot be created (", error.message(), ")");
}

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const fs::path p = fs::weakly_canonical(path, error);
  return (error ? fs::absolute(path, error) : p).string();
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  int fd = open(path == "-" ? "/dev/stdin" : path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(kIo, path, ": cannot be opened (", strerror(errno), ")");
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  struct stat st;
  if (fstat(fd, &st) != 0) fail(kIo, path, ": cannot be read (", strerror(errno), ")");
  if (S_ISDIR(st.st_mode)) fail(kIo, path, ": is a folder, expected a file");
  if (st.st_size > max_bytes) {
    fail(kIo, path, ": got ", st.st_size, " bytes, expected at most ", max_bytes);
  }
  // Pipes and /proc files have no size, so read to the end in any case, growing as data really arrives.
  std::string data(size_t(st.st_size) + 1, '\0');
  size_t used = 0;
  for (;;) {
    if (used == data.size()) data.resize(data.size() + (1 << 20));
    ssize_t n = read(fd, data.data() + used, data.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(kIo, path, ": cannot be read (", strerror(errno), ")");
    if (n == 0) break;
    used += size_t(n);
    if (int64_t(used) > max_bytes) fail(kIo, path, ": is larger than ", max_bytes, " bytes");
  }
  data.resize(used);
  return data;
}

}  // namespace ups::apps
