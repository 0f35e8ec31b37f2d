// bench_kernels: time of each convolution of the ESRGAN family, of linear layers and of SwinIR's sublayers,
// as effective GFLOP/s (direct-convolution operations per second) and per cent of the FMA peak measured in
// the same run. Best of several runs: other work on the machine only ever adds time.
//   bench_kernels [filter] [seconds per measurement] [cpu]
// BENCH_ONE_BY_ONE=1 in the environment runs dense blocks without run_chain.
// "cpu" measures processor time per thread instead of elapsed time, for machines that are never idle.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/kernels/fma_peak.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/run.h"

using namespace ups;

namespace {

double g_seconds = 0.3;
bool g_cpu_time = false;

// Elapsed seconds, or the processor seconds of all threads.
double now() {
  timespec t;
  clock_gettime(g_cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

double best_seconds(int threads, const std::function<void()>& f) {
  f();
  double best = 1e9, total = 0;
  for (int i = 0; i < 3 || (total < g_seconds && i < 1000); i++) {
    const double start = now();
    f();
    const double s = now() - start;
    best = std::min(best, s), total += s;
  }
  return g_cpu_time ? best / threads : best;
}

std::vector<float> normals(size_t n, float scale) {
  static std::mt19937 engine(1);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> v(n);
  for (float& x : v) x = normal(engine);
  return v;
}

struct Machine {
  explicit Machine(int threads) : pool(threads), context{pool, scratch} {}
  Pool pool;
  cpu::Scratch scratch;
  cpu::Context context;
};

struct Line {
  std::string name, variant;
  double flops;
  double seconds[2];
};

void print(const Line& line, double peak) {
  std::printf("%-26s %-14s", line.name.c_str(), line.variant.c_str());
  for (double s : line.seconds) std::printf("  %9.3f ms %7.0f GFLOP/s", s * 1e3, line.flops / s / 1e9);
  std::printf("  %4.0f %%  x%.2f\n", 100 * line.flops / line.seconds[1] / 1e9 / (2 * peak),
              line.seconds[0] / line.seconds[1]);
  std::fflush(stdout);
}

struct Shape {
  const char* name;
  int size, cin, cout, up = 1, shuffle = 1, k = 3, stride = 1;
};

Line measure(const Shape& s, Machine* machines) {
  const int out = s.size * s.up / s.stride;
  std::vector<float> x = normals(size_t(s.size) * s.size * s.cin, 1);
  std::vector<float> y(size_t(out) * out * s.cout), w = normals(size_t(s.k) * s.k * s.cin * s.cout, 0.05f);
  std::vector<float> bias(s.cout);
  Conv2d<Tensor> op;
  op.x = dense_f32(x.data(), s.size, s.size, s.cin);
  op.y = dense_f32(y.data(), out * s.shuffle, out * s.shuffle, s.cout / s.shuffle / s.shuffle);
  op.w = {0, s.cout, s.k, s.cin, DType::f32, w.data(), bias.data(), nullptr};
  op.act = Act::lrelu, op.slope = 0.2f, op.up = s.up, op.shuffle = s.shuffle;
  op.stride = s.stride, op.pad_end = s.stride == 2;  // the encoder's of AutoencoderKL
  Line line{std::string(s.name) + " @" + std::to_string(s.size), cpu::variant_name(op),
            2.0 * s.k * s.k * s.cin * s.cout * out * out};
  for (int t = 0; t < 2; t++)
    line.seconds[t] = best_seconds(t + 1, [&] { cpu::run(op, machines[t].context); });
  return line;
}

// One residual dense block of ESRGAN (Wang et al. 2018): five convolutions over a 192-channel buffer.
Line measure_dense_block(int size, Machine* machines) {
  std::vector<float> wide = normals(size_t(size) * size * 192, 1), y(size_t(size) * size * 64), bias(64);
  std::vector<std::vector<float>> weights;
  std::vector<Conv2d<Tensor>> ops;
  const Tensor buffer = dense_f32(wide.data(), size, size, 192);
  double flops = 0;
  for (int i = 0; i < 5; i++) {
    const int cin = 64 + 32 * i, cout = i < 4 ? 32 : 64;
    weights.push_back(normals(size_t(9) * cin * cout, 0.03f));
    Conv2d<Tensor> op;
    op.x = buffer.channels(0, cin);
    op.y = i < 4 ? buffer.channels(cin, 32) : dense_f32(y.data(), size, size, 64);
    op.w = {i, cout, 3, cin, DType::f32, weights.back().data(), bias.data(), nullptr};
    if (i < 4) op.act = Act::lrelu, op.slope = 0.2f;
    if (i == 4) op.scale = 0.2f, op.add = {buffer.channels(0, 64), 1};
    flops += 18.0 * cin * cout * size * size;
    ops.push_back(op);
  }
  const bool chained = cpu::chain_length(ops) == 5 && !std::getenv("BENCH_ONE_BY_ONE");
  Line line{"dense block @" + std::to_string(size), chained ? "chain" : "one by one", flops};
  for (int t = 0; t < 2; t++) {
    line.seconds[t] = best_seconds(t + 1, [&] {
      if (chained) return cpu::run_chain(ops, machines[t].context);
      for (const Conv2d<Tensor>& op : ops) cpu::run(op, machines[t].context);
    });
  }
  return line;
}

// The halves of a transformer layer with the sizes of SwinIR-M and HAT: 180 channels, 6 heads.
Line measure_sublayer(int size, int window, Machine* machines) {
  constexpr int c = 180, heads = 6, hidden = 360;
  const int places = (2 * window - 1) * (2 * window - 1);
  std::vector<float> x = normals(size_t(size) * size * c, 1), y(x.size()), gamma(c, 1), zeros(3 * c);
  const Tensor in = dense_f32(x.data(), size, size, c), out = dense_f32(y.data(), size, size, c);
  std::vector<float> first, last, table;
  const auto weight = [&](std::vector<float>& memory, int cout,
                          int cin) {  // packed, as when a network is loaded
    Weight w{0, cout, 1, cin, DType::f32, nullptr, zeros.data(), nullptr};
    memory.resize(cpu::packed_linear_floats(w));
    cpu::pack_linear_weight(normals(size_t(cout) * cin, 0.05f).data(), memory.data(), w);
    return w;
  };
  const Weight norm{0, c, 1, 1, DType::f32, gamma.data(), zeros.data(), nullptr};
  double flop = double(size) * size;
  const auto time = [&](const std::string& name, const auto& op) {
    Line line{name + " @" + std::to_string(size), "panels", flop * op.flop()};
    for (int t = 0; t < 2; t++)
      line.seconds[t] = best_seconds(t + 1, [&] { cpu::run(op, machines[t].context); });
    return line;
  };
  if (window == 0) {
    MlpSublayer<Tensor> op{.x = in, .y = out, .norm = norm};
    op.fc1 = weight(first, hidden, c), op.fc2 = weight(last, c, hidden);
    return time("mlp sublayer", op);
  }
  AttentionSublayer<Tensor> op{.x = in, .residual = in, .y = out, .norm = norm};
  op.qkv = weight(first, 3 * c, c), op.proj = weight(last, c, c);
  table = normals(size_t(heads) * places, 1);
  op.bias = {0, heads, 1, places, DType::f32, table.data(), nullptr, nullptr};
  op.window = op.keys = {window, window}, op.shift = {window / 2, window / 2};
  op.heads = heads, op.d = c / heads, op.scale = 0.18f;
  return time("attention " + std::to_string(window), op);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && argv[1][0] == '-') {
    std::puts(
        "bench_kernels [filter] [seconds per measurement] [cpu]\n"
        "filter: part of a shape's name, as in \"192->64 @128\"; \"\": all. cpu: processor time, not "
        "elapsed.");
    return std::strcmp(argv[1], "--help") != 0;
  }
  cpu::isa_name();  // applies UPSCALE_ISA before the peak is measured
  const char* filter = argc > 1 ? argv[1] : "";
  if (argc > 2) g_seconds = std::atof(argv[2]);
  if (argc > 3) g_cpu_time = std::strcmp(argv[3], "cpu") == 0;
  Machine machines[2] = {Machine(1), Machine(2)};
  const double peak = bench::fma_peak_gflops();
  std::printf(
      "isa %s, FMA peak %.0f GFLOP/s per core; columns: 1 thread, 2 threads, %% of twice the peak\n"
      "(GFLOP/s of a direct convolution: Winograd needs fewer and may exceed the peak)\n",
      cpu::isa_name().c_str(), peak);
  std::vector<Shape> shapes;
  for (int size : {64, 128})
    for (const Shape& s : {Shape{"64->64", size, 64, 64},
                           {"64->32", size, 64, 32},
                           {"96->32", size, 96, 32},
                           {"128->32", size, 128, 32},
                           {"160->32", size, 160, 32},
                           {"192->64", size, 192, 64}})
      shapes.push_back(s);
  for (const Shape& s : {Shape{"64->64", 512, 64, 64},
                         {"128->128", 64, 128, 128},
                         {"180->180", 64, 180, 180},
                         {"256->256", 64, 256, 256},
                         {"256->256", 128, 256, 256},
                         {"64->256 shuffle 2", 128, 64, 256, 1, 2},
                         {"256->1024 shuffle 2", 64, 256, 1024, 1, 2},
                         {"512->512", 64, 512, 512},
                         {"3->64", 128, 3, 64},
                         {"64->3", 256, 64, 3},
                         {"64->48 shuffle 4", 128, 64, 48, 1, 4},
                         {"up 2 64->64", 64, 64, 64, 2},
                         {"up 2 64->64", 128, 64, 64, 2},
                         {"stride 2 128->128", 512, 128, 128, 1, 1, 3, 2},
                         {"stride 2 256->256", 256, 256, 256, 1, 1, 3, 2},
                         {"stride 2 512->512", 128, 512, 512, 1, 1, 3, 2},
                         {"1x1 64->64", 128, 64, 64, 1, 1, 1},
                         {"linear 180->540", 64, 180, 540, 1, 1, 1},
                         {"linear 512->512", 64, 512, 512, 1, 1, 1},
                         {"linear 768->3072", 48, 768, 3072, 1, 1, 1}})
    shapes.push_back(s);
  for (const Shape& s : shapes)
    if (std::strstr((std::string(s.name) + " @" + std::to_string(s.size)).c_str(), filter))
      print(measure(s, machines), peak);
  for (int size : {48, 64, 128, 512})
    if (std::strstr(("dense block @" + std::to_string(size)).c_str(), filter))
      print(measure_dense_block(size, machines), peak);
  for (int window : {8, 16, 0}) {
    const std::string name = window ? "attention " + std::to_string(window) : "mlp sublayer";
    if (std::strstr((name + " @64").c_str(), filter)) print(measure_sublayer(64, window, machines), peak);
  }
}
