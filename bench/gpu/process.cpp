// Where the time of a one-shot process goes: `upscale` as a whole, and what it does of a GPU step by step.
// Each measurement is a process of its own, and this one leaves the driver alone: whoever holds it open makes
// the start of others fast.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <utility>

#include "bench/gpu/bench.h"
#include "kernels/error.h"
#include "runtime/backend_cuda.h"
#include "runtime/device_pass.h"
#include "runtime/session.h"
#include "runtime/weights_cuda.h"
#include "tests/device/picture.h"
#include "weights/open.h"

extern char** environ;

namespace ups::bench {
namespace {
namespace fs = std::filesystem;

constexpr int kSide = 512, kScale = 4;

struct Child {
  double begin_s = 0, end_s = 0;  // spawned; gone
  int status = 0;
  std::string said;  // standard output and errors
  double ms() const { return (end_s - begin_s) * 1e3; }
};

Child run_process(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  int ends[2];
  check(pipe2(ends, O_CLOEXEC) == 0, Code::device, "bench_gpu: no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  Child child;
  pid_t pid = 0;
  child.begin_s = now_s();
  const int failed = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  char block[4096];
  for (ssize_t n; !failed && (n = read(ends[0], block, sizeof block)) > 0;)
    child.said.append(block, size_t(n));
  close(ends[0]);
  check(failed == 0, Code::usage, "bench_gpu: ", words[0], " cannot be started");
  int status = 0;
  waitpid(pid, &status, 0);
  child.end_s = now_s();
  child.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return child;
}

// Milliseconds of some runs of one command; what the last one said.
struct Runs {
  Timing time;
  double least = 0;
  std::string said;
};
Runs repeat(const std::vector<std::string>& words, int count) {
  std::vector<double> ms;
  Runs runs;
  for (int i = 0; i < count; i++) {
    Child child = run_process(words);
    check(child.status == 0, Code::device, "status ", child.status, ": ", child.said);
    ms.push_back(child.ms());
    runs.said = std::move(child.said);
  }
  runs.least = *std::min_element(ms.begin(), ms.end());
  runs.time = summarise(std::move(ms), 1);
  return runs;
}

// The line of --verbose that begins with two blanks and "read".
std::string times_in(const std::string& said) {
  const size_t at = said.find("  read ");
  return at == said.npos ? "" : said.substr(at + 2, said.find('\n', at) - at - 2);
}

std::string own_path() {
  char path[4096];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path);
  check(n > 0, Code::io, "bench_gpu: /proc/self/exe cannot be read");
  return {path, size_t(n)};
}

void write_picture(const std::string& path, int side) {
  const std::vector<unsigned char> rgb = ups::testing::synthetic_picture(side, side);
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << side << " " << side << "\n255\n";
  file.write(reinterpret_cast<const char*>(rgb.data()), std::streamsize(rgb.size()));
}

// What the child has done: when, on the monotonic clock.
void done(const char* step) { std::printf("%s: %.6f\n", step, now_s()); }
std::vector<std::pair<std::string, double>> read_steps(const std::string& said) {
  std::vector<std::pair<std::string, double>> steps;
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);)
    if (const size_t colon = line.rfind(": "); colon != line.npos)
      steps.emplace_back(line.substr(0, colon), std::atof(line.c_str() + colon + 2));
  return steps;
}

void report(const std::string& what, const Runs& runs, Record& record, const Json& steps = {}) {
  Json line = {{"kind", "process"},
               {"what", what},
               {"ms", runs.time.ms},
               {"least_ms", runs.least},
               {"runs", runs.time.samples}};
  if (const std::string says = times_in(runs.said); !says.empty()) line["says"] = says;
  if (!steps.is_null()) line["steps"] = steps;
  record.add(line);
  std::printf("  %-58s median %7.1f ms  least %7.1f ms  %s\n", what.c_str(), runs.time.ms, runs.least,
              line.value("says", "").c_str());
}

void failed(const std::string& what, const Error& e, Record& record) {
  std::printf("  %s failed: %s\n", what.c_str(), e.what());
  record.add({{"kind", "failure"}, {"model", "x4"}, {"runner", what}, {"why", e.what()}});
}

// Medians of the steps that such processes print, the time from the last one to their end included.
void measure_steps(const std::vector<std::string>& words, bool at_once, int times, Record& record) {
  std::vector<std::pair<std::string, std::vector<double>>> steps;
  const auto add = [&](size_t k, const std::string& name, double seconds) {
    if (k == steps.size()) steps.emplace_back(name, std::vector<double>{});
    steps[k].second.push_back(seconds * 1e3);
  };
  std::vector<double> whole;
  for (int i = 0; i < times; i++) {
    const Child child = run_process(words);
    check(child.status == 0, Code::device, "status ", child.status, ": ", child.said);
    double before = child.begin_s;
    size_t k = 0;
    for (const auto& [name, at] : read_steps(child.said)) {
      add(k++, name, at - before);
      before = at;
    }
    add(k, at_once ? "leaving with everything in place" : "exit", child.end_s - before);
    whole.push_back(child.ms());
  }
  Json json = Json::object();
  std::printf("  step by step, nothing side by side%s:\n", at_once ? ", leaving without closing" : "");
  for (const auto& [name, ms] : steps) {
    json[name] = summarise(ms, 1).ms;
    std::printf("    %-56s median %7.1f ms\n", name.c_str(), double(json[name]));
  }
  Runs runs{summarise(whole, 1), *std::min_element(whole.begin(), whole.end()), ""};
  report(at_once ? "steps, leaving without closing" : "steps", runs, record, json);
}

}  // namespace

int process_steps(const std::string& model, bool exit_at_once) {
  done("process starts");
  std::string why;
  const auto devices = cuda::devices(&why);
  if (devices.empty()) return std::printf("bench_gpu: skipped: %s\n", why.c_str()), 77;
  done("driver, devices");
  cuda::wake(devices[0]);
  done("context");
  Pool pool;
  Network network = open_network(open_weights(model));
  {
    Graph graph(network.weights);
    graph.output(network.build(graph, graph.input(network.info.in_c)));
    done("reading the file, graph");
    pack_weights(graph, *graph.file(), DType::f16, {}, &pool);
    done("packing weights");
  }
  {
    auto session =
        std::make_unique<Session>(std::move(network), make_cuda_backend(devices[0], Precision::fp16, &pool));
    done("graph and packing again, stream, upload of weights");
    DevicePass* pass = session->device_pass();
    const Extent lr{kSide, kSide};
    const TileGrid grid = tile_grid(lr, {});
    const DeviceJob job{lr, &session->plan(lr), grid, session->info().scale, kFirst3, false};
    const DeviceResult result{job.hr(), Filter::lanczos3, false, Depth::u8};
    pass->prepare(job, result);
    done("memory, kernels loaded, recording");
    session->release();
    pass->prepare(job, result);
    done("memory, recording again");
    std::vector<unsigned char> rgb = ups::testing::synthetic_picture(kSide, kSide);
    done("(making a picture)");
    for (const char* name : {"first pass", "second pass"}) {
      pass->upload({rgb.data(), kSide, kSide, 3, Depth::u8, int64_t(kSide) * 3});
      pass->run(job, result, [](int, int, const void*) {}, {});
      done(name);
    }
    if (!exit_at_once) {
      session.reset();
      done("closing");
    } else {
      session.release();  // leaked: the driver is to clean up
    }
  }
  std::fflush(stdout);
  if (exit_at_once) _exit(0);
  return 0;
}

int bench_processes(const Options& o, Record& record) {
  const std::string own = own_path(), program = fs::path(own).parent_path() / "upscale";
  const fs::path folder =
      fs::temp_directory_path() / ("bench_gpu-process-" + std::to_string(uint64_t(now_s() * 1e6)));
  fs::create_directories(folder);
  struct Removed {
    fs::path path;
    ~Removed() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } removed{folder};
  std::string models = o.models_folder;
  if (models.empty()) prepare_models(models = folder / "models");
  const std::string model = fs::path(models) / "x4.safetensors", small = folder / "small.ppm",
                    in = folder / "in.png", out = folder / "out.png";
  const int times = o.quick ? 5 : 11;

  if (const Child first = run_process({own, "--steps-of", model}); first.status == 77)
    return std::fputs(first.said.c_str(), stdout), 77;
  const auto measure = [&](const std::string& what, std::vector<std::string> words) {
    words.insert(words.begin(), program);
    try {
      report(what, repeat(words, times), record);
    } catch (const Error& e) {
      failed(what, e, record);
    }
  };

  std::printf("processes (x4plus, %dx%d PNG to %dx%d PNG where nothing else is said)\n", kSide, kSide,
              kSide * kScale, kSide * kScale);
  write_picture(small, kSide / kScale);
  // Makes the PNG that the others read, and brings files into memory.
  const Child made = run_process({program, "--quiet", "-m", model, small, in});
  check(made.status == 0, Code::device, "upscale: status ", made.status, ": ", made.said);
  measure("upscale", {"-v", "-m", model, in, out});
  measure("upscale --png-level 0: not compressed", {"-v", "-m", model, in, out, "--png-level", "0"});
  measure("upscale -g cpu --kind mask: no network",
          {"-v", "-g", "cpu", "--kind", "mask", "-m", model, in, out});
  measure("upscale --list-devices", {"--list-devices"});
  measure("upscale --version", {"--version"});

  for (const bool at_once : {false, true}) try {
      measure_steps({own, at_once ? "--steps-of-leaving" : "--steps-of", model}, at_once, times, record);
    } catch (const Error& e) {
      failed("steps", e, record);
    }
  return 0;
}

}  // namespace ups::bench
