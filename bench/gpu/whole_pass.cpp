// whole_pass.h
#include "bench/gpu/whole_pass.h"

#include <cstdlib>

#include "bench/gpu/device_probe.h"
#include "kernels/error.h"

namespace ups::bench {
namespace {

// Milliseconds of each run(), for about this time; a negative one ends it.
std::vector<double> repeat(double seconds, size_t least, size_t most, const std::function<double()>& run) {
  std::vector<double> all;
  const double until = now_s() + seconds;
  do {
    const double ms = run();
    if (ms < 0) break;
    all.push_back(ms);
  } while ((now_s() < until || all.size() < least) && all.size() < most);
  return all;
}

}  // namespace

void verify(ups_status status) {
  if (status != UPS_OK) throw Error(Code(int(status)), ups_last_error());
}

WholePass::WholePass() {
  trim_pool();
  reset_peak();
  before_ = driver_used_bytes();
}

void WholePass::measure(double seconds, const std::function<void()>& pass) {
  pass();  // first use: modules, recording
  pass_ = summarise(repeat(2 * seconds, 3, 100,
                           [&] {
                             const double start = now_s();
                             pass();
                             return (now_s() - start) * 1e3;
                           }),
                    1);
  own_peak_ = device_use().peak, driver_peak_ = driver_peak_bytes() - before_;
  take_graph_times();
  network_ = summarise(repeat(2 * seconds, 5, 50,
                              [&] {
                                probe_graphs(pass_.ms < 20 ? 10 : 3);
                                pass();
                                probe_graphs(0);
                                const std::vector<double> times = take_graph_times();
                                double sum = times.empty() ? -1 : 0;  // nothing is recorded
                                for (double ms : times) sum += ms;    // all that one pass replayed
                                return sum;
                              }),
                       1);
}

void WholePass::add_to(Json& line) const {
  line["pass_ms"] = pass_.ms;
  line["pass_ms_quartiles"] = {pass_.low, pass_.high};
  line["own_peak_bytes"] = own_peak_;
  line["driver_peak_bytes"] = driver_peak_;
  if (!network_.samples) return;
  line["network_ms"] = network_.ms;
  line["network_ms_quartiles"] = {network_.low, network_.high};
}

std::string runner_name() {
  const char* setting = std::getenv("UPSCALE_VARIANT");
  return setting && *setting ? std::string("upscale, ") + setting : "upscale";
}

}  // namespace ups::bench
