// How much memory this process may use and how much a folder's disk can still take.
#pragma once

#include <cstdint>
#include <string>

namespace ups::apps {

// Of the machine, or of the control group that confines this process if that is less; 0: unknown.
int64_t memory_bytes();

// Free for us on the disk that will hold the file `path`; -1: unknown.
int64_t free_disk_bytes(const std::string& path);

// "3.1 GB", "512 MB".
std::string bytes_text(double bytes);

}  // namespace ups::apps
