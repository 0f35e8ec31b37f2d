// What the program says of devices, on any machine: GPUs are hidden from it by CUDA_VISIBLE_DEVICES.
#include <filesystem>

#include "tests/apps/process.h"

using namespace ups::testing;

namespace {

// A small picture, and no GPU to be seen.
struct HiddenGpus {
  TemporaryFolder folder;
  const std::string in = folder / "in.png", out = folder / "out.png";
  explicit HiddenGpus(Random& random) {
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    spill(in, random_rgb_png(random, 9, 7));
  }
  ~HiddenGpus() { unsetenv("CUDA_VISIBLE_DEVICES"); }
};

}  // namespace

TEST_CASE("without a GPU the CPU computes, and one line says so", "[apps][devices]") {
  UPS_RANDOM(r);
  const HiddenGpus hidden(r);
  const std::string &in = hidden.in, &out = hidden.out;
  const Finished list = run({"--list-devices"});
  CHECK(list.code == 0);
  const size_t cpu = list.out.find("cpu  CPU ");
  REQUIRE(cpu == 0);  // alone
  const size_t second = list.out.find('\n') + 1;
  REQUIRE(list.out.compare(second, 8, "no GPU: ") == 0);
  const std::string why = list.out.substr(second + 8, list.out.size() - second - 9);
  const bool with_cuda = why != "this build has no GPU support";

  // With the line, which run() takes away.
  const auto said = [&](const std::string& arguments) {
    const std::string command = std::string(UPS_BINARY) + " '" + in + "' '" + out + "' -m '" + tiny_model() +
                                "' " + arguments + " >/dev/null 2>'" + (hidden.folder / "err") + "'";
    CHECK(std::system(command.c_str()) == 0);
    return slurp(hidden.folder / "err");
  };
  const auto of_precision = [](const std::string& arguments) -> std::string {
    return arguments.find("--precision") == arguments.npos
               ? ""
               : "--precision: has no effect, the CPU computes in fp32\n";
  };
  for (const char* automatic : {"", "-g auto", "--precision bf16"})
    CHECK(said(automatic) == (with_cuda ? why + "; computing on the CPU\n" : "") + of_precision(automatic));
  const std::string by_auto = slurp(out);
  for (const char* asked : {"-g cpu", "-g -1", "-g cpu --precision fp16"})
    CHECK(said(asked) == of_precision(asked));
  CHECK(slurp(out) == by_auto);  // which computes in fp32 whatever is asked
}

TEST_CASE("a GPU that is named and not there ends with code 4 and a sentence", "[apps][devices]") {
  UPS_RANDOM(r);
  const HiddenGpus hidden(r);
  const std::string &in = hidden.in, &out = hidden.out;
  for (const char* name : {"0", "7", "4090", "RTX"}) {
    const Finished f = run({in, out, "-m", tiny_model(), "-g", name});
    INFO(f.err);
    CHECK(f.code == 4);
    CHECK(f.one_line_error());
    CHECK(f.err.find("device: got '" + std::string(name) + "', expected cpu, auto (no GPU can be used: ") !=
          std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out));
  }
}
