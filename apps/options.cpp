// CLI11 does the splitting; names, ranges and sentences come from the table in apps/options/.
#include "apps/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "apps/commands.h"
#include "apps/failure.h"
#include "apps/help.h"
#include "apps/nearest_name.h"
#include "apps/options/option.h"
#include "apps/recipe.h"
#include "apps/store/store.h"

namespace ups::apps {
namespace {

// Options of related tools that mean something else, or nothing, here.
const std::map<std::string, const char*> kForeign = {
    {"--face-enhance", "face restoration is not offered"},
    {"-d", "the device is -g WHERE"},
    {"-dn", "the denoise strength is --denoise S"},
    {"--noise-level", "the denoise strength is --denoise S"},
    {"--ext", "the format is -f EXT"},
    {"--tile-pad", "tiles overlap by --overlap N, which counts both sides"},
    {"--pre-pad", "borders need no padding"},
    {"--alpha-upsampler", "transparency is --alpha HOW"},
    {"--upscale-repeats", "the factor of the result is -s F, and the network runs as often as that takes"},
    {"--strip", "metadata is left out by --meta strip"},
    {"--circular", "seamless textures are --wrap xy"},
    {"--circularx", "seamless textures are --wrap x"},
    {"--circulary", "seamless textures are --wrap y"},
    {"--list", "models are listed by upscale models"},
    {"--list-models", "models are listed by upscale models"},
    {"--info", "facts about weights come from upscale info FILE"},
    {"--compare", "pictures are compared by upscale compare A B"},
    {"--vae", "steps through latents are upscale latent IN OUT --vae FILE"},
    {"--taesd", "steps through latents are upscale latent IN OUT --taesd FILE"},
    {"--latent-steps", "steps through latents are upscale latent IN OUT --vae FILE --latent-steps N"},
};

// "-x=2" means what "--tta=2" does.
std::vector<std::string> without_short_equals(std::vector<std::string> arguments) {
  for (std::string& a : arguments) {
    if (a == "--") break;
    if (a.size() < 3 || a[0] != '-' || a[1] == '-' || a[2] != '=') continue;
    for (const Option& o : option_table().options)
      for (const std::string& n : all_names(o))
        if (n == a.substr(0, 2)) a = long_name(o).size() > 2 ? long_name(o) + a.substr(2) : n + a.substr(3);
  }
  return arguments;
}

// A value as the settings of a run note it: 2, 2.0 and 2x are one factor.
std::string settled(const Option& option, std::string text) {
  if (long_name(option) == "--scale" && !text.empty() && (text.back() | 32) == 'x') text.pop_back();
  char* end = nullptr;
  const double v = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || !std::isfinite(v)) return text;
  char number[32];
  snprintf(number, sizeof number, "%.15g", v);
  return number;
}

// An option that may stand alone gets its value spelled out, so that it never takes the next file name for
// it.
std::vector<std::string> with_bare_values(const std::vector<std::string>& arguments) {
  std::map<std::string, const Option*> bare;
  for (const Option& o : option_table().options) {
    if (o.bare.empty()) continue;
    for (const std::string& n : all_names(o)) bare[n] = &o;
  }
  std::vector<std::string> out;
  for (size_t i = 0; i < arguments.size(); i++) {
    out.push_back(arguments[i]);
    if (arguments[i] == "--") {
      out.insert(out.end(), arguments.begin() + long(i) + 1, arguments.end());
      break;
    }
    auto it = bare.find(arguments[i]);
    if (it == bare.end()) continue;
    const std::vector<std::string>& c = it->second->choices;
    const std::string next = i + 1 < arguments.size() ? arguments[i + 1] : "";
    const bool follows = std::find(c.begin(), c.end(), next) != c.end();
    // A number is no picture: it would become an output folder of that name.
    if (!follows && !next.empty() && next.find_first_not_of("0123456789") == next.npos)
      Value{long_name(*it->second), next}.refuse(c);
    if (!follows) out.push_back(it->second->bare);
  }
  return out;
}

// `upscale in.png out.png x4` would make a folder x4 of two pictures.
void refuse_value_as_output(const std::string& name) {
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) return;
  if (find_alias(name))
    fail(kUsage, "output ", name, ": is a model, expected -m ", name, " (a folder is written ", name, "/)");
  if (name.find_first_not_of("0123456789.") == name.npos)
    fail(kUsage, "output ", name, ": is a number, expected -s ", name, " (a folder is written ", name, "/)");
}

// Empty inputs and outputs are refused; without -o the last positional is the output.
void place_files(Options& o, std::vector<std::string> positional, bool output_given) {
  if (!output_given) {
    if (positional.size() + o.inputs.size() < 2) {
      if (positional.empty() && o.inputs.empty())
        fail(kUsage, "no input given, expected upscale IN OUT (see upscale --help)");
      const std::string in = positional.empty() ? o.inputs[0] : positional[0];
      fail(kUsage, "no output given, expected upscale ", in,
           " OUT, a file or a folder/ (see upscale --help)");
    }
    if (positional.empty()) fail(kUsage, "no output given, expected -o OUT (see upscale --help)");
    o.output = positional.back();
    positional.pop_back();
    if (positional.size() + o.inputs.size() > 1) refuse_value_as_output(o.output);
  }
  o.inputs.insert(o.inputs.end(), positional.begin(), positional.end());
  if (o.inputs.empty()) fail(kUsage, "no input given, expected upscale IN OUT (see upscale --help)");
  if (o.output.empty()) fail(kUsage, "--output: got an empty name");
  for (const auto& i : o.inputs)
    if (i.empty()) fail(kUsage, "got an empty input name");
}

}  // namespace

std::vector<std::string> normalise_long_options(std::vector<std::string> arguments) {
  for (std::string& a : arguments) {
    if (a == "--") break;
    if (a.rfind("--", 0) == 0) std::replace(a.begin(), a.begin() + std::min(a.find('='), a.size()), '_', '-');
  }
  return arguments;
}

std::string parser_sentence(std::string what) {
  std::replace(what.begin(), what.end(), '\n', ' ');
  const std::string missing = ": 1 required TEXT missing";
  if (const size_t at = what.find(missing); at != what.npos)
    what.replace(at, missing.size(), ": got nothing, expected a value");
  return what;
}

std::string unknown_option(const std::string& argument, const std::vector<std::string>& known,
                           const std::string& help) {
  std::string name = argument.substr(0, argument.find('='));
  if (auto it = kForeign.find(name); it != kForeign.end()) {
    return name + " is not an option here: " + it->second;
  }
  const std::string best = nearest_name(name, known);
  return "unknown option " + name + (best.empty() ? " (see " + help + ")" : ", did you mean " + best + "?");
}

std::optional<Options> parse_options(std::vector<std::string> arguments) {
  const OptionTable& table = option_table();
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::string> positional;
  app.add_option("files", positional);
  std::vector<std::vector<std::string>> values(table.options.size());
  std::vector<CLI::Option*> parsed;
  for (size_t i = 0; i < table.options.size(); i++) {
    const Option& o = table.options[i];
    if (o.argument.empty())
      parsed.push_back(app.add_flag(o.names));
    else
      parsed.push_back(app.add_option(o.names, values[i])->take_all()->allow_extra_args(false));
  }

  arguments =
      with_bare_values(with_recipe(without_short_equals(normalise_long_options(std::move(arguments)))));
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    fail(kUsage, parser_sentence(e.what()), " (see upscale --help)");
  }
  Given given;
  for (size_t i = 0; i < table.options.size(); i++)
    if (parsed[i]->count()) given.add(long_name(table.options[i]));
  if (given("--list-devices")) return devices_command({}), std::nullopt;
  if (given("--help-all")) return fputs(help_text(true).c_str(), stdout), std::nullopt;
  if (given("--help")) return fputs(help_text(false).c_str(), stdout), std::nullopt;
  if (given("--version")) return printf("upscale %s\n", ups_version()), std::nullopt;
  auto extras = app.remaining();
  std::erase(extras, "--");  // what follows it is no option
  if (!extras.empty()) {
    std::vector<std::string> known;
    for (const Option& o : table.options)
      if (o.level != Level::unlisted) known.push_back(long_name(o));
    throw Failure(kUsage, unknown_option(extras.front(), known));
  }

  Options o;
  for (size_t i = 0; i < table.options.size(); i++) {
    const Option& option = table.options[i];
    if (!parsed[i]->count() || !option.set) continue;
    if (option.argument.empty()) {
      if (option.group < Group::batch) o.settings += (o.settings.empty() ? "" : " ") + long_name(option);
      option.set(o, {long_name(option), ""});
      continue;
    }
    if (option.group != Group::files && option.group < Group::batch)
      o.settings +=
          (o.settings.empty() ? "" : " ") + long_name(option) + "=" + settled(option, values[i].back());
    for (const std::string& text : values[i])
      if (option.repeats || &text == &values[i].back()) option.set(o, {long_name(option), text});
  }
  place_files(o, std::move(positional), given("--output"));
  for (const auto& check : table.checks) check(o, given);
  return o;
}

}  // namespace ups::apps
