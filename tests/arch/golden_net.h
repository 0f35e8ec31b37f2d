// Tiny networks with reference outputs (tests/golden/make_nets.py), and running one on the CPU backend.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/cpu/pool.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/testing.h"
#include "weights/open.h"

namespace ups::testing {

struct GoldenNet {
  std::string name, weights, io;  // paths
};

// Where tests/golden is: UPS_GOLDEN of the environment, for binaries that were moved, or where it was built.
inline std::string golden_folder() {
  const char* moved = std::getenv("UPS_GOLDEN");
  return moved ? moved : UPS_GOLDEN;
}

inline std::vector<GoldenNet> golden_nets(const std::string& area = "nets") {
  const std::filesystem::path folder = golden_folder() + "/" + area;
  const std::string tail = ".io.safetensors";
  std::vector<GoldenNet> nets;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string leaf = file.path().filename().string();
    if (leaf.size() <= tail.size() || leaf.substr(leaf.size() - tail.size()) != tail) continue;
    const std::string name = leaf.substr(0, leaf.size() - tail.size());
    std::filesystem::path weights = folder / (name + ".safetensors");
    if (!std::filesystem::exists(weights)) weights = folder / (name + ".pth");
    nets.push_back({name, weights.string(), file.path().string()});
  }
  std::sort(nets.begin(), nets.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return nets;
}

// A picture as PyTorch holds it: [c, h, w], c slowest.
struct Planes {
  int c = 0, h = 0, w = 0;
  std::vector<float> v;
  float& at(int k, int y, int x) { return v[(size_t(k) * h + y) * w + x]; }
  float at(int k, int y, int x) const { return v[(size_t(k) * h + y) * w + x]; }
};

inline Planes planes(const StateDict& io, const std::string& key) {
  return {int(io.dim(key, 1)), int(io.dim(key, 2)), int(io.dim(key, 3)), io.floats(key)};
}

// One run of the network on a picture padded by reflection at the right and bottom to what it accepts; the
// padding is cropped from the result.
inline Planes run_network(Session& session, const Planes& lr) {
  const int m = session.info().multiple_of, scale = session.info().scale;
  const auto reflect = [](int i, int size) { return i < size ? i : 2 * (size - 1) - i; };
  const Plan& plan = session.prepare({(lr.h + m - 1) / m * m, (lr.w + m - 1) / m * m});
  for (int y = 0; y < plan.x.h; y++)
    for (int x = 0; x < plan.x.w; x++)
      for (int k = 0; k < lr.c; k++) plan.x.at(y, x)[k] = lr.at(k, reflect(y, lr.h), reflect(x, lr.w));
  session.run();
  Planes hr{plan.y.c, lr.h * scale, lr.w * scale, {}};
  hr.v.resize(size_t(hr.c) * hr.h * hr.w);
  for (int y = 0; y < hr.h; y++)
    for (int x = 0; x < hr.w; x++)
      for (int k = 0; k < hr.c; k++) hr.at(k, y, x) = plan.y.at(y, x)[k];
  return hr;
}

inline int hyper(const Info& info, const std::string& name) {
  for (const auto& [key, value] : info.hyper)
    if (key == name) return value;
  FAIL("no hyper-parameter " << name);
  return 0;
}

}  // namespace ups::testing
