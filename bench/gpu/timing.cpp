// Timing by CUDA events: warm-up, batches, medians.
#include <time.h>

#include "bench/gpu/bench.h"

namespace ups::bench {

double now_s() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

Timing summarise(std::vector<double> ms, int batch) {
  if (ms.empty()) return {};
  std::sort(ms.begin(), ms.end());
  const size_t n = ms.size();
  return {ms[n / 2], ms[n / 4], ms[3 * n / 4], int(n), batch};
}

Timing time_launches(cuda::Stream& stream, int sets, double seconds, const std::function<void(int)>& enqueue,
                     bool recorded) {
  cuda::Event begin(stream.device()), end(stream.device());
  const auto timed = [&](auto&& work) {
    begin.record(stream);
    work();
    end.record(stream);
    return double(end.elapsed_ms(begin));
  };
  const auto plain = [&](int count) {
    for (int i = 0; i < count; i++) enqueue(i);
  };
  plain(sets);  // loads modules, touches every buffer
  stream.synchronize();
  const double once = std::max(1e-4, timed([&] { plain(sets); }) / sets);
  // A batch of 2 ms hides what a launch costs; whole rounds of the sets keep what is in the cache alike.
  const int rounds = std::clamp(int(2.0 / (once * sets)), 1, std::max(1, 256 / sets));
  const int batch = rounds * sets;
  cuda::Recording recording;
  if (recorded) {
    recording.begin(stream);
    plain(batch);
    recording.end(stream);
  }
  const auto run = [&] { recorded ? recording.replay(stream) : plain(batch); };
  const double warm_until = now_s() + seconds / 2;
  do {
    run();
    stream.synchronize();
  } while (now_s() < warm_until);
  std::vector<double> samples;
  const double until = now_s() + seconds;
  do samples.push_back(timed(run) / batch);
  while ((now_s() < until || samples.size() < 5) && samples.size() < 200);
  return summarise(std::move(samples), batch);
}

Record::Record(const std::string& path, double budget_s) : end_(now_s() + budget_s) {
  if (!path.empty()) file_.open(path, std::ios::app);
}
void Record::add(const Json& line) {
  failed_ = failed_ || (line["kind"] == "failure" && line.value("variant", "") != "cudnn");
  if (file_.is_open()) file_ << line.dump() << std::endl;
}
bool Record::time_left() const { return now_s() < end_; }

}  // namespace ups::bench
