// bench_gpu: times the CUDA kernels and whole networks on the first GPU, against cuDNN (UPS_VENDOR).
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/gpu/bench.h"
#include "bench/gpu/device_probe.h"
#include "bench/gpu/vendor.h"
#include "bench/gpu/whole_pass.h"
#include "kernels/error.h"

namespace ups::bench {
namespace {

const char* kUsage =
    "bench_gpu [options]\n"
    "  --only kernels|models|autoencoders|process\n"
    "  --kernel conv2d|sublayers --variant NAME --shape 64x32@512 (again for more) --dtype f16|bf16|f32\n"
    "      shapes: CINxCOUT[kK][upU][strideS][sR][plusC]@[Wx]H, e.g. 64x48s4@1280x720, 64x64up2@512, "
    "64x64k1@512\n"
    "  --model x4|anime|video|general|swinir|hat --size WxH (again for more)\n"
    "  --models FOLDER    with x4.safetensors and so on, as --prepare writes them\n"
    "  --prepare FOLDER   writes the networks (from $UPSCALE_MODELS, else random weights) and leaves\n"
    "  --no-vendor        does not time cuDNN and cuBLAS\n"
    "  --has-vendor       only says whether cuDNN is there: status 0, or 77\n"
    "  --seconds S        of measuring per number (0.2)\n"
    "  --budget S         begins nothing more after S seconds\n"
    "  --quick            fewer shapes, sizes and comparisons\n"
    "  --json FILE        appends one JSON object per result\n"
    "Exit status: 0, 77 without a GPU, 1 if something of ours failed, else the library's.\n";

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      check(i + 1 < argc, Code::usage, "bench_gpu: ", word, " needs a value");
      return argv[++i];
    };
    const auto one_of = [&](std::vector<std::string> allowed) {
      const std::string v = value();
      std::string list;
      for (const std::string& a : allowed) {
        if (a == v) return v;
        list += (list.empty() ? "" : ", ") + a;
      }
      fail(Code::usage, "bench_gpu: ", word, ": got ", v, ", expected one of ", list);
    };
    if (word == "--only")
      o.only = one_of({"kernels", "models", "autoencoders", "process"});
    else if (word == "--kernel")
      o.kernel = one_of({"conv2d", "sublayers"}), o.only = "kernels";
    else if (word == "--variant")
      o.variant = value(), o.only = "kernels";
    else if (word == "--shape")
      o.shapes.push_back(value()), o.only = "kernels";
    else if (word == "--dtype")
      o.dtype = one_of({"f16", "bf16", "f32"});
    else if (word == "--model")
      o.model = one_of(model_names()), o.only = "models";
    else if (word == "--size")
      o.sizes.push_back(value());
    else if (word == "--models")
      o.models_folder = value();
    else if (word == "--prepare")
      o.prepare_folder = value();
    else if (word == "--no-vendor")
      o.vendor = false;
    else if (word == "--has-vendor")
      o.has_vendor = true;
    else if (word == "--seconds")
      o.seconds = std::max(0.01, std::atof(value().c_str()));
    else if (word == "--budget")
      o.budget_s = std::atof(value().c_str());
    else if (word == "--quick")
      o.quick = true;
    else if (word == "--json")
      o.json = value();
    else
      fail(Code::usage, "bench_gpu: unknown option ", word, "\n", kUsage);
  }
  if (o.quick && o.sizes.empty()) o.sizes = {"512x512"};
  if (o.quick && o.shapes.empty()) o.shapes = {"64x32@512", "160x32@512", "192x64@512", "64x64@512"};
  return o;
}

int run(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return std::fputs(kUsage, stdout), 0;
  if (argc == 3 && std::strncmp(argv[1], "--steps-of", 10) == 0)  // from bench_processes()
    return process_steps(argv[2], std::strcmp(argv[1], "--steps-of") != 0);
  const Options o = parse(argc, argv);
  if (o.only == "process") {  // before the driver is touched
    Record record(o.json, o.budget_s);
    const int status = bench_processes(o, record);
    return record.failed() ? 1 : status;
  }
  if (!o.prepare_folder.empty()) return prepare_models(o.prepare_folder), prepare_vae(o.prepare_folder), 0;
  std::string why;
  const auto devices = cuda::devices(&why);
  const bool by_cudnn = runner_name().find("cudnn") != std::string::npos;  // else ours would pass for it
  if (devices.empty() || ((o.has_vendor || by_cudnn) && !make_vendor(&why))) {
    std::printf("bench_gpu: skipped: %s\n", why.c_str());
    return 77;
  }
  if (o.has_vendor) return 0;
  const cuda::DeviceInfo& d = devices[0];
  Record record(o.json, o.budget_s);
  record.add({{"kind", "device"},
              {"name", d.name},
              {"sm", d.sm},
              {"multiprocessors", d.num_sms},
              {"l2_bytes", d.l2_bytes},
              {"memory_bytes", d.memory_bytes},
              {"cuda", runtime_version()},
              {"driver_cuda", driver_cuda_version()}});
  std::printf("%s, sm_%d, %d multiprocessors, %.0f MiB of L2\n", d.name.c_str(), d.sm, d.num_sms,
              double(d.l2_bytes) / (1 << 20));
  const bool kernels = o.only.empty() || o.only == "kernels";
  if (kernels && o.kernel != "sublayers") bench_kernels(o, d, record);
  if (kernels && o.kernel != "conv2d" && o.shapes.empty() && o.dtype != "f32") bench_sublayers(o, d, record);
  if (o.only.empty() || o.only == "models") bench_models(o, d, record);
  if (o.only.empty() || o.only == "autoencoders") bench_autoencoders(o, d, record);
  return record.failed() ? 1 : 0;
}

}  // namespace
}  // namespace ups::bench

int main(int argc, char** argv) {
  try {
    return ups::bench::run(argc, argv);
  } catch (const ups::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return int(e.code);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_gpu: %s\n", e.what());
    return 1;
  }
}
