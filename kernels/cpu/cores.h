// How many threads the machine, or the container, runs at once.
#pragma once

#include <string>

namespace ups {

// Cores that this process may use: its affinity mask, and on Linux the CPU quota of its control groups
// (version 2), rounded up. At least 1.
int available_cores();

// The smallest quota of a group and those above it, in cores, rounded up; 0 if there is none.
// group: as /proc/self/cgroup names it ("/a/b"); root: where the hierarchy is mounted.
int cgroup_cores(const std::string& root, std::string group);

}  // namespace ups
