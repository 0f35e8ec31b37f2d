// What the parts of bench_gpu share: options, the record of results, timing by events.
#pragma once

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/device/stream.h"

namespace ups::bench {

using Json = nlohmann::ordered_json;

struct Options {
  std::string only;                 // "kernels", "models", "autoencoders", "process"; "": the first three
  std::string kernel, variant;      // only these; "": all
  std::vector<std::string> shapes;  // conv2d shapes; empty: those of the released networks
  std::string dtype;                // "f16", "bf16", "f32"; "": f16, and the others for one shape
  std::string model;                // of model_names(); "": all
  std::vector<std::string> sizes;   // LR sizes WxH; empty: 256x256, 512x512, 1280x720
  std::string models_folder, prepare_folder, json;
  bool quick = false, vendor = true, has_vendor = false;
  double seconds = 0.2;   // of measuring, per number
  double budget_s = 1e9;  // no new measurement is begun after this much time
};

// One JSON object per line, to the file of --json (flushed, so that a run cut off leaves what it had).
class Record {
 public:
  Record(const std::string& path, double budget_s);
  void add(const Json& line);
  bool time_left() const;
  bool failed() const { return failed_; }  // whether a failure was added, other than one of cuDNN

 private:
  std::ofstream file_;
  double end_;
  bool failed_ = false;
};

struct Timing {
  double ms = 0;               // median over samples
  double low = 0, high = 0;    // quartiles
  int samples = 0, batch = 1;  // launches per sample
};
Timing summarise(std::vector<double> ms, int batch);

// Median time of one enqueue(i) where i counts up and names which of `sets` buffers to use: warm-up, then
// batches recorded once and replayed between two events, until `seconds` have passed.
// recorded = false: plain launches, for libraries that cannot be recorded.
Timing time_launches(cuda::Stream& stream, int sets, double seconds, const std::function<void(int)>& enqueue,
                     bool recorded = true);

double now_s();

void bench_kernels(const Options& options, const cuda::DeviceInfo& device, Record& record);
void bench_sublayers(const Options& options, const cuda::DeviceInfo& device, Record& record);
void bench_models(const Options& options, const cuda::DeviceInfo& device, Record& record);
// Fills a folder with the networks: released weights from $UPSCALE_MODELS, else seeded random ones.
void prepare_models(const std::string& folder);
std::vector<std::string> model_names();
// Decoding and encoding with AutoencoderKL, 512 to 2048 px; needs vae.safetensors of prepare_vae() or makes
// it.
void bench_autoencoders(const Options& options, const cuda::DeviceInfo& device, Record& record);
void prepare_vae(const std::string& folder);
// Whole processes: `upscale` beside this program, and the steps of one that has done what it does of a GPU.
// Returns 77 without a GPU. Nothing in the calling process may have used the driver.
int bench_processes(const Options& options, Record& record);
// Those steps, each with the time at which it was done, on the standard output.
int process_steps(const std::string& model, bool leave_without_closing);
bool is_transformer(const std::string& model);

}  // namespace ups::bench
