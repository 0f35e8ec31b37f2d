// The main use, end to end, with a tiny random network (x2).
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "apps/codecs/image_io.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::Image;
using ups::apps::read_image;
namespace fs = std::filesystem;

namespace {

int files_in(const std::string& folder) {
  return int(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

}  // namespace

TEST_CASE("an image comes out at the model's scale, or at the factor asked for", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string in = folder / "in.png", out = folder / "out.png";
  spill(in, random_rgb_png(r, 21, 13));
  Finished f = run({in, out, "-m", tiny_model()});
  INFO(f.err);
  REQUIRE(f.code == 0);
  CHECK(f.err.empty());
  CHECK(f.out.find("21x13 -> " + out + " 42x26") != std::string::npos);
  CHECK(read_image(out).width == 42);
  CHECK(read_image(out).height == 26);
  f = run({"-i", in, "-o", out, "-m", tiny_model(), "-s", "3.3", "--quiet"});
  REQUIRE(f.code == 0);
  CHECK(f.out.empty());
  CHECK(read_image(out).width == 69);
  CHECK(read_image(out).height == 43);
  CHECK(files_in(folder.path) == 2);  // no temporaries left
}

TEST_CASE("channels and depth of the input are kept in PNG", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  struct Kind {
    int bits, type, channels;
  };
  for (Kind k :
       {Kind{8, PNG_COLOR_TYPE_GRAY, 1}, Kind{8, PNG_COLOR_TYPE_GRAY_ALPHA, 2},
        Kind{8, PNG_COLOR_TYPE_RGBA, 4}, Kind{16, PNG_COLOR_TYPE_RGB, 3}, Kind{16, PNG_COLOR_TYPE_GRAY, 1}}) {
    spill(folder / "in.png",
          libpng_bytes({9, 7, k.bits, k.type, random_bytes(r, size_t(9 * 7 * k.channels * k.bits / 8))}));
    Finished f = run({folder / "in.png", folder / "out.png", "-m", tiny_model()});
    INFO(f.err);
    REQUIRE(f.code == 0);
    Image out = read_image(folder / "out.png");
    CHECK(out.channels == k.channels);
    CHECK(out.depth == (k.bits == 16 ? UPS_U16 : UPS_U8));
  }
}

TEST_CASE("every output format is written, by extension or by --format", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  for (const char* name : {"o.jpg", "o.JPEG", "o.bmp", "o.tga"}) {
    REQUIRE(run({folder / "in.png", folder / name, "-m", tiny_model()}).code == 0);
    CHECK(read_image(folder / name).width == 16);
  }
  REQUIRE(run({folder / "in.png", folder / "plain", "-f", "bmp", "-m", tiny_model()}).code == 0);
  CHECK(slurp(folder / "plain").substr(0, 2) == "BM");
}

TEST_CASE("names outside ASCII and names with blanks work", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string in = folder / "ein süßes 画像.png", out = folder / "größer 大きい.png";
  spill(in, random_rgb_png(r, 8, 8));
  CHECK(run({in, out, "-m", tiny_model()}).code == 0);
  CHECK(fs::exists(out));
}

TEST_CASE("missing, empty, truncated and foreign inputs are code 6 and leave nothing behind", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string good = random_rgb_png(r, 20, 20);
  spill(folder / "empty.png", "");
  spill(folder / "cut.png", good.substr(0, good.size() / 2));
  spill(folder / "garbage.png", "this is no image at all");
  spill(folder / "magic.jpg", "\xff\xd8\xff\xe0");
  spill(folder / "tiff.png", std::string("II*\0", 4));
  int before = files_in(folder.path);
  for (const char* name : {"missing.png", "empty.png", "cut.png", "garbage.png", "magic.jpg", "tiff.png"}) {
    Finished f = run({folder / name, folder / "out.png", "-m", tiny_model()});
    INFO(name << ": " << f.err);
    CHECK(f.code == 6);
    CHECK(f.one_line_error());
    CHECK(files_in(folder.path) == before);
  }
}

TEST_CASE("an output folder that cannot be made or written to is code 6 before any work", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  CHECK(run({folder / "in.png", folder / "in.png/out.png", "-m", tiny_model()}).code == 6);
  if (geteuid() != 0) {
    fs::create_directory(folder / "locked");
    fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(run({folder / "in.png", folder / "locked/out.png", "-m", tiny_model()}).code == 6);
  }
}

TEST_CASE("a pipe or device is never replaced by an image", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(run({folder / "in.png", folder / "pipe", "-f", "png", "-m", tiny_model()}).code == 6);
  CHECK(fs::is_fifo(folder / "pipe"));
}

TEST_CASE("an existing output is replaced, by default, and left alone with --skip-existing", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  spill(folder / "out.png", "old");
  REQUIRE(run({folder / "in.png", folder / "out.png", "-m", tiny_model(), "--skip-existing"}).code == 0);
  CHECK(slurp(folder / "out.png") == "old");
  REQUIRE(run({folder / "in.png", folder / "out.png", "-m", tiny_model()}).code == 0);
  CHECK(read_image(folder / "out.png").width == 16);
}

TEST_CASE("an output that is an input, even by another name, is refused and untouched", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string bytes = random_rgb_png(r, 8, 8);
  spill(folder / "in.png", bytes);
  fs::create_hard_link(folder / "in.png", folder / "hard.png");
  fs::create_symlink(folder / "in.png", folder / "soft.png");
  for (const char* name : {"in.png", "hard.png", "soft.png", "./in.png"}) {
    CHECK(run({folder / "in.png", folder / name, "-m", tiny_model()}).code == 1);
  }
  CHECK(run({folder.path.string(), folder.path.string(), "-m", tiny_model()}).code == 1);
  CHECK(slurp(folder / "in.png") == bytes);
}

TEST_CASE("a damaged model is code 3, an unknown one too", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  spill(folder / "bad.safetensors", "not a model");
  for (std::string model : {folder / "bad.safetensors", folder / "missing.safetensors", std::string("x4")}) {
    Finished f = run({folder / "in.png", folder / "out.png", "-m", model});
    INFO(f.err);
    CHECK(f.code == 3);
    CHECK(f.one_line_error());
  }
  CHECK(run({folder / "in.png", folder / "out.png", "-m", "x4"}).err.find("upscale fetch x4") !=
        std::string::npos);
  CHECK_FALSE(fs::exists(folder / "out.png"));
}

TEST_CASE("a memory limit that cannot hold the images is code 5", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 200, 200));
  Finished f = run({folder / "in.png", folder / "out.png", "-m", tiny_model(), "--max-ram", "100K"});
  CHECK(f.code == 5);
  CHECK(f.one_line_error());
  CHECK(run({folder / "in.png", folder / "out.png", "-m", tiny_model(), "--max-ram", "1G"}).code == 0);
  // 120 GB that PPM holds as a whole (PNG and TIFF pass through a window of rows)
  CHECK(run({folder / "in.png", folder / "big.ppm", "-m", tiny_model(), "-s", "1000"}).code == 5);
  CHECK_FALSE(fs::exists(folder / "big.ppm"));
}

TEST_CASE("--save-steps writes every step but the last, at the schedule's sizes", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 16, 12));
  Finished f = run({folder / "in.png", folder / "out.png", "-m", tiny_model(), "-s", "2.5", "--steps", "3",
                    "--step-mode", "simple", "--save-steps", folder / "step"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  CHECK(read_image(folder / "step1.png").width == 24);  // 16 (1 + 1 * 1.5 / 3)
  CHECK(read_image(folder / "step2.png").width == 32);
  CHECK(read_image(folder / "out.png").width == 40);
  CHECK_FALSE(fs::exists(folder / "step3.png"));
}

TEST_CASE("--dry-run says what would happen and writes nothing", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 16, 12));
  Finished f = run({folder / "in.png", folder / "new/out/", "-m", tiny_model(), "--dry-run"});
  INFO(f.err);
  CHECK(f.code == 0);
  CHECK(f.out.find("16x12") != std::string::npos);
  CHECK(f.out.find("32x24") != std::string::npos);
  CHECK(f.out.find("MiB") != std::string::npos);
  CHECK(files_in(folder.path) == 1);
  // The estimate counts every part that there is.
  auto says = [&](const std::string& what) { return f.out.find(what) != std::string::npos; };
  CHECK((says("estimated ") && says("reading ") && says("network ") && says("encoding ")));
  CHECK_FALSE((says("resampling ") || says("finishing ")));
  f = run(
      {folder / "in.png", folder / "o.webp", "-m", tiny_model(), "-s", "40", "--sharpen", "1", "--dry-run"});
  CHECK((says("resampling ") && says("finishing ") && says("encoding ")));
  std::filesystem::copy_file(folder / "in.png", folder / "in2.png");
  f = run({folder / "in.png", folder / "in2.png", folder / "new/", "-m", tiny_model(), "--dry-run"});
  CHECK(says("2 files: estimated at most "));
}

TEST_CASE("a folder goes into a new folder; one bad file is reported and does not stop the rest",
          "[apps][batch]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  fs::create_directory(folder / "in");
  for (int i = 0; i < 5; i++)
    spill(folder / ("in/" + std::to_string(i) + ".png"), random_rgb_png(r, 8 + i, 8));
  spill(folder / "in/notes.txt", "not an image");
  spill(folder / "in/.hidden.png", "x");
  Finished f = run({folder / "in", folder / "out/deep", "-m", tiny_model()});
  CHECK(f.code == 0);
  CHECK(files_in(folder / "out/deep") == 5);
  spill(folder / "in/2.png", "damaged");
  f = run({folder / "in", folder / "again", "-m", tiny_model(), "-f", "jpg", "--progress", "json"});
  CHECK(f.code == 2);
  CHECK(files_in(folder / "again") == 4);
  CHECK(fs::exists(folder / "again/4.jpg"));
  int done = 0, errors = 0;
  std::istringstream lines(f.err);
  for (std::string line; std::getline(lines, line);) {
    auto j = nlohmann::json::parse(line);
    done += j["event"] == "done";
    errors += j["event"] == "error";
    if (j["event"] == "error") CHECK(j["code"] == 6);
  }
  CHECK(done == 4);
  CHECK(errors == 1);
}

TEST_CASE("inputs of one name in different formats do not overwrite each other", "[apps][batch]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "a.png", random_rgb_png(r, 8, 8));
  REQUIRE(run({folder / "a.png", folder / "a.bmp", "-m", tiny_model()}).code == 0);
  REQUIRE(run({folder / "a.png", folder / "a.bmp", folder / "out", "-m", tiny_model()}).code == 0);
  CHECK(fs::exists(folder / "out/a.png.png"));
  CHECK(fs::exists(folder / "out/a.bmp.png"));
}

TEST_CASE("-R mirrors a tree; a damaged file in it does not stop the rest", "[apps][batch]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  fs::create_directories(folder / "in/a/b");
  fs::create_directories(folder / "in/.git");
  spill(folder / "in/top.png", random_rgb_png(r, 8, 8));
  spill(folder / "in/a/one.png", random_rgb_png(r, 8, 8));
  spill(folder / "in/a/b/one.png", random_rgb_png(r, 8, 8));
  spill(folder / "in/a/bad.jpg", "\xff\xd8\xff damaged");
  spill(folder / "in/.git/hidden.png", random_rgb_png(r, 8, 8));
  fs::create_directory_symlink(folder / "in", folder / "in/a/circle");
  Finished f = run({folder / "in", folder / "out", "-R", "-m", tiny_model(), "--quiet"});
  INFO(f.err);
  CHECK(f.code == 2);
  CHECK(f.one_line_error());
  CHECK(fs::exists(folder / "out/top.png"));
  CHECK(fs::exists(folder / "out/a/one.png"));
  CHECK(fs::exists(folder / "out/a/b/one.png"));
  CHECK_FALSE(fs::exists(folder / "out/.git"));
  CHECK_FALSE(fs::exists(folder / "out/a/bad.png"));
  CHECK(run({folder / "in", folder / "flat", "-m", tiny_model()}).code == 0);
  CHECK(files_in(folder / "flat") == 1);
}

TEST_CASE("--suffix and --name say what results are called", "[apps][batch]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "cat.png", random_rgb_png(r, 8, 8));
  spill(folder / "dog.png", random_rgb_png(r, 8, 8));
  auto go = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {folder / "cat.png", folder / "dog.png", folder / "out", "-m", tiny_model()});
    return run(more);
  };
  REQUIRE(go({"--suffix", "-big"}).code == 0);
  CHECK(fs::exists(folder / "out/cat-big.png"));
  REQUIRE(go({"--name", "{stem}_{model}_{scale}x", "-s", "2.5"}).code == 0);
  CHECK(fs::exists(folder / "out/dog_srvgg_x2_2.5x.png"));
  REQUIRE(go({"--name", "{stem}_{scale}x"}).code == 0);
  CHECK(fs::exists(folder / "out/dog_2x.png"));  // the network's own
  REQUIRE(go({"--name", "{stem}_{scale}", "--width", "9"}).code == 0);
  CHECK(fs::exists(folder / "out/dog_auto.png"));
  REQUIRE(go({"--name", "{index}.{ext}"}).code == 0);
  CHECK(fs::exists(folder / "out/2.png.png"));
  CHECK(go({"--name", "same"}).code == 1);
  CHECK(go({"--name", "{who}"}).code == 1);
  CHECK(go({"--name", "../{stem}"}).code == 1);
  CHECK(run({folder / "cat.png", folder / "o.png", "-m", tiny_model(), "--suffix", "s"}).code == 1);
}

TEST_CASE("an interrupt stops with code 130 and leaves no half-written file", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 1200, 1200));
  auto running = start({folder / "in.png", folder / "out.png", "-m", tiny_model(), "-s", "8", "-t", "64",
                        "--progress", "json"});
  wait_for_progress(*running);
  kill(running->pid, SIGINT);
  Finished f = running->wait();
  INFO(f.err);
  CHECK(f.code == 130);
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("info describes a model in words and as JSON", "[apps][info]") {
  Finished words = run({"info", tiny_model()}), json = run({"info", tiny_model(), "--json"});
  REQUIRE(words.code == 0);
  CHECK(words.out.find("architecture") != std::string::npos);
  REQUIRE(json.code == 0);
  CHECK(nlohmann::json::parse(json.out)["scale"] == 2);
  CHECK(run({"info", "missing.pth"}).code == 3);
}

TEST_CASE("convert writes a model that works and says the same", "[apps][convert]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  std::string out = folder / "m.safetensors";
  Finished f = run({"convert", tiny_model(), out, "--name", "tiny", "--license", "MIT", "--origin", "here"});
  INFO(f.err);
  REQUIRE(f.code == 0);
  auto info = nlohmann::json::parse(run({"info", out, "--json"}).out);
  CHECK(info["name"] == "tiny");
  CHECK(info["license"] == "MIT");
  CHECK(info["origin"] == "here");
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  CHECK(run({folder / "in.png", folder / "a.png", "-m", tiny_model(), "--meta", "strip"}).code == 0);
  CHECK(run({folder / "in.png", folder / "b.png", "-m", out, "--meta", "strip"}).code == 0);
  CHECK(slurp(folder / "a.png") == slurp(folder / "b.png"));
  CHECK(run({"convert", folder / "missing.pth", out}).code == 6);
  CHECK(run({"convert", tiny_model(), folder / "none/m.safetensors"}).code == 6);
}

TEST_CASE("a killed process leaves no temporary behind", "[apps][run]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  if (int fd = open(folder.path.c_str(), O_TMPFILE | O_WRONLY, 0600); fd >= 0) {
    close(fd);
  } else {
    return;  // this file system has no unnamed files
  }
  if (access("/proc/self/fd", X_OK) != 0)
    return;  // without /proc (a plain chroot) they cannot be given a name
  spill(folder / "in.png", random_rgb_png(r, 1200, 1200));
  auto running = start({folder / "in.png", folder / "out.png", "-m", tiny_model(), "-s", "8", "-t", "64",
                        "--progress", "json"});
  wait_for_progress(*running);
  kill(running->pid, SIGKILL);
  CHECK(running->wait().code == 1000 + SIGKILL);
  CHECK(files_in(folder.path) == 1);
}
