// Argument parsing of the small commands, on CLI11.
#include "apps/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "apps/failure.h"
#include "apps/help.h"
#include "apps/options.h"

namespace ups::apps {
bool SmallArguments::flag(const std::string& name) const { return value(name) != nullptr; }

const char* SmallArguments::value(const std::string& name) const {
  for (const auto& [key, v] : options) {
    if (key == name) return v.c_str();
  }
  return nullptr;
}

bool parse_small(const SmallSyntax& syntax, const std::vector<std::string>& arguments, SmallArguments& out) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  bool help = false;
  std::map<std::string, bool> flags;
  std::map<std::string, std::string> values;
  app.add_flag("-h,--help", help);
  app.add_option("arguments", out.positional);
  for (const auto& o : syntax.options) {
    const std::string names = o.also.empty() ? o.name : o.also + "," + o.name;
    if (o.argument.empty())
      app.add_flag(names, flags[o.name]);
    else
      app.add_option(names, values[o.name]);
  }
  std::vector<std::string> reversed = normalise_long_options(arguments);
  std::reverse(reversed.begin(), reversed.end());
  const std::string usage = " (usage: " + usage_line(syntax) + ")";
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& e) {
    throw Failure(kUsage, std::string(syntax.command) + ": " + parser_sentence(e.what()) + usage);
  }
  if (help) return fputs(usage_text(syntax).c_str(), stdout), false;
  auto extras = app.remaining();
  std::erase(extras, "--");  // what follows it is no option
  if (!extras.empty()) {
    std::vector<std::string> known;
    for (const auto& o : syntax.options) known.push_back(o.name);
    const std::string command = syntax.command;
    throw Failure(kUsage,
                  command + ": " + unknown_option(extras.front(), known, "upscale " + command + " --help"));
  }
  size_t n = out.positional.size();
  if (n < syntax.least || n > syntax.most) {
    fail(kUsage, syntax.command, ": got ", n, n == 1 ? " argument" : " arguments", ", expected ",
         syntax.least, syntax.most > syntax.least ? " or more" : "", usage);
  }
  for (const auto& [name, set] : flags)
    if (set) out.options.emplace_back(name, "");
  for (const auto& [name, value] : values)
    if (app.count(name)) out.options.emplace_back(name, value);
  return true;
}

void expect_safetensors_name(const SmallSyntax& syntax, const std::string& out) {
  if (std::filesystem::path(out).extension() != ".safetensors")
    fail(kUsage, syntax.command, ": got the output ", out, ", expected a name ending in .safetensors");
}

}  // namespace ups::apps
