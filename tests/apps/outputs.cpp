// Where results go: folders that are made, formats by name, the standard streams, names that cannot be.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "apps/jobs.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::read_image;
namespace fs = std::filesystem;

namespace {

struct Setting {
  TemporaryFolder folder;
  std::string in;
  explicit Setting(Random& r) : in(folder / "in.png") { spill(in, random_rgb_png(r, 9, 6)); }
  Finished go(std::vector<std::string> more) {
    more.insert(more.end(), {"-m", tiny_model()});
    return run(more);
  }
  // With the standard streams as a shell sets them.
  int shell(const std::string& line) {
    return WEXITSTATUS(
        std::system(("cd '" + std::string(folder.path) + "' && { " + line + "; } >log 2>err").c_str()));
  }
};

const std::string kProgram = std::string(UPS_BINARY) + " -g cpu -m '" + tiny_model() + "' ";

}  // namespace

TEST_CASE("a batch whose outputs exist is listed in a time that grows with it, not with its square",
          "[apps][outputs]") {
  TemporaryFolder folder;
  fs::create_directories(folder / "in");
  fs::create_directories(folder / "out");
  for (int i = 0; i < 1000; i++)
    for (const char* where : {"in/", "out/"}) spill(folder / (where + std::to_string(i) + ".png"), "x");
  ups::apps::Options o;
  o.inputs = {folder / "in"}, o.output = folder / "out";
  const std::clock_t begin = std::clock();
  CHECK(ups::apps::list_jobs(o).size() == 1000);
  CHECK(double(std::clock() - begin) / CLOCKS_PER_SEC < 1);  // a hundredth of it; by pairs, two to three
}

TEST_CASE("folders of outputs are made where they are missing", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  CHECK(s.go({s.in, s.folder / "a/b/out.png"}).code == 0);
  CHECK(read_image(s.folder / "a/b/out.png").width == 18);
  CHECK(s.go({s.in, s.folder / "c/d/"}).code == 0);
  CHECK(fs::exists(s.folder / "c/d/in.png"));
  CHECK(s.go({s.in, s.folder / "out.png", "--steps", "2", "--save-steps", s.folder / "e/step"}).code == 0);
  CHECK(fs::exists(s.folder / "e/step1.png"));
  CHECK(s.go({s.in, s.folder / "f/out.png", "--dry-run"}).code == 0);
  CHECK_FALSE(fs::exists(s.folder / "f"));
  const Finished f = s.go({s.in, s.in + "/out.png"});  // a file in the way
  CHECK(f.code == 6);
  CHECK(f.one_line_error());
}

TEST_CASE("a name that says what the file is is believed", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  Finished f = s.go({s.in, s.folder / "out.png", "-f", "jpg"});
  REQUIRE(f.code == 0);
  CHECK(slurp(s.folder / "out.png").substr(1, 3) == "PNG");
  CHECK(f.err.find("written as PNG, as its name says") != std::string::npos);
  spill(s.folder / "r.json", R"({"format": "webp"})");
  REQUIRE(s.go({s.in, s.folder / "out.jpg", "--recipe", s.folder / "r.json"}).code == 0);
  CHECK(slurp(s.folder / "out.jpg").substr(0, 2) == "\xff\xd8");
  REQUIRE(s.go({s.in, s.folder / "out.jpeg", "-f", "jpg"}).err.empty());
  REQUIRE(s.go({s.in, s.folder / "out.dat", "-f", "jpg"}).code == 0);
  CHECK(slurp(s.folder / "out.dat").substr(0, 2) == "\xff\xd8");
  f = s.go({s.in, s.folder / "out"});
  CHECK(f.code == 1);
  CHECK(f.err.find("a folder is written " + (s.folder / "out") + "/") != std::string::npos);
  // Several inputs go to a folder, which is not called like a picture by accident.
  spill(s.folder / "two.png", slurp(s.in));
  f = s.go({s.in, s.folder / "two.png", s.folder / "all.png"});
  CHECK(f.code == 1);
  CHECK(f.err.find("expected a folder") != std::string::npos);
  CHECK_FALSE(fs::exists(s.folder / "all.png"));
  CHECK(s.go({s.in, s.folder / "two.png", s.folder / "all.png/"}).code == 0);
}

TEST_CASE("- is the standard input and the standard output", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  REQUIRE(s.go({s.in, s.folder / "plain.png", "--meta", "strip"}).code == 0);
  const std::string plain = slurp(s.folder / "plain.png");
  REQUIRE(s.shell("cat in.png | " + kProgram + "- - --meta strip --progress json > out") == 0);
  CHECK(slurp(s.folder / "out") == plain);
  CHECK(slurp(s.folder / "err").find("9x6 -> - 18x12") != std::string::npos);
  REQUIRE(s.shell(kProgram + "-i - -o b.png --meta strip < in.png > out") == 0);
  CHECK(slurp(s.folder / "b.png") == plain);
  REQUIRE(s.shell(kProgram + "in.png -o - -f jpg --quiet > out") == 0);
  CHECK(slurp(s.folder / "out").substr(0, 2) == "\xff\xd8");
  CHECK(slurp(s.folder / "err").empty());
  CHECK(s.shell(kProgram + "- - < /dev/null > out") == 6);
  CHECK(slurp(s.folder / "out").empty());  // nothing rather than a part
  CHECK(s.shell(kProgram + "in.png - > /dev/full") == 6);
  CHECK(s.shell(kProgram + "in.png plain.png - > out") == 1);
  CHECK(s.shell(kProgram + "in.png - --report p.html > out") == 1);
  CHECK(s.shell(kProgram + "in.png - --resume m > out") == 1);
}

TEST_CASE("what follows -- is a name", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  spill(s.folder / "-dash.png", slurp(s.in));
  REQUIRE(s.shell(kProgram + "-- -dash.png --out.png") == 0);
  CHECK(fs::exists(s.folder / "--out.png"));
  CHECK(s.shell(kProgram + "-o out.png -- -dash.png") == 0);
  CHECK(s.shell(std::string(UPS_BINARY) + " compare -- -dash.png in.png") == 0);
}

TEST_CASE("a link is written through, also where it leads to nothing yet", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  fs::create_directory(s.folder / "d");
  fs::create_symlink("second.png", s.folder / "first.png");
  fs::create_symlink("d/real.png", s.folder / "second.png");
  for (int i = 0; i < 2; i++) {
    REQUIRE(s.go({s.in, s.folder / "first.png"}).code == 0);
    CHECK(fs::is_symlink(s.folder / "first.png"));
    CHECK(fs::is_symlink(s.folder / "second.png"));
    CHECK(read_image(s.folder / "d/real.png").width == 18);
  }
}

TEST_CASE("nothing that a run reads is written by it, and nothing is written twice", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  const std::string model = s.folder / "net.pth", out = s.folder / "out.png", list = s.folder / "list.txt";
  fs::copy_file(tiny_model(), model);
  fs::copy_file(s.in, s.folder / "s1.png");
  spill(list, s.in + "\n");
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {s.in, out, "--report", s.in},
           {s.in, out, "--report", out},
           {s.in, out, "--report", model},
           {s.in, out, "--resume", s.in},
           {s.in, out, "--resume", out},
           {s.in, out, "--resume", model},
           {s.in, out, "--report", s.folder / "new", "--resume", s.folder / "./new"},
           {s.in, model, "-f", "png"},
           {s.folder / "s1.png", out, "--steps", "3", "--save-steps", s.folder / "s"},
           {s.in, s.folder / "t2.png", "--steps", "3", "--save-steps", s.folder / "t"},
           {"@" + list, s.folder / "d/", "--report", list},
       }) {
    std::vector<std::string> arguments = wrong;
    arguments.insert(arguments.end(), {"-m", model});
    INFO(wrong[1] << " " << wrong[2] << " " << wrong.back());
    const Finished f = run(arguments);
    CHECK(f.code == 1);
    CHECK(f.one_line_error());
    CHECK(slurp(model) == slurp(tiny_model()));
    CHECK(slurp(s.in) == slurp(s.folder / "s1.png"));
    CHECK(slurp(list) == s.in + "\n");
    CHECK_FALSE(fs::exists(out));
  }
}

TEST_CASE("streams that are closed or full do no harm to pictures", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  REQUIRE(s.shell(kProgram + "in.png a.bmp --meta strip") == 0);
  REQUIRE(s.shell(kProgram + "in.png b.bmp --meta strip -v 0<&- 1>&- 2>&-") == 0);
  CHECK(s.shell(kProgram + "in.png - 1>&-") == 6);  // the picture would be lost
  CHECK(slurp(s.folder / "b.bmp") == slurp(s.folder / "a.bmp"));
  CHECK(s.shell(kProgram + "in.png c.bmp > /dev/full") == 6);
  CHECK(s.shell(std::string(UPS_BINARY) + " --help > /dev/full") == 6);
  CHECK(slurp(s.folder / "err").find("cannot be written to") != std::string::npos);
}

TEST_CASE("a name that the file system does not take is refused before computing", "[apps][outputs]") {
  UPS_RANDOM(r);
  Setting s(r);
  const Finished f = s.go({s.in, s.folder / (std::string(260, 'x') + ".png"), "-v"});
  CHECK(f.code == 6);
  CHECK(f.err.find("264 bytes") != std::string::npos);
  CHECK(f.err.find("computed") == std::string::npos);
  CHECK(s.go({s.in, s.folder / (std::string(251, 'x') + ".png")}).code == 0);
}
