// What happens on the device underneath the library: graph launches and memory, seen by wrapping the CUDA
// runtime's functions at link time (-Wl,--wrap). So what is measured is what the program does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ups::bench {

// While set, every replay of a recorded network is repeated `repeats` times between two events (a replay
// computes the same from the same input). 0: replays are left alone.
void probe_graphs(int repeats);
// Milliseconds per replay, of each launch since the last call.
std::vector<double> take_graph_times();

struct DeviceUse {
  int64_t live = 0, peak = 0;  // bytes asked for by the library
};
DeviceUse device_use();
void reset_peak();

// Of the first device, by the driver: bytes that are taken, by whomever.
int64_t driver_used_bytes();
// The highest value of that seen after any allocation since reset_peak().
int64_t driver_peak_bytes();
// "13.0": of the runtime in this program, and the newest that the driver supports.
std::string runtime_version();
std::string driver_cuda_version();
// Returns the memory pool's unused memory to the driver.
void trim_pool();

}  // namespace ups::bench
