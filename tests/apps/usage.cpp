// The command line: what is refused, with which code and how many words.
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "apps/commands.h"
#include "apps/failure.h"
#include "apps/help.h"
#include "apps/options/option.h"
#include "apps/progress.h"
#include "tests/apps/process.h"

using namespace ups::testing;

TEST_CASE("wrong usage is one sentence and exit code 1", "[apps][usage]") {
  TemporaryFolder folder;
  UPS_RANDOM(r);
  std::string in = folder / "in.png", out = folder / "out.png";
  spill(in, random_rgb_png(r, 6, 5));
  std::vector<std::vector<std::string>> wrong = {
      {},
      {in},
      {"-o", out},
      {in, out, "--no-such-option"},
      {in, out, "-s", "0"},
      {in, out, "-s", "-2"},
      {in, out, "-s", "abc"},
      {in, out, "-s", "nan"},
      {in, out, "-s", "inf"},
      {in, out, "--scale"},
      {in, out, "--steps", "0"},
      {in, out, "--steps", "65"},
      {in, out, "--steps", "2.5"},
      {in, out, "--step-mode", "other"},
      {in, out, "--filter", "sinc"},
      {in, out, "--tile", "-3"},
      {in, out, "--tile", "big"},
      {in, out, "--overlap", "x"},
      {in, out, "--max-ram", "0"},
      {in, out, "--max-ram", "lots"},
      {in, out, "-j", "1:2"},
      {in, out, "-j", "many"},
      {in, out, "-f", "psd"},
      {in, out, "--quality", "0"},
      {in, out, "--quality", "101"},
      {in, out, "--png-level", "13"},
      {in, out, "--meta", "some"},
      {in, out, "--dpi", "0"},
      {in, out, "--depth", "12"},
      {in, out, "--width", "0"},
      {in, out, "--size", "640"},
      {in, out, "--size", "x"},
      {in, out, "--size", "640xy"},
      {in, out, "--size", "640x", "--fit", "cover"},
      {in, out, "-x=3"},
      {in, out, "--tta", "3"},
      {"hlep"},
      {"help", "scle"},
      {in, out, "-s="},
      {in, out, "-g", "0,1"},
      {in, out, "--step-mode", "native", "--steps", "2"},
      {in, out, "--step-mode", "native", "--save-steps", "p"},
      {in, out, "--step-mode", "once", "--steps", "2"},
      {in, out, "--step-mode", "once", "--faithful"},
      {in, out, "--size", "64x64", "--width", "3"},
      {in, out, "--size", "64x64", "--fit", "tight"},
      {in, out, "--fit", "cover"},
      {in, out, "--gravity", "north"},
      {in, out, "--background", "mauve"},
      {in, out, "-s", "2", "--width", "100"},
      {in, out, "--width", "30cm"},
      {in, out, "--width", "3 ft"},
      {in, out, "--width", "900in", "--dpi", "65535"},
      {in, out, "--long-side", "9", "--megapixels", "2"},
      {in, out, "--depth", "32f"},
      {in, folder / "out.jpg", "--depth", "16"},
      {in, folder / "out.jpg", "--lossless"},
      {in, folder / "out.gif"},
      {in, out, "--progress", "loud"},
      {in, out, "-v", "--quiet"},
      {in, out, "-q"},
      {in, out, "--overwrite", "--skip-existing"},
      {in, out, "--save-steps", "p"},
      {in, folder / "out.psd"},
      {in, folder / "out"},
      {in, in},
      {in, out, "x4"},
      {in, out, "2.5"},
      {"info"},
      {"info", in, in},
      {"info", in, "--yaml"},
      {"convert", in},
      {"convert", in, folder / "out.pth"},
      {"fetch"},
      {"fetch", "unknown"},
      {"models", "x4"},
  };
  for (const auto& arguments : wrong) {
    Finished f = run(arguments);
    std::string line;
    for (const auto& a : arguments) line += a + " ";
    INFO(line << "-> " << f.code << " " << f.err);
    CHECK(f.code == 1);
    CHECK(f.one_line_error());
    CHECK(f.out.empty());
  }
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("names that are misspelt are answered with the right one", "[apps][usage]") {
  CHECK(run({"infoo", "x4"}).err ==
        "upscale: infoo is neither a file nor a command, did you mean upscale info?\n");
  CHECK(run({"hlep"}).err.find("did you mean upscale help?") != std::string::npos);
  CHECK(run({"help", "scle"}).err.find("did you mean scale?") != std::string::npos);
  CHECK(run({"info", "anmie"}).err.find("did you mean anime?") != std::string::npos);
  CHECK(run({"info", "x5"}).err.find("known alias (fast, x4,") != std::string::npos);  // too short to tell
  CHECK(run({"a", "b", "--scael", "2"}).err.find("did you mean --scale?") != std::string::npos);
  CHECK(run({"a", "b", "--png_levle=3"}).err.find("did you mean --png-level?") != std::string::npos);
}

TEST_CASE("what an option expects is said in its own words", "[apps][usage]") {
  CHECK(run({"a", "b", "--scale"}).err ==
        "upscale: --scale: got nothing, expected a value (see upscale --help)\n");
  CHECK(run({"a", "b", "anime"}).err ==
        "upscale: output anime: is a model, expected -m anime (a folder is written anime/)\n");
  CHECK(run({"a", "b", "4"}).err ==
        "upscale: output 4: is a number, expected -s 4 (a folder is written 4/)\n");
  CHECK(run({"a", "b", "4/"}).err == "upscale: a: does not exist\n");
  CHECK(run({"a", "b", "-t", "-1"}).err ==
        "upscale: --tile: got '-1', expected a whole number of pixels, auto or none\n");
  CHECK(run({"a", "b", "--depth", "10"}).err ==
        "upscale: --depth: got '10', expected one of 8, 12, 16, 32f\n");
  TemporaryFolder folder;
  const std::string list = folder / "a.png", link = folder / "link.png";
  UPS_RANDOM(r);
  spill(list, random_rgb_png(r, 6, 5));
  std::filesystem::create_symlink(link, link);
  CHECK(run({"@" + list, folder / "out"}).err ==
        "upscale: " + list + ": is no list of paths, expected a text file\n");
  CHECK(run({link, folder / "out.png"}).err == "upscale: " + link + ": is a link that leads to no file\n");
}

TEST_CASE("help and version go to stdout", "[apps][usage]") {
  Finished help = run({"--help"}), version = run({"-V"}), all = run({"--help-all"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  CHECK(run({"help"}).out == help.out);
  CHECK(version.code == 0);
  CHECK(version.out == std::string("upscale ") + ups_version() + "\n");
  for (const auto& command : ups::apps::commands()) {
    const std::string name = command.syntax().command;
    CHECK(run({name, "--help"}).code == 0);
    CHECK(help.out.find("upscale " + name) != std::string::npos);
  }
  CHECK(std::count(help.out.begin(), help.out.end(), '\n') <
        std::count(all.out.begin(), all.out.end(), '\n'));
}

TEST_CASE("every option of the table is read, helped with and completed", "[apps][usage]") {
  const std::string help = run({"--help"}).out, all = run({"--help-all"}).out,
                    man = run({"help", "--man"}).out, bash = run({"completions", "bash"}).out,
                    zsh = run({"completions", "zsh"}).out;
  std::set<std::string> seen;
  for (const auto& option : ups::apps::option_table().options) {
    const std::string name = long_name(option);
    for (const std::string& n : all_names(option)) {
      INFO(n);
      CHECK(seen.insert(n).second);
      std::string err;
      if (!option.set) {  // some print
        err = run({"a", "b", n}).err;
      } else {
        try {
          ups::apps::parse_options({"a", "b", n});
        } catch (const ups::apps::Failure& e) {
          err = e.what();
        }
      }
      CHECK(err.find("unknown option") == std::string::npos);
      CHECK(err.find("not an option") == std::string::npos);
    }
    INFO(name);
    bool listed = option.level != ups::apps::Level::unlisted;
    auto names_it = [&](const std::string& text) {
      return std::regex_search(text, std::regex(name + "(?![a-z-])"));
    };
    CHECK((all.find(shown_names(option)) != std::string::npos) == listed);
    CHECK((help.find(shown_names(option)) != std::string::npos) == (option.level == ups::apps::Level::basic));
    CHECK(names_it(bash) == listed);
    CHECK(names_it(zsh) == listed);
    CHECK(names_it(std::regex_replace(man, std::regex(R"(\\-)"), "-")) == listed);
    for (const std::string& topic : {name.substr(2), all_names(option)[0]})
      CHECK(ups::apps::help_about(topic).empty() == !listed);
    CHECK_FALSE(option.help.empty());
    CHECK(option.help.back() != '.');
  }
  CHECK(run({"help", "scale"}).code == 0);
  CHECK(run({"help", "-s"}).code == 0);
  CHECK(run({"help", "nothing-like-it"}).code == 1);
}

TEST_CASE("long options take _ for -, and threads take the ncnn form", "[apps][usage]") {
  using ups::apps::parse_options;
  auto o = parse_options(
      {"a.png", "b.png", "--step_mode=simple", "--png_level", "7", "-j", "1:3:2", "--steps", "3"});
  REQUIRE(o);
  CHECK(o->step_mode == UPS_STEPS_SIMPLE);
  CHECK(o->encode.png_level == 7);
  CHECK(o->threads == 3);
  CHECK(parse_options({"a_b.png", "c_d.png"})->inputs[0] == "a_b.png");
}

TEST_CASE("a folder of results named as a model does not hide the model", "[apps][usage]") {
  namespace fs = std::filesystem;
  TemporaryFolder folder;
  fs::create_directories(folder / "x4");
  const fs::path before = fs::current_path();
  fs::current_path(folder / "");
  const auto o = ups::apps::parse_options({"a", "x4", "-m", "x4"});
  fs::current_path(before);
  CHECK(o->model == "x4");
  CHECK(o->output == "x4");
}

TEST_CASE("steps are native when there is one and geometric when there are several", "[apps][usage]") {
  using ups::apps::parse_options;
  CHECK(parse_options({"a", "b"})->step_mode == UPS_STEPS_NATIVE);
  CHECK(parse_options({"a", "b", "--steps", "2"})->step_mode == UPS_STEPS_GEOMETRIC);
  CHECK(parse_options({"a", "b", "--steps", "1", "--step-mode", "native"})->step_mode == UPS_STEPS_NATIVE);
}

TEST_CASE("letters take = as long options do, and --size one side", "[apps][usage]") {
  using ups::apps::parse_options;
  CHECK(parse_options({"a", "b", "-x=2"})->tta == 2);
  CHECK(parse_options({"a", "b", "-x2"})->tta == 2);
  CHECK(parse_options({"a", "b", "-x"})->tta == 8);
  CHECK(parse_options({"a", "b", "-s=2.5"})->scale == 2.5);
  CHECK(parse_options({"a", "b", "-c=10"})->encode.quality == 90);
  CHECK(parse_options({"-i=a", "-o=b=c"})->output == "b=c");
  auto o = parse_options({"a", "b", "--size", "100x"});
  CHECK(o->size.width == 100);
  CHECK(o->size.height == 0);
  CHECK(parse_options({"a", "b", "--size", "x100"})->size.height == 100);
}

TEST_CASE("one way to say a factor is as good as another to --resume", "[apps][usage]") {
  using ups::apps::parse_options;
  const std::string two = parse_options({"a", "b", "-s", "2"})->settings;
  for (const char* same : {"2.0", "2x", "02", "2.", "2e0"}) {
    INFO(same);
    CHECK(parse_options({"a", "b", "--scale", same})->settings == two);
  }
  CHECK(parse_options({"a", "b", "-s", "2.5"})->settings != two);
  CHECK(parse_options({"a", "b", "-m", "x4"})->settings != parse_options({"a", "b"})->settings);
}

TEST_CASE("options of other programs are answered with what there is here", "[apps][usage]") {
  for (auto [option, hint] :
       {std::pair{"--latent-steps", "upscale latent IN OUT --vae FILE --latent-steps N"},
        {"--vae", "upscale latent"},
        {"-dn", "--denoise S"},
        {"--tile_pad", "--overlap N"},
        {"--circular", "--wrap xy"},
        {"--list-models", "upscale models"},
        {"--alpha_upsampler", "--alpha HOW"}}) {
    const Finished f = run({"a", "b", option, "3"});
    INFO(option << ": " << f.err);
    CHECK(f.code == 1);
    CHECK(f.one_line_error());
    CHECK(f.err.find(hint) != std::string::npos);
  }
}

TEST_CASE("small commands say how they are used in a line, and take the letters of the main use",
          "[apps][usage]") {
  CHECK(run({"latent", "a"}).err ==
        "upscale: latent: got 1 argument, expected 2 (usage: upscale latent IN OUT [options])\n");
  CHECK(run({"models", "x4"}).err ==
        "upscale: models: got 1 argument, expected 0 (usage: upscale models [--json] [--license])\n");
  CHECK(run({"compare", "a", "b", "--nothing"}).err ==
        "upscale: compare: unknown option --nothing (see upscale compare --help)\n");
  CHECK(run({"a", "b", "-r", "-f"}).err.find("sub-folders: -R") != std::string::npos);
  CHECK(run({"latent", "a", "b.png", "-s", "2", "--steps=3", "-m", "x4", "-g", "cpu", "-j", "1"}).err ==
        "upscale: no autoencoder given, expected --vae FILE or --taesd FILE\n");
  CHECK(run({"encode", "a", "b.safetensors", "--taesd", "t", "--max-ram", "2 Gigs"}).err ==
        "upscale: --max-ram: got '2 Gigs', expected a size such as 500M or 2G\n");
  CHECK(run({"encode", "a", "b.safetensors", "--taesd", "t", "--max-ram", "2GiB"}).code == 6);
  for (const auto& command : ups::apps::commands()) {
    std::istringstream help(run({"help", command.syntax().command}).out);
    for (std::string line; std::getline(help, line);) {
      INFO(line);
      CHECK(line.size() <= 110);
    }
  }
}

TEST_CASE("a bar never is wider than the terminal, nor commanded by a name", "[apps][usage]") {
  using ups::apps::progress_line;
  CHECK(progress_line("", "cat.png", 0.5, "  50 %", 79) == "cat.png ##############..............  50 %");
  CHECK(progress_line("[1/2] ", "a\x1b[31m\nb", 0, "  0 %", 79).substr(0, 15) == "[1/2] a?[31m?b ");
  UPS_RANDOM(r);
  for (int trial = 0; trial < 300; trial++) {
    std::string name;
    for (int i = r.integer(1, 60); i > 0; i--) name += r.integer(0, 1) ? "\u65e5" : "x";
    const size_t columns = size_t(r.integer(1, 120));
    const std::string line = progress_line("[12/3000] ", name, r.uniform(0, 1), " 100 %  0:01 left", columns);
    const auto characters =
        std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
    INFO(columns << ": " << line);
    CHECK(size_t(characters) <= columns);
    CHECK(nlohmann::json(line).dump().size() > 2);  // throws for half a character
    if (columns >= 79) CHECK(line.find(" 100 %  0:01 left") != std::string::npos);
  }
}

TEST_CASE("sizes of memory are read with their units", "[apps][usage]") {
  const auto bytes = [](const char* text) { return ups::apps::Value{"--max-ram", text}.bytes(); };
  CHECK(bytes("500M") == 500 << 20);
  CHECK(bytes("2G") == int64_t(2) << 30);
  CHECK(bytes("1.5GiB") == int64_t(3) << 29);
  CHECK(bytes("800000") == 800000);
  CHECK(bytes("64kb") == 64 << 10);
}

TEST_CASE("lengths in print become pixels by the resolution, whichever comes first", "[apps][usage]") {
  using ups::apps::parse_options;
  CHECK(parse_options({"a", "b", "--width", "30cm", "--dpi", "300"})->size.width == 3543);
  CHECK(parse_options({"a", "b", "--dpi", "300", "--height", "297mm"})->size.height == 3508);  // A4
  CHECK(parse_options({"a", "b", "--long-side=8.5in", "--dpi=150"})->size.long_side == 1275);
  CHECK(parse_options({"a", "b", "-w", "30"})->size.width == 30);
}

TEST_CASE("inputs and outputs may come as positionals or as -i and -o", "[apps][usage]") {
  using ups::apps::parse_options;
  auto o = parse_options({"-i", "a", "-o", "b"});
  CHECK(o->inputs == std::vector<std::string>{"a"});
  CHECK(o->output == "b");
  o = parse_options({"a", "b", "c", "-s", "2", "-o", "d"});
  CHECK(o->inputs == std::vector<std::string>{"a", "b", "c"});
  CHECK(o->output == "d");
  o = parse_options({"a", "b", "c"});
  CHECK(o->inputs == std::vector<std::string>{"a", "b"});
  CHECK(o->output == "c");
  o = parse_options({"-i", "a", "-i", "b", "c"});
  CHECK(o->inputs == std::vector<std::string>{"a", "b"});
  CHECK(o->output == "c");
}

TEST_CASE("whatever is thrown becomes a sentence with the right code", "[apps][usage]") {
  using namespace ups::apps;
  const auto code_of = [](auto&& thrown) { return failure_of(std::make_exception_ptr(thrown)).code; };
  CHECK(code_of(Failure(kIo, "x")) == kIo);
  CHECK(code_of(std::bad_alloc()) == kMemory);
  // What std::thread throws where memory or the number of threads is limited.
  CHECK(code_of(std::system_error(EAGAIN, std::system_category())) == kMemory);
  CHECK(code_of(std::system_error(EIO, std::system_category())) == kDevice);
  CHECK(code_of(std::runtime_error("x")) == kDevice);
}
