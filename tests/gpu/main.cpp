// test_gpu: the tests of the CUDA kernels and backend on the first GPU. Without one it says so and exits 77,
// which build tools count as skipped.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <iostream>
#include <string>

#include "kernels/device/stream.h"

int main(int argc, char** argv) {
  Catch::Session session;
  const int status = session.applyCommandLine(argc, argv);
  if (status) return status;
  const Catch::ConfigData& config = session.configData();
  const bool listing = config.showHelp || config.listTests || config.listTags || config.listTestNamesOnly ||
                       config.libIdentify;
  if (listing) return session.run();
  std::string why;
  const auto devices = ups::cuda::devices(&why);
  if (devices.empty()) {
    std::cout << "test_gpu: skipped: " << why << std::endl;
    return 77;
  }
  std::cout << "test_gpu: " << devices[0].name << ", sm_" << devices[0].sm << std::endl;
  return session.run();
}
