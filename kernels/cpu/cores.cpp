// available_cores: the affinity mask, and cpu.max of the control groups.
#include "kernels/cpu/cores.h"

#include <algorithm>
#include <fstream>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace ups {

int cgroup_cores(const std::string& root, std::string group) {
  int64_t least = 0;
  for (;;) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    // "200000 100000": microseconds of processor time in each period; "max 100000": no limit.
    int64_t quota = 0, period = 0;
    if (std::ifstream(root + group + "/cpu.max") >> quota >> period && quota > 0 && period > 0) {
      const int64_t cores = std::min<int64_t>((quota - 1) / period + 1, 1 << 20);
      least = least == 0 ? cores : std::min(least, cores);
    }
    if (group.empty()) return int(least);
    group.resize(std::min(group.size() - 1, group.find_last_of('/')));
  }
}

int available_cores() {
  int cores = int(std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::"))  // version 2
      if (const int quota = cgroup_cores("/sys/fs/cgroup", line.substr(3)); quota > 0)
        cores = std::min(cores, quota);
#endif
  return std::max(1, cores);
}

}  // namespace ups
