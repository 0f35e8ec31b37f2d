// What people read: names on a terminal, and what is said about things that are not what they seem.
#include <nlohmann/json.hpp>

#include "apps/terminal.h"
#include "tests/apps/process.h"

using namespace ups::testing;
using ups::apps::printable;

namespace {

// A name that would clear the screen, colour what follows and begin a line of its own.
const std::string kEvil =
    "a\x1b[2J\x1b[31m\nb\xc2\x9b"
    "1m\x7f.png";
const std::string kShown = "a?[2J?[31m?b?1m?.png";

bool commands_a_terminal(const std::string& text) {
  return text.find('\x1b') != text.npos || text.find("\xc2\x9b") != text.npos || text.find("b\xc2") == 0 ||
         text.find('\x7f') != text.npos;
}

}  // namespace

TEST_CASE("what is printed keeps letters and no control characters", "[apps][messages]") {
  CHECK(printable(kEvil) == kShown);
  CHECK(printable("größer 大きい 😀") == "größer 大きい 😀");
  CHECK(printable("\xe4\x9b.\x9b.\xff.\xc2") == "??.?.?.?");  // not UTF-8
  CHECK(printable("\xc2\xa0") == "\xc2\xa0");                 // the first that is no control
  CHECK(printable(std::string("\0\t", 2)) == "??");
  UPS_RANDOM(r);
  for (int trial = 0; trial < 200; trial++) {
    std::string bytes;
    for (int i = r.integer(0, 40); i > 0; i--) bytes += char(r.integer(0, 255));
    const std::string shown = printable(bytes);
    CHECK(nlohmann::json(shown).dump().size() >= 2);  // throws where it is not UTF-8
    CHECK(printable(shown) == shown);
    CHECK_FALSE(commands_a_terminal(shown));
  }
}

TEST_CASE("a file's name never commands the terminal; JSON has it exactly", "[apps][messages]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  const std::string in = folder / kEvil, out = folder / ("out-" + kEvil), model = tiny_model();
  spill(in, random_rgb_png(r, 8, 8));
  spill(folder / ("bad" + kEvil), "no picture");
  const auto shows = [&](const std::vector<std::string>& arguments) {
    const Finished f = run(arguments);
    INFO(arguments[0] << ": " << f.out << f.err);
    CHECK_FALSE(commands_a_terminal(f.out + f.err));
    CHECK((f.out + f.err).find(kShown) != std::string::npos);
    return f;
  };
  CHECK(shows({in, out, "-m", model}).code == 0);
  CHECK(shows({in, out, "-m", model, "-v"}).code == 0);
  CHECK(shows({in, out, "-m", model, "--dry-run"}).code == 0);
  CHECK(shows({folder.path, folder / "all/", "-m", model}).code == 2);
  CHECK(shows({folder / ("bad" + kEvil), out, "-m", model}).one_line_error());
  CHECK(shows({in + "no", out, "-m", model}).one_line_error());
  CHECK(shows({"compare", in, in}).code == 0);
  CHECK(shows({"info", in}).one_line_error());
  const std::string weights = folder / (kEvil + ".safetensors");
  CHECK(shows({"convert", model, weights, "--name", kEvil}).code == 0);
  CHECK(shows({"info", weights}).code == 0);
  CHECK(shows({in, out, "-m", weights}).code == 0);
  std::istringstream lines(run({in, out, "-m", model, "--progress", "json", "--quiet"}).err);
  std::string line;
  std::getline(lines, line), std::getline(lines, line);
  CHECK(nlohmann::json::parse(line)["input"] == in);
}

TEST_CASE("without a home there is no store, which only those miss who need it", "[apps][messages]") {
  const std::vector<std::string> none = {"UPSCALE_MODELS=", "XDG_DATA_HOME=", "HOME="};
  const Finished f = run({"models"}, none);
  CHECK(f.code == 0);
  CHECK(f.out.find("Store: none") != std::string::npos);
  for (const auto& row : nlohmann::json::parse(run({"models", "--json"}, none).out)) CHECK(row["path"] == "");
  CHECK(run({"info", "x4"}, none).err.find("set UPSCALE_MODELS") != std::string::npos);
}

TEST_CASE("the standard input is called -", "[apps][messages]") {
  TemporaryFolder folder;
  CHECK(run({"-", folder / "out.png", "-m", tiny_model()}).err.rfind("upscale: -: ", 0) == 0);
  CHECK(run({"-", folder / "out.png", "--resume", folder / "r"}).code == 1);
}

TEST_CASE("options for a GPU are answered where the CPU computes", "[apps][messages]") {
  UPS_RANDOM(r);
  TemporaryFolder folder;
  spill(folder / "in.png", random_rgb_png(r, 8, 8));
  std::vector<std::string> arguments = {folder / "in.png",
                                        folder / "out.png",
                                        "-m",
                                        tiny_model(),
                                        "-g",
                                        "cpu",
                                        "--max-vram",
                                        "2G",
                                        "--precision",
                                        "fp16"};
  const std::string said = run(arguments).err;
  CHECK(said.find("--max-vram: has no effect") != std::string::npos);
  CHECK(said.find("--precision: has no effect") != std::string::npos);
  arguments.push_back("--quiet");
  CHECK(run(arguments).err.empty());
}

TEST_CASE("what a file or word is instead is said", "[apps][messages]") {
  TemporaryFolder folder;
  const auto of_file = [&](const std::string& bytes) {
    spill(folder / "in.png", bytes);
    return run({folder / "in.png", folder / "out.png", "-m", tiny_model()}).err;
  };
  CHECK(of_file(std::string("\0\0\0\x20"
                            "ftypisom",
                            12))
            .find("is a video") != std::string::npos);
  CHECK(of_file(std::string("\0\0\0\x20"
                            "ftypheic",
                            12))
            .find("is a HEIC") != std::string::npos);
  CHECK(of_file("DDS |").find("is a DDS") != std::string::npos);
  CHECK(of_file("text").find("is not a readable image") != std::string::npos);
  CHECK(run({"version"}).err.find("did you mean upscale --version?") != std::string::npos);
  CHECK(run({"info", "RealESRGAN_x4plus.pth"}).err.find("is the alias x4") != std::string::npos);
  CHECK(run({"info", "no/4x-Such.pth"}).err.find("does not exist") != std::string::npos);
  CHECK(run({"a.png"}).err.find("upscale a.png OUT") != std::string::npos);
}
