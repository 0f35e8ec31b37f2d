// sysconf, the files of cgroups, statvfs.
#include "apps/machine.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace ups::apps {
namespace fs = std::filesystem;

int64_t memory_bytes() {
  static const int64_t bytes = [] {
    int64_t least = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
    for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
      int64_t limit = 0;  // "max" where there is none
      if (std::ifstream(file) >> limit && limit > 0) least = least > 0 ? std::min(least, limit) : limit;
    }
    return std::max<int64_t>(least, 0);
  }();
  return bytes;
}

int64_t free_disk_bytes(const std::string& path) {
  std::error_code ignored;
  fs::path folder = fs::absolute(path, ignored).parent_path();
  while (!folder.empty() && folder != folder.root_path() && !fs::exists(folder, ignored))
    folder = folder.parent_path();  // those of a tree are made later
  struct statvfs s;
  if (statvfs(folder.c_str(), &s) != 0) return -1;
  return int64_t(s.f_bavail) * int64_t(s.f_frsize);
}

std::string bytes_text(double bytes) {
  char text[32];
  if (bytes >= 1e9)
    snprintf(text, sizeof text, bytes >= 1e10 ? "%.0f GB" : "%.1f GB", bytes / 1e9);
  else
    snprintf(text, sizeof text, bytes >= 1e7 ? "%.0f MB" : "%.2f MB", bytes / 1e6);
  return text;
}

}  // namespace ups::apps
