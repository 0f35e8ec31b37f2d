// Runs the real binary and collects what it prints; makes small image files without our own encoders.
#pragma once

#include <fcntl.h>
#include <png.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "apps/codecs/image_io.h"
#include "tests/testing.h"

extern char** environ;

namespace ups::testing {

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

struct Finished {
  int code = -1;
  std::string out, err;
  // Errors are one line: a sentence, nothing else.
  bool one_line_error() const { return err.rfind("upscale: ", 0) == 0 && err.find('\n') == err.size() - 1; }
};

// Without the line that a build with a CUDA backend says on a machine without a GPU, whatever is tested.
inline std::string without_device_line(std::string err) {
  const size_t end = err.find("; computing on the CPU\n");
  if (end == std::string::npos) return err;
  const size_t begin = err.rfind('\n', end) == std::string::npos ? 0 : err.rfind('\n', end) + 1;
  return err.erase(begin, err.find('\n', end) + 1 - begin);
}

struct Running {
  pid_t pid = 0;
  TemporaryFolder folder;
  Finished wait() {
    int status = 0;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), slurp(folder / "out"),
            without_device_line(slurp(folder / "err"))};
  }
};

// Until a run that was given --progress json is at work on pixels: its handlers are installed, its output is
// begun. However slow the machine is; a minute says that something is wrong.
inline void wait_for_progress(const Running& r) {
  for (int k = 0; k < 6000 && slurp(r.folder.path / "err").find("\"progress\"") == std::string::npos; k++)
    usleep(10000);
}

// environment: "NAME=value" entries that replace or extend ours. The store is an empty folder unless given.
inline std::unique_ptr<Running> start(std::vector<std::string> arguments,
                                      std::vector<std::string> environment = {}) {
  auto r = std::make_unique<Running>();
  arguments.insert(arguments.begin(), UPS_BINARY);
  environment.push_back("UPSCALE_MODELS=" + (r->folder / "store"));
  std::vector<char*> argv, envp;
  for (auto& a : arguments) argv.push_back(a.data());
  argv.push_back(nullptr);
  std::string names;
  for (auto& e : environment) {
    std::string name = e.substr(0, e.find('=') + 1);
    if (names.find("|" + name) == std::string::npos) envp.push_back(e.data());  // the first wins
    names += "|" + name;
  }
  for (char** e = environ; *e; e++) {
    std::string name(*e, strcspn(*e, "=") + 1);
    if (names.find("|" + name) == std::string::npos && name != "UPSCALE_FETCH_FROM=") envp.push_back(*e);
  }
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, (r->folder / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (r->folder / "err").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(posix_spawn(&r->pid, argv[0], &actions, nullptr, argv.data(), envp.data()) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return r;
}

inline Finished run(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
  return start(std::move(arguments), std::move(environment))->wait();
}

// A tiny network with random weights; x2, RGB.
inline std::string tiny_model() { return UPS_GOLDEN "/nets/srvgg_x2.pth"; }

inline apps::Image copy(const apps::Image& in) {
  apps::Image out = apps::copy_of(in.view());
  out.meta = in.meta;
  return out;
}

// Any PNG libpng can write. rows: packed scanlines in file byte order.
struct PngFile {
  int width, height, bits, colour_type;
  std::vector<uint8_t> rows;
  std::vector<png_color> palette{};
  std::vector<uint8_t> palette_alpha{};
  bool interlaced = false;
};

inline std::string libpng_bytes(const PngFile& f) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep d, size_t n) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(d), n);
      },
      nullptr);
  png_set_IHDR(png, info, png_uint_32(f.width), png_uint_32(f.height), f.bits, f.colour_type,
               f.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (!f.palette.empty()) png_set_PLTE(png, info, f.palette.data(), int(f.palette.size()));
  if (!f.palette_alpha.empty())
    png_set_tRNS(png, info, f.palette_alpha.data(), int(f.palette_alpha.size()), nullptr);
  png_write_info(png, info);
  size_t stride = png_get_rowbytes(png, info);
  REQUIRE(f.rows.size() == stride * size_t(f.height));
  std::vector<png_bytep> rows;
  for (int y = 0; y < f.height; y++)
    rows.push_back(const_cast<png_bytep>(f.rows.data() + stride * size_t(y)));
  png_write_image(png, rows.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

inline std::vector<uint8_t> random_bytes(Random& r, size_t n) {
  std::vector<uint8_t> v(n);
  for (auto& x : v) x = uint8_t(r.engine());
  return v;
}

inline std::string random_rgb_png(Random& r, int width, int height) {
  return libpng_bytes({width, height, 8, PNG_COLOR_TYPE_RGB, random_bytes(r, size_t(width) * height * 3)});
}

}  // namespace ups::testing
