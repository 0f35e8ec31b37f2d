// What tests share: seeded random numbers, closeness in terms of the number format, temporary folders.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace ups::testing {

// Fresh numbers every run; the seed is printed when an assertion of the scope fails. Repeat with
// UPS_SEED=n.
inline uint64_t fresh_seed() {
  if (const char* s = std::getenv("UPS_SEED")) return std::strtoull(s, nullptr, 10);
  return std::random_device{}();
}

struct Random {
  explicit Random(uint64_t seed) : engine(seed) {}
  std::mt19937_64 engine;
  // Never 0, which the polar method gives for points that round onto the circle: tests count zeros.
  float normal() {
    for (;;)
      if (const float v = std::normal_distribution<float>()(engine); v != 0) return v;
  }
  float uniform(float lo = 0, float hi = 1) { return std::uniform_real_distribution<float>(lo, hi)(engine); }
  int integer(int lo, int hi) { return std::uniform_int_distribution<int>(lo, hi)(engine); }
  std::vector<float> normals(size_t n, float scale = 1) {
    std::vector<float> v(n);
    for (float& x : v) x = normal() * scale;
    return v;
  }
};
#define UPS_RANDOM(name)                                   \
  const uint64_t name##_seed = ups::testing::fresh_seed(); \
  INFO("UPS_SEED=" << name##_seed);                        \
  ups::testing::Random name(name##_seed)

// A folder that exists for the lifetime of the object.
struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ups-test-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

}  // namespace ups::testing
