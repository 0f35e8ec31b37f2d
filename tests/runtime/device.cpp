// Which GPU -g means, on machines made up.
#include "runtime/device.h"

#include <catch2/catch.hpp>

#include "kernels/error.h"

using namespace ups;

namespace {

cuda::DeviceInfo gpu(int index, int sm, const std::string& name) {
  cuda::DeviceInfo d;
  d.index = index, d.sm = sm, d.name = name, d.memory_bytes = int64_t(24) << 30;
  return d;
}

const std::vector<cuda::DeviceInfo> kMixed = {
    gpu(0, 75, "NVIDIA GeForce RTX 2080"), gpu(1, 86, "NVIDIA GeForce RTX 3060 Ti"),
    gpu(2, 86, "NVIDIA GeForce RTX 3060"), gpu(3, 89, "NVIDIA GeForce RTX 4090"),
    gpu(4, 89, "NVIDIA GeForce RTX 4090")};

int index_of(const std::string& wanted) {
  const auto found = choose_gpu(kMixed, wanted);
  return found ? found->index : -1;
}

std::string refusal(const std::vector<cuda::DeviceInfo>& gpus, const std::string& wanted,
                    std::string why = "") {
  try {
    choose_gpu(gpus, wanted, &why);
  } catch (const Error& e) {
    CHECK(e.code == Code::device);
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("auto is the first GPU that can be used, and says why there is none", "[runtime][device]") {
  CHECK(index_of("auto") == 1);
  CHECK(index_of("") == 1);
  std::string why = "the driver is missing";
  CHECK(!choose_gpu({}, "auto", &why));
  CHECK(why == "the driver is missing");
  CHECK(!choose_gpu({kMixed[0]}, "auto", &why));
  CHECK(why == "no CUDA device can be used: NVIDIA GeForce RTX 2080 is sm_75, expected sm_80 or later");
}

TEST_CASE("a GPU is named by index, by name or by a part of one", "[runtime][device]") {
  CHECK(index_of("1") == 1);
  CHECK(index_of("4") == 4);
  CHECK(index_of("3060 ti") == 1);
  CHECK(index_of("nvidia geforce rtx 3060") == 2);  // exactly, although the Ti comes first
  CHECK(index_of("4090") == 3);                     // a number too long for an index; alike: the first
  CHECK(index_of("NVIDIA GeForce RTX 4090") == 3);
}

TEST_CASE("what names no GPU, or several kinds, or one too old, is refused in a sentence",
          "[runtime][device]") {
  CHECK(refusal(kMixed, "5") ==
        "device: got '5', expected cpu, auto, or the index or name of a listed device");
  CHECK(refusal(kMixed, "H200") ==
        "device: got 'H200', expected cpu, auto, or the index or name of a listed device");
  CHECK(refusal(kMixed, "3060") ==
        "device: got '3060', which is NVIDIA GeForce RTX 3060 Ti and NVIDIA GeForce RTX 3060, expected more "
        "of the name, or an index");
  CHECK(refusal(kMixed, "0") == "device: NVIDIA GeForce RTX 2080 is sm_75, expected sm_80 or later");
  CHECK(refusal({}, "0", "the driver is missing") ==
        "device: got '0', expected cpu, auto (no GPU can be used: the driver is missing)");
}

TEST_CASE("the CPU needs no GPU and leaves no note", "[runtime][device]") {
  Pool pool(1);
  for (const char* name : {"cpu", "-1"}) {
    std::string note = "untouched";
    CHECK(make_backend(name, Precision::automatic, pool, &note)->describe() ==
          make_cpu_backend(pool)->describe());
    CHECK(note == "untouched");
  }
  const auto list = list_devices(pool);
  REQUIRE(!list.empty());
  CHECK(list.back().id == "cpu");
  CHECK(list.back().name == make_cpu_backend(pool)->describe());
}
