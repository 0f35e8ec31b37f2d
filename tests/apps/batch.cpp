// Batches: what is read, what is left out, what is noted, how they end.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "apps/codecs/pixel_count.h"
#include "apps/manifest.h"
#include "tests/apps/process.h"

using namespace ups::testing;
namespace fs = std::filesystem;

namespace {

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  if (!fs::exists(folder)) return names;
  for (const auto& e : fs::recursive_directory_iterator(folder))
    if (e.is_regular_file()) names.insert(e.path().lexically_relative(folder).string());
  return names;
}

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

struct Batch {
  TemporaryFolder folder;
  explicit Batch(Random& r, int count) {
    fs::create_directories(folder / "in/sub");
    for (int i = 0; i < count; i++)
      spill(folder / ("in/" + std::to_string(i) + ".png"), random_rgb_png(r, 4 + i, 5));
  }
  Finished go(std::vector<std::string> more, const char* output = "out") {
    more.insert(more.begin(), {folder / "in", folder / output, "-m", tiny_model()});
    return run(more);
  }
};

}  // namespace

TEST_CASE("folders that cannot be read are said to be", "[apps][batch]") {
  if (geteuid() == 0) return;  // who may read everything
  UPS_RANDOM(r);
  Batch b(r, 2);
  fs::permissions(b.folder / "in/sub", fs::perms::none);
  Finished f = b.go({"-R"});
  CHECK(f.code == 2);
  CHECK(f.err.find("in/sub: cannot be opened (Permission denied)") != std::string::npos);
  CHECK(names_in(b.folder / "out") == std::set<std::string>{"0.png", "1.png"});
  CHECK(b.go({}).code == 0);
  f = run({b.folder / "in/sub", b.folder / "out", "-m", tiny_model()});
  CHECK(f.code == 6);
  CHECK(f.err.find("cannot be listed (Permission denied)") != std::string::npos);
  fs::permissions(b.folder / "in/sub", fs::perms::owner_all);
}

TEST_CASE("what -R is for is said where it is missing", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 0);
  spill(b.folder / "in/sub/0.png", random_rgb_png(r, 4, 5));
  Finished f = b.go({});
  CHECK(f.code == 6);
  CHECK(f.err.find("sub-folders (see -R)") != std::string::npos);
  fs::create_directories(b.folder / "two");
  spill(b.folder / "two/0.png", random_rgb_png(r, 4, 5));
  f = run({b.folder / "in/sub", b.folder / "two", b.folder / "out", "-m", tiny_model()});
  CHECK(f.code == 1);
  CHECK(f.err.find("--name \"{index}_{stem}\"") != std::string::npos);
}

TEST_CASE("patterns and lists name inputs", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 3);
  spill(b.folder / "in/sub/deep.png", random_rgb_png(r, 4, 4));
  spill(b.folder / "in/odd[1].png", random_rgb_png(r, 4, 4));
  spill(b.folder / "in/note.txt", "no image");
  auto go = [&](std::string input, std::vector<std::string> more = {}) {
    fs::remove_all(b.folder / "out");
    more.insert(more.begin(), {input, b.folder / "out", "-m", tiny_model()});
    return run(more);
  };
  CHECK(go(b.folder / "in/[01].*").code == 0);
  CHECK(names_in(b.folder / "out") == std::set<std::string>{"0.png", "1.png"});
  CHECK(go(b.folder / "in/*").code == 0);  // sub is a folder: its images too; note.txt is none
  CHECK(names_in(b.folder / "out") ==
        std::set<std::string>{"0.png", "1.png", "2.png", "deep.png", "odd[1].png"});
  CHECK(go(b.folder / "in/odd[1].png").code == 1);  // one file, and "out" names no format
  CHECK(run({b.folder / "in/odd[1].png", b.folder / "odd.png", "-m", tiny_model()}).code == 0);
  CHECK(go(b.folder / "in/*.gif").code == 6);
  // Nobody writes to this pipe: opening it would take for ever.
  REQUIRE(mkfifo((b.folder / "in/0pipe.png").c_str(), 0600) == 0);
  auto patient = start({b.folder / "in/0*.png", b.folder / "out", "-m", tiny_model()});
  int waited = 0;
  while (waitpid(patient->pid, nullptr, WNOHANG) == 0 && ++waited < 6000) usleep(10000);
  if (waited == 6000) kill(patient->pid, SIGKILL);
  CHECK(waited < 6000);
  fs::remove(b.folder / "in/0pipe.png");

  CHECK(go(b.folder / "in/**/*.png").code == 0);
  CHECK(names_in(b.folder / "out") ==
        std::set<std::string>{"0.png", "1.png", "2.png", "deep.png", "odd[1].png"});
  for (const char* deep : {"**/deep*", "in/**/deep*", "**/sub/*.png", "in/s*/**/*.png", "in/**/**/sub/**"}) {
    INFO(deep);
    CHECK(go(b.folder / deep).code == 0);
    CHECK(names_in(b.folder / "out") == std::set<std::string>{"deep.png"});
  }
  CHECK(go(b.folder / "in/**/sub").code == 6);  // a folder is no image
  CHECK(go(b.folder / "none/**/*.png").code == 6);
  CHECK(go(b.folder / "in/%02d.png").err.find("(a sequence of files is '" + (b.folder / "in/*.png'")) !=
        std::string::npos);

  spill(b.folder / "list", "\xef\xbb\xbf" + b.folder / "in/2.png" + "\r\n\n" + (b.folder / "in/missing.png") +
                               "\n" + (b.folder / "in/sub"));
  Finished f = go("@" + (b.folder / "list"));
  CHECK(f.code == 2);  // one is missing; the others are made
  CHECK(names_in(b.folder / "out") == std::set<std::string>{"2.png", "deep.png"});
  CHECK(go("@" + (b.folder / "no list")).code == 6);
  // Mirrored folders do not lead out of the output folder.
  spill(b.folder / "list",
        "../" + fs::relative(b.folder / "in/2.png", fs::current_path().parent_path()).string());
  CHECK(go("@" + (b.folder / "list"), {"-R"}).code == 0);
  CHECK(names_in(b.folder / "out") == std::set<std::string>{"2.png"});
}

TEST_CASE("results in a folder inside the input folder are not enlarged again", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 2);
  for (int k = 0; k < 2; k++) CHECK(b.go({"-R"}, "in/sub/big").code == 0);
  CHECK(names_in(b.folder / "in").size() == 4);
}

TEST_CASE("--skip-existing makes what is missing", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 3);
  REQUIRE(b.go({}).code == 0);
  fs::remove(b.folder / "out/1.png");
  spill(b.folder / "out/0.png", "kept");
  CHECK(b.go({"--skip-existing"}).out.find("3 files: 1 done, 0 failed, 2 left out") != std::string::npos);
  CHECK(slurp(b.folder / "out/0.png") == "kept");
  CHECK(b.go({"--skip-existing"}).code == 0);
  CHECK(b.go({"--overwrite"}).code == 0);
  CHECK(slurp(b.folder / "out/0.png") != "kept");
}

TEST_CASE("--resume leaves out what is done and unchanged", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 4);
  const std::string manifest = b.folder / "done.jsonl";
  spill(b.folder / "in/2.png", "damaged");
  auto go = [&](std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--resume", manifest});
    Finished f = b.go(more);
    size_t at = f.out.find("files: ");
    return std::pair{f.code, at == std::string::npos ? "" : f.out.substr(at + 7, 6)};
  };
  CHECK(go({"--dry-run"}).first == 2);
  CHECK_FALSE(fs::exists(manifest));
  CHECK(go() == std::pair{2, std::string("3 done")});
  const std::string written = slurp(manifest), planned = b.go({"--dry-run", "--resume", manifest}).out;
  CHECK(planned.empty());  // all but the damaged one are done
  CHECK(slurp(manifest) == written);
  CHECK(go() == std::pair{2, std::string("0 done")});  // one is left, and it is one of several
  spill(b.folder / "in/2.png", random_rgb_png(r, 4, 4));
  CHECK(go() == std::pair{0, std::string("1 done")});
  CHECK(go() == std::pair{0, std::string()});
  spill(b.folder / "in/0.png", random_rgb_png(r, 9, 4));  // changed
  fs::remove(b.folder / "out/1.png");                     // lost
  spill(b.folder / "out/2.png", "overwritten");
  CHECK(go() == std::pair{0, std::string("3 done")});
  CHECK(go({"-s", "3"}) == std::pair{0, std::string("4 done")});  // another size is another result
  CHECK(go({"-s", "3", "-j", "1", "-v"}) == std::pair{0, std::string()});

  // A line that was cut off by a power failure counts as not written, and the next one is not lost.
  std::string text = slurp(manifest);
  spill(manifest, text.substr(0, text.size() - 40));
  CHECK(go({"-s", "3"}) == std::pair{0, std::string("1 done")});
  CHECK(go({"-s", "3"}) == std::pair{0, std::string()});
  spill(manifest, slurp(manifest) + "null\n[1]\n{\"state\":\"done\",\"input\":5}\n\xff\n");
  CHECK(go({"-s", "3"}) == std::pair{0, std::string()});
  CHECK(b.go({"--resume", b.folder / "none/m"}).code == 6);
  CHECK(b.go({"--resume", b.folder / std::string(300, 'm')}).code == 6);  // longer than names may be
  std::string line = text.substr(text.rfind('\n', text.size() - 2) + 1);  // the last word about a file counts
  spill(manifest, slurp(manifest) + line.replace(line.find("\"done\""), 6, "\"failed\""));
  CHECK(go({"-s", "3"}) == std::pair{0, std::string("1 done")});

  auto last = nlohmann::json::parse(text.substr(text.rfind('\n', text.size() - 2) + 1));
  for (const char* key : {"state", "input", "input_bytes", "input_modified_ns", "output", "output_bytes",
                          "settings", "seconds"}) {
    INFO(key);
    CHECK(last.contains(key));
  }
}

TEST_CASE("shards share a batch out without overlap", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 7);
  std::set<std::string> all;
  size_t sum = 0;
  for (int i = 1; i <= 3; i++) {
    const std::string out = "out" + std::to_string(i);
    CHECK(b.go({"--shard", std::to_string(i) + "/3", "--name", "{stem}-{index}"}, out.c_str()).code == 0);
    auto names = names_in(b.folder / out);
    CHECK(names.size() == (i == 1 ? 3 : 2));
    sum += names.size();
    all.insert(names.begin(), names.end());
  }
  CHECK(sum == 7);
  CHECK(all.size() == 7);
  CHECK(all.count("6-7.png") == 1);  // numbers are those of the whole list
  for (const char* wrong : {"0/3", "4/3", "3", "a/b", "1/0", "/", "1/3x"})
    CHECK(b.go({"--shard", wrong}).code == 1);
  CHECK(b.go({"--shard", "9/9"}).code == 0);  // nothing to do
}

TEST_CASE("progress as JSON lines tells every file and the whole", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 3);
  spill(b.folder / "in/1.png", "damaged");
  Finished f = b.go({"--progress", "json"});
  CHECK(f.code == 2);
  auto lines = json_lines(f.err);
  REQUIRE(lines.size() >= 7);
  CHECK(lines.front()["event"] == "run");
  CHECK(lines.front()["count"] == 3);
  CHECK(lines.front()["pixels"] >= (4 + 6) * 5);
  CHECK(lines.back()["event"] == "end");
  CHECK(lines.back()["done"] == 2);
  CHECK(lines.back()["failed"] == 1);
  CHECK(lines.back()["cancelled"] == false);
  std::map<std::string, int> events;
  for (const auto& j : lines) events[j["event"]]++;
  CHECK(events["start"] == 2);
  CHECK(events["done"] == 2);
  CHECK(events["error"] == 1);
  CHECK(b.go({"--progress", "none"}).err.find("upscale: ") == 0);  // errors are still said

  fs::remove(b.folder / "in/1.png");
  f = b.go({"--progress", "json", "--skip-existing"});  // nothing is left to do, and that is told
  CHECK(f.code == 0);
  lines = json_lines(f.err);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["event"] == "run");
  CHECK(lines[0]["count"] == 0);
  CHECK(lines[1]["event"] == "end");
  CHECK(lines[1]["skipped"] == 2);
}

TEST_CASE("a result above the limit of a file's size fails and the batch goes on", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 2);
  spill(b.folder / "in/0.png", random_rgb_png(r, 100, 100));  // 120 kB of noise
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 20000;
  setrlimit(RLIMIT_FSIZE, &small);
  auto running = start({b.folder / "in", b.folder / "out", "-m", tiny_model()});
  setrlimit(RLIMIT_FSIZE, &before);
  const Finished f = running->wait();
  INFO(f.err);
  CHECK(f.code == 2);
  CHECK(f.err.find("0.png: writing failed (File too large)") != std::string::npos);
  CHECK(names_in(b.folder / "out") == std::set<std::string>{"1.png"});
}

TEST_CASE("an interrupted batch says what is done and can be resumed", "[apps][batch]") {
  UPS_RANDOM(r);
  Batch b(r, 2);
  for (int i = 2; i < 6; i++)
    spill(b.folder / ("in/" + std::to_string(i) + ".png"), random_rgb_png(r, 1000, 1000));
  auto running = start({b.folder / "in", b.folder / "out", "-m", tiny_model(), "-s", "4", "--progress",
                        "json", "--resume", b.folder / "m"});
  for (int k = 0; k < 1000 && !fs::exists(b.folder / "out/1.png"); k++) usleep(10000);
  kill(running->pid, SIGTERM);
  Finished f = running->wait();
  INFO(f.err);
  CHECK(f.code == 130);
  CHECK(f.err.find("files are done and complete") != std::string::npos);
  CHECK(f.err.find("\"cancelled\":true") != std::string::npos);
  for (const std::string& name : names_in(b.folder / "out"))
    CHECK_NOTHROW(ups::apps::read_image(b.folder / ("out/" + name)));
  std::string noted = slurp(b.folder / "m");
  CHECK(size_t(std::count(noted.begin(), noted.end(), '\n')) == names_in(b.folder / "out").size());
}

TEST_CASE("headers say how many pixels a file has", "[apps][batch]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "a.png", random_rgb_png(r, 37, 23));
  for (const char* name : {"b.jpg", "c.bmp", "d.webp", "e.webp"}) {
    const std::string path = folder / name;
    auto format = ups::apps::format_of_path(path);
    if (!ups::apps::can_write(format)) continue;
    std::vector<std::string> more = {folder / "a.png", path, "-m", tiny_model()};
    if (name[0] == 'e') more.push_back("--lossless");
    REQUIRE(run(more).code == 0);
    INFO(name);
    CHECK(ups::apps::pixels_in_header(path) == 74 * 46);
  }
  CHECK(ups::apps::pixels_in_header(folder / "a.png") == 37 * 23);
  CHECK(ups::apps::pixels_in_header(folder / "none") == 0);
  spill(folder / "x.jpg", "\xff\xd8\xff\xe0");
  CHECK(ups::apps::pixels_in_header(folder / "x.jpg") == 0);
}
