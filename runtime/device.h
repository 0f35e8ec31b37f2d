// Devices by name: what there is, and a backend on the one that was asked for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cpu/pool.h"
#include "kernels/device/stream.h"
#include "runtime/backend.h"

namespace ups {

// How activations are stored on a GPU. Sums run in fp32 but for fp16_sums. The CPU computes in fp32 whatever
// is asked.
enum class Precision : uint8_t {
  automatic,  // fp16, or bf16 where a weight is beyond fp16
  fp32,
  fp16,
  bf16,
  tf32,      // stored as fp32, multiplied as tf32 (10 bits of fraction)
  fp16_sums  // fp16, and sums of 48 products in fp16 where the device is faster that way
};

struct DeviceEntry {
  std::string id;    // what to ask for: "cpu", "0", "1" ...
  std::string name;  // "NVIDIA H200, sm_90, 141 GB"
};

// The CPU last. If no GPU can be used, *why (when given) gets a sentence.
std::vector<DeviceEntry> list_devices(Pool& pool, std::string* why = nullptr);

// The GPU that is meant: the first that can be used for "auto" and "" (none: *why says why there is none),
// else that of an index, of a name, or of a part of a name that no other kind of GPU has. Throws
// Error{Code::device} when a GPU was named that does not exist or cannot be used; why: for this sentence, why
// `gpus` is empty.
std::optional<cuda::DeviceInfo> choose_gpu(const std::vector<cuda::DeviceInfo>& gpus,
                                           const std::string& wanted, std::string* why = nullptr);

// Begins to make a GPU ready (driver, context) on a thread of its own and returns at once: this takes some
// 0.2 s, in which a model file can be mapped and a picture decoded. What fails is said when a backend is
// made.
void wake_device(const std::string& wanted);

// wanted: "cpu" or "-1", or what choose_gpu() takes; "auto" and "" are the CPU where no GPU can be used.
// *note (when given) gets a sentence when they fell back to it although this build has GPU support.
// Throws Error{Code::device} as choose_gpu().
std::unique_ptr<Backend> make_backend(const std::string& wanted, Precision precision, Pool& pool,
                                      std::string* note = nullptr);

}  // namespace ups
